"""Every setting: its type, its check, its default, and the words that explain it.

``config.example.yaml``, ``config show`` and the texts of errors come from here. The file system is
looked at only where the validation context says so (``loader.load`` does).
"""
# No "from __future__ import annotations": pydantic needs the types at run time.

import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hashscan.config import values
from hashscan.config.password import credential, fault_of
from hashscan.errors import ConfigError, Finding

SYSTEM_STATE = "/var/lib/hashscan"


@dataclass(frozen=True)
class Later:
    """Marks a setting that is checked, but has no effect in this version; ``user`` will use it."""

    user: str


@dataclass(frozen=True)
class Starter:
    """Marks a setting that is written out, not commented out, in the example."""


_DAEMON = Later("the daemon")
_SYNC = Later("sync")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def default_state() -> str:
    """The state directory of who runs this: root's, or the XDG one of another user."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):  # the XDG specification: relative ones are to be ignored
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "hashscan")


class VolumeSettings(_Section):
    """A directory tree to scan."""

    path: Annotated[values.Volume, Starter()] = Field(
        description="The directory tree: a full path.", examples=["/srv/www"]
    )
    watch: Annotated[bool, _DAEMON] = Field(
        default=True, description="Check files as soon as they are written."
    )
    exclude: tuple[values.Glob, ...] = Field(
        default=(),
        strict=False,
        description="What to leave out: globs against the path below the volume.",
        examples=[["*/cache/*"]],
    )
    one_file_system: bool = Field(
        default=True, description="Stay on the file system that the path lies on."
    )


class ServiceSettings(_Section):
    """Who says whether a digest is known."""

    kind: Annotated[Literal["hashcheckservice", "local"], Starter()] = Field(
        default="hashcheckservice",
        description="hashcheckservice: ask the service at `url`. local: look into the lists in"
        " `known`, without any network.",
    )
    url: Annotated[values.Text, Starter()] = Field(
        default="",
        validate_default=True,
        description="Where the service is; /v1/check/{algorithm} is appended.",
        examples=["https://hcs.example"],
    )
    username: Annotated[values.Text, Starter()] = Field(
        default="",
        validate_default=True,
        description="The user name that the service gave you.",
        examples=["example"],
    )
    password_file: Annotated[values.PathOrNone, Starter()] = Field(
        default=None,
        validate_default=True,
        description="A file that holds the password, readable by its owner only (chmod 600)."
        " The systemd credential `password` (LoadCredential=) goes before it.",
        examples=["/etc/hashscan/password"],
    )
    timeout: values.Duration = Field(
        default=10.0, description="How long to wait for an answer, before asking again."
    )
    ca_bundle: values.PathOrNone = Field(
        default=None,
        description="A PEM file of the authorities to trust for the service's certificate, or none"
        " for the usual ones. The certificate is always verified.",
    )
    test: bool = Field(
        default=False,
        description="Ask the service's test twin, /v1/test/check/…; no file is moved.",
    )
    known: tuple[values.File, ...] = Field(
        default=(),
        strict=False,
        validate_default=True,
        description="kind local: the digest lists.",
        examples=[["/etc/hashscan/known.txt"]],
    )
    only_categories: tuple[values.ListCategory, ...] = Field(
        default=(),
        strict=False,
        description="kind local: the categories of the lists that count as known, e.g."
        " [vics-1, vics-2]; digests without a category always do. Without any: of VICS lists"
        " vics-1 (child abuse material); of others all but non-pertinent and uncategorised.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str, info: ValidationInfo) -> str:
        if not url:
            return _needed(url, info, "write e.g. `url: https://hcs.example`")
        url = values.url(url).rstrip("/")
        if url.endswith("/check") or "/check/" in url:
            raise values.bad("names the check itself", "leave out /v1/check and what follows it")
        return url

    @field_validator("username")
    @classmethod
    def _check_username(cls, username: str, info: ValidationInfo) -> str:
        if ":" in username:
            raise values.bad("must not hold a colon (RFC 7617)", "correct the user name")
        return username or _needed(username, info, "write `username: …`")

    @field_validator("password_file")
    @classmethod
    def _check_password(cls, path: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("kind") != "hashcheckservice":
            return path
        if not values.checks_files(info) or credential():
            return path
        if path is None:
            raise values.bad(
                "is missing, and there is no systemd credential `password` either",
                "write `password_file: /etc/hashscan/password`, or in the unit"
                " LoadCredential=password:/etc/hashscan/password",
            )
        if fault := fault_of(path):
            raise values.bad(*fault)
        return path

    @field_validator("known")
    @classmethod
    def _check_known(cls, known: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not known and info.data.get("kind") == "local":
            raise values.bad(
                "kind local needs at least one digest list",
                "write e.g. `known: [/etc/hashscan/known.txt]`",
            )
        seen: set[str] = set()
        for index, path in enumerate(known):
            if path in seen:
                raise values.bad("stands here more than once", "keep one of them", at=(index,))
            seen.add(path)
        return known


def _needed(value: str, info: ValidationInfo, fix: str) -> str:
    if info.data.get("kind") == "hashcheckservice":
        raise values.bad("is missing; kind hashcheckservice needs it", fix)
    return value


class FilterSettings(_Section):
    """The Bloom filter that is asked before the service, so that almost no digest leaves here."""

    source: Annotated[values.Source, Starter()] = Field(
        description="The full path of a filter file (`hashscan filter build` makes one). The URL"
        " of a signed repository is for `sync`, which this version does not have yet.",
        examples=["/etc/hashscan/baseline.filter"],
    )
    root: Annotated[values.PathOrNone, _SYNC] = Field(
        default=None,
        validate_default=True,
        description="The pinned trust of a repository: its 1.root.json.",
        examples=["/etc/hashscan/root.json"],
    )
    categories: Annotated[tuple[values.Category, ...], _SYNC] = Field(
        default=("baseline",),
        strict=False,
        description="The categories to fetch from a repository.",
    )
    refresh: Annotated[values.Duration, _SYNC] = Field(
        default=3600.0, description="How often to ask a repository for news."
    )
    max_age: values.Duration = Field(
        default=7 * 86400.0, description="A filter that is older is not used (exit code 5)."
    )

    @field_validator("root")
    @classmethod
    def _check_root(cls, root: str | None, info: ValidationInfo) -> str | None:
        source = info.data.get("source")
        if root is None and source is not None and values.is_url(source):
            raise values.bad(
                "is missing; a repository is not trusted without it",
                "write e.g. `root: /etc/hashscan/root.json`",
            )
        return root if root is None else values.existing_file(root, info)

    @field_validator("categories")
    @classmethod
    def _check_categories(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if not categories or len(set(categories)) != len(categories):
            raise values.bad(
                "must name at least one category, and each one once", "write e.g. [baseline]"
            )
        return categories


class ScanSettings(_Section):
    """How a scan treats this machine."""

    schedule: Annotated[values.CronOrNone, _DAEMON] = Field(
        default="30 2 * * *",
        description="When to scan everything: a cron expression with five fields, or none.",
    )
    jobs: values.Jobs = Field(
        default="auto",
        description="Worker processes; auto: as many as the cores that hashscan may use.",
    )
    max_rate: values.SizeOrNone = Field(
        default=None, description="Bytes a second, of all processes together; e.g. 50MiB, or none."
    )
    max_file_size: values.SizeOrNone = Field(
        default=None,
        description="Skip larger files, and count them as skipped; e.g. 2GiB, or none.",
    )
    pause_above_io_pressure: values.PercentOrNone = Field(
        default=0.2,
        description="Pause while others wait for the disks for more than this share of the time"
        " (/proc/pressure/io, some avg10), or none.",
    )


class QuarantineSettings(_Section):
    """What happens to a file whose digest the service confirms."""

    action: Annotated[Literal["report", "quarantine"], Starter()] = Field(
        default="report",
        description="report: only tell. quarantine: move the file away; `hashscan quarantine"
        " restore` puts it back.",
    )
    directory: values.OwnDirectoryOrNone = Field(
        default=None,
        description="Where quarantined files are kept. Default: `quarantine` in the state"
        " directory.",
        examples=["/var/lib/hashscan/quarantine"],
    )
    retention: values.DurationOrNone = Field(
        default=None,
        description="How long a file is kept before `quarantine purge` removes it; e.g. 90d, or"
        " none.",
    )


class MetricsSettings(_Section):
    """Numbers for Prometheus."""

    listen: Annotated[values.ListenOrNone, _DAEMON] = Field(
        default=None, description="Address and port, e.g. 127.0.0.1:9464, or none."
    )
    textfile: Annotated[values.PathOrNone, _DAEMON] = Field(
        default=None, description="A file for node_exporter's textfile collector, or none."
    )


class Settings(_Section):
    """All settings. Every section may be left out; a command asks for what it needs.

    Durations are in seconds, sizes in bytes, shares from 0 to 1; ``None`` is ``none``.
    """

    state: values.OwnDirectory = Field(
        default_factory=default_state,
        validate_default=True,
        description="Where the catalog, filters and the lock are kept. Default:"
        " /var/lib/hashscan for root, ~/.local/state/hashscan for others.",
        examples=[SYSTEM_STATE],
    )
    volumes: tuple[VolumeSettings, ...] = Field(
        default=(), strict=False, description="The directory trees to scan."
    )
    service: ServiceSettings | None = Field(
        default=None, description="Who says whether a digest is known."
    )
    filter: FilterSettings | None = Field(
        default=None,
        description="The Bloom filter that is asked first, so that almost no digest leaves this"
        " machine. With kind local it may be left out: it is then made from the lists.",
    )
    scan: ScanSettings = Field(
        default_factory=ScanSettings, description="How a scan treats this machine."
    )
    quarantine: QuarantineSettings = Field(
        default_factory=QuarantineSettings,
        description="What happens to a file whose digest the service confirms.",
        validate_default=True,
    )
    notify: Annotated[tuple[values.Notification, ...], _DAEMON] = Field(
        default=(), strict=False, description="Whom to tell; there is no kind of it yet."
    )
    metrics: Annotated[MetricsSettings, _DAEMON] = Field(
        default_factory=MetricsSettings, description="Numbers for Prometheus."
    )

    @property
    def quarantine_directory(self) -> str:
        """The full path of the quarantine, whether configured or not."""
        return self.quarantine.directory or os.path.join(self.state, "quarantine")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        # "volumes:" with everything below it commented out
        data = {key: value for key, value in data.items() if value is not None}
        service = data.get("service")
        if isinstance(service, dict) and service.get("kind") != "local" and "filter" not in data:
            data["filter"] = {}  # so that what it lacks is told, beside everything else
        return data

    @field_validator("volumes")
    @classmethod
    def _check_volumes(
        cls, volumes: tuple[VolumeSettings, ...], info: ValidationInfo
    ) -> tuple[VolumeSettings, ...]:
        seen: dict[str, int] = {}
        for index, volume in enumerate(volumes):
            first = seen.setdefault(_place(volume.path, info), index)
            if first != index:
                raise values.bad(
                    f"is the same directory as volumes[{first}].path",
                    "remove one of the two",
                    at=(index, "path"),
                )
        return volumes

    @field_validator("quarantine")
    @classmethod
    def _check_places(
        cls, quarantine: QuarantineSettings, info: ValidationInfo
    ) -> QuarantineSettings:
        if "state" not in info.data:
            return quarantine
        state = _place(info.data["state"], info)
        directory = _place(quarantine.directory or os.path.join(state, "quarantine"), info)
        if directory == state:
            raise values.bad(
                "is the state directory", "choose another one for it", at=("directory",)
            )
        for index, volume in enumerate(info.data.get("volumes", ())):
            path = _place(volume.path, info)
            for own, name in ((directory, "the quarantine"), (state, "the state directory")):
                if path == own or path.startswith(own.rstrip("/") + "/"):
                    what = "is" if path == own else "holds"
                    raise values.bad(
                        f"{name} ({values.short_path(own)}) {what} volumes[{index}].path, and what"
                        " lies in it is never scanned",
                        "choose another directory for one of them",
                        at=("directory",),
                    )
        return quarantine

    @classmethod
    def of(cls, **sections: Any) -> Self:
        """Settings from plain data; the file system is not looked at.

        Raises:
            pydantic.ValidationError: what ``loader.load`` would turn into a ``ConfigError``.
        """
        return cls.model_validate(sections)


def _place(path: str, info: ValidationInfo) -> str:
    return os.path.realpath(path) if values.checks_files(info) else os.path.normpath(path)


# What a command needs beyond a valid configuration

_NOWHERE = "configuration"


def _require(where: str, what: str, fix: str) -> ConfigError:
    return ConfigError("this command needs more configuration", [Finding(where, what, fix)])


def require_volumes(settings: Settings, where: str = _NOWHERE) -> tuple[VolumeSettings, ...]:
    """The configured volumes, at least one.

    Raises:
        ConfigError: there is none.
    """
    if not settings.volumes:
        raise _require(
            f"{where}: volumes",
            "there is none to scan",
            "name a PATH on the command line, or add `- path: /srv/www` to `volumes`"
            " (`hashscan config init` writes an example)",
        )
    return settings.volumes


def require_service(settings: Settings, where: str = _NOWHERE) -> ServiceSettings:
    """The configured source of verdicts.

    Raises:
        ConfigError: there is none.
    """
    if settings.service is None:
        raise _require(
            f"{where}: service",
            "nobody is named who could say whether a digest is known",
            "give a digest list with --known FILE, or add the section `service`"
            " (`hashscan config init` writes an example)",
        )
    return settings.service


def require_filter(settings: Settings, where: str = _NOWHERE) -> str:
    """The full path of the configured filter file.

    Raises:
        ConfigError: there is none, or it is in a repository, which this version cannot fetch.
    """
    if settings.filter is None:
        raise _require(
            f"{where}: filter",
            "there is no filter",
            "make one with `hashscan filter build`, and write its path as `filter: {source: …}`",
        )
    if values.is_url(settings.filter.source):
        raise _require(
            f"{where}: filter.source",
            "this version cannot fetch filters from a repository",
            "fetch the filter file by other means, and write its full path",
        )
    return settings.filter.source
