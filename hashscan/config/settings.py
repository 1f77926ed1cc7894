"""Every setting: its type, its check, its default, and the words that explain it.

``config.example.yaml``, ``config show`` and the texts of errors are made from this module. The
checks use the file system only if pydantic's validation context demands this use (``loader.load``
demands it).
"""
# No "from __future__ import annotations": pydantic needs the types at run time.

import os
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hashscan.config import daemon, globs, values
from hashscan.config.audit import AuditSettings
from hashscan.config.brakes import BrakesSettings
from hashscan.config.default_places import below_home
from hashscan.config.metrics import MetricsSettings
from hashscan.config.notices import NoticesSettings, OrganisationSettings
from hashscan.config.notify import ReceiverSettings, receivers
from hashscan.config.section import Section, Starter
from hashscan.config.sites import SiteSettings
from hashscan.config.sources import FilterSettings, ServiceSettings
from hashscan.errors import ConfigError, Finding
from hashscan.files import QUARANTINE

SYSTEM_STATE = "/var/lib/hashscan"


def default_state() -> str:
    """The default state directory of this user; "" for a user without a home directory."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    base = below_home("XDG_STATE_HOME", ".local", "state")
    return "" if base is None else os.path.join(base, "hashscan")


class VolumeSettings(Section):
    """A directory tree to scan."""

    path: Annotated[values.Volume, Starter()] = Field(
        description="The directory tree: a full path.", examples=["/srv/www"]
    )
    watch: daemon.Watch = Field(
        default="auto",
        description="How the daemon watches the volume for changes: auto (fanotify if it may use"
        " fanotify, else inotify), inotify, fanotify, or off (scheduled scans only).",
    )
    exclude: tuple[globs.Glob, ...] = Field(
        default=(),
        strict=False,
        description="Globs for files and directories to leave out; they are compared with the"
        " path below the volume.",
        examples=[["*/cache/*"]],
    )
    one_file_system: bool = Field(
        default=True,
        description="Scan only the file system of `path`, and no file system that"
        " is mounted below it.",
    )


class ScanSettings(Section):
    """The schedule of scans, and how much of this machine they use."""

    schedule: daemon.CronOrNone = Field(
        default="30 2 * * *",
        description="When the daemon scans all volumes: a cron expression with five fields, in"
        " local time, or none.",
    )
    unwatched: values.Duration = Field(
        default=900.0,
        description="How often the daemon scans a volume that it cannot watch as a whole.",
    )
    jobs: values.Jobs = Field(
        default="auto",
        description="Number of worker processes; auto: as many as the cores that hashscan may use.",
    )
    max_rate: values.SizeOrNone = Field(
        default=None,
        description="The most bytes that all processes together read in a second;"
        " e.g. 50MiB, or none.",
    )
    max_files: daemon.RateOrNone = Field(
        default=None,
        description="The most files that all processes together read in a second; e.g. 500, or"
        " none.",
    )
    max_file_size: values.SizeOrNone = Field(
        default=None,
        description="Skip files above this size, and count them as skipped; e.g. 2GiB, or none.",
    )
    tiers: bool = Field(
        default=True,
        description="If the known set has the sizes of all known files, do not open files of"
        " other sizes; if it has the keys of their first blocks, do not read on in files"
        " with other first blocks. false: hash every file, e.g. if the sizes in the lists"
        " may be wrong.",
    )
    pause_above_io_pressure: values.PercentOrNone = Field(
        default=0.2,
        description="Pause while other processes wait for the disks for more than this share of"
        " the time (/proc/pressure/io, some avg10), or none.",
    )


class QuarantineSettings(Section):
    """The settings of the action on a file whose digest the service confirms."""

    action: Annotated[Literal["report", "quarantine"], Starter()] = Field(
        default="report",
        description="report: hashscan only reports a match. quarantine: hashscan moves the file"
        " away; `hashscan quarantine restore` puts it back.",
    )
    directory: values.OwnDirectoryOrNone = Field(
        default=None,
        description="The directory of quarantined files. Default: `quarantine` in the state"
        " directory.",
        examples=["/var/lib/hashscan/quarantine"],
    )
    retention: values.RetentionOrNone = Field(
        default=None,
        description="How long a quarantined file is kept. After that, the daemon or `hashscan"
        " quarantine purge` removes its content for good, and keeps the record; e.g. 90d,"
        " 12h or 30min, or none.",
    )
    ask_again: values.DurationOrNone = Field(
        default=86400.0,
        description="How often the daemon asks the service again for each digest in quarantine,"
        " or none. If the service answers twice, at least a day apart, that it does not know"
        " a digest, the digest is withdrawn.",
    )
    restore_withdrawn: Literal["ask", "auto"] = Field(
        default="ask",
        description="ask: withdrawn files wait for `hashscan quarantine restore --withdrawn`."
        " auto: the daemon puts them back.",
    )


class Settings(Section):
    """All settings of hashscan. Every section is optional; each command requires some of them.

    Durations are in seconds, sizes in bytes, shares from 0 to 1; ``None`` is ``none``.
    """

    state: values.OwnDirectory = Field(
        default_factory=default_state,
        validate_default=True,
        description="The state directory: catalog, filters, lock and, by default, the"
        " quarantine. Default: /var/lib/hashscan for root, ~/.local/state/hashscan for"
        " others.",
        examples=[SYSTEM_STATE],
    )
    volumes: tuple[VolumeSettings, ...] = Field(
        default=(), strict=False, description="The directory trees to scan."
    )
    service: ServiceSettings | None = Field(
        default=None,
        description="The service, or local lists, that decide whether a digest is known.",
    )
    filter: FilterSettings | None = Field(
        default=None,
        description="The Bloom filter of known digests, which hashscan checks before it asks the"
        " service, so that almost no digest leaves this machine. With kind local, leave this"
        " section out to let hashscan make the filter from the lists.",
    )
    allow: tuple[values.File, ...] = Field(
        default=(),
        strict=False,
        description="Allow-lists: digest lists and filters of files that must never be moved. A"
        " match whose digest is in an allow-list is only reported, as allowed.",
        examples=[["/etc/hashscan/allow.txt"]],
    )
    scan: ScanSettings = Field(
        default_factory=ScanSettings,
        description="The schedule of scans, and how much of this machine they use.",
    )
    quarantine: QuarantineSettings = Field(
        default_factory=QuarantineSettings,
        description="The action on a file whose digest the service confirms.",
    )
    brakes: BrakesSettings = Field(
        default_factory=BrakesSettings,
        description="Brakes: a list can be wrong. If too many files match, further matches are"
        " held: hashscan reports them, and does not move them, until you decide with"
        " `hashscan hold release` or `hashscan hold dismiss`. Each limit can be none. See"
        " docs/brakes.md.",
    )
    sites: tuple[SiteSettings, ...] = Field(
        default=(),
        strict=False,
        description="The directories of web sites, so that hashscan finds the file of a URL in a"
        " notice. hashscan uses the first entry that has the host; `hashscan notice sites"
        " URL` shows the file and why. Each entry has host and root, or one of nginx,"
        " apache, userdatadomains, table and command.",
        examples=[[{"host": "*.example", "root": "/srv/www/{host}/htdocs"}]],
    )
    notices: NoticesSettings = Field(
        default_factory=NoticesSettings,
        description="Notices of hotlines and authorities: how they arrive, and the action on the"
        " files that they name.",
    )
    audit: AuditSettings = Field(
        default_factory=AuditSettings,
        description="The audit log: everything that hashscan did, and who caused it. `hashscan"
        " history` shows it.",
    )
    notify: Annotated[tuple[ReceiverSettings, ...], AfterValidator(receivers)] = Field(
        default=(),
        strict=False,
        description="The receivers of notifications: mail, webhook or command.",
        examples=[[{"name": "oncall", "kind": "mail", "to": ["oncall@host.example"]}]],
    )
    metrics: MetricsSettings = Field(
        default_factory=MetricsSettings, description="Metrics for Prometheus."
    )

    @field_validator("state", mode="before")
    @classmethod
    def _check_state(cls, state: Any) -> Any:
        if state == "":
            raise values.bad(
                "has no default, because this user has no home directory: neither HOME nor"
                " /etc/passwd names one",
                "name a directory with --state DIR, or set HOME",
            )
        return state

    _file: str | None = PrivateAttr(default=None)

    @property
    def file(self) -> str | None:
        """The configuration file of these settings, or ``None`` if they come from no file."""
        return self._file

    def read_from(self, path: str | None) -> Self:
        """Record that ``path`` is the configuration file of these settings; return the settings."""
        self._file = path
        return self

    @property
    def is_test(self) -> bool:
        """Whether hashscan asks the service's test address; then hashscan moves no file."""
        return self.service is not None and self.service.kind != "local" and self.service.test

    @property
    def quarantine_directory(self) -> str:
        """The full path of the quarantine's directory, configured or default."""
        return self.quarantine.directory or os.path.join(self.state, QUARANTINE)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        # a section has no value if every line below its key is commented out
        data = {key: value for key, value in data.items() if value is not None}
        service = data.get("service")
        if isinstance(service, dict) and service.get("kind") != "local" and "filter" not in data:
            data["filter"] = {}  # so that the filter's missing settings are reported too
        return data

    @field_validator("volumes")
    @classmethod
    def _check_volumes(cls, volumes: tuple[VolumeSettings, ...]) -> tuple[VolumeSettings, ...]:
        seen: dict[str, int] = {}
        for index, volume in enumerate(volumes):
            first = seen.setdefault(os.path.normpath(volume.path), index)
            if first != index:
                raise values.bad(
                    f"is the same directory as volumes[{first}].path",
                    "remove one of the two",
                    at=(index, "path"),
                )
        return volumes

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, allow: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        places: dict[str, str] = {}
        for name, section in (("service.known", "service"), ("filter.source", "filter")):
            given = info.data.get(section)
            if section == "service" and given is not None and given.kind == "local":
                places |= {values.same_file(path, info): name for path in given.known}
            elif section == "filter" and given is not None and not values.is_url(given.source):
                places[values.same_file(given.source, info)] = name
        for index, path in enumerate(allow):
            other = places.setdefault(values.same_file(path, info), "allow")
            if other != "allow":
                raise values.bad(
                    f"{values.short_path(path)} stands in {other}, too: nothing of it would ever"
                    " be moved",
                    "remove it from one of the two",
                    at=(index,),
                )
            if path in allow[:index]:
                raise values.bad("stands here more than once", "keep one of them", at=(index,))
        return allow

    @field_validator("quarantine")
    @classmethod
    def _check_places(
        cls, quarantine: QuarantineSettings, info: ValidationInfo
    ) -> QuarantineSettings:
        if "state" not in info.data:
            return quarantine
        state = values.place(info.data["state"], info)
        directory = values.place(quarantine.directory or os.path.join(state, QUARANTINE), info)
        if directory == state:
            raise values.bad(
                "is the state directory", "choose another one for it", at=("directory",)
            )
        for index, volume in enumerate(info.data.get("volumes", ())):
            path = os.path.normpath(volume.path)
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
        """Make settings from plain data, without a check of the file system.

        Raises:
            pydantic.ValidationError: the data are invalid; ``loader.load`` turns this error into a
                ``ConfigError``.
        """
        return cls.model_validate(sections)


# The following functions check the settings that a command needs beyond a valid configuration.

_NOWHERE = "configuration"


def _require(where: str, what: str, fix: str) -> ConfigError:
    return ConfigError("this command needs more configuration", [Finding(where, what, fix)])


def require_volumes(settings: Settings, where: str = _NOWHERE) -> tuple[VolumeSettings, ...]:
    """The configured volumes, at least one volume.

    Raises:
        ConfigError: no volume is configured.
    """
    if not settings.volumes:
        raise _require(
            f"{where}: volumes",
            "there is none to scan",
            "add `- path: /srv/www` to `volumes`, or name a PATH for `hashscan scan`"
            " (`hashscan config init` writes an example)",
        )
    return settings.volumes


def require_service(settings: Settings, where: str = _NOWHERE) -> ServiceSettings:
    """The configured source of verdicts.

    Raises:
        ConfigError: neither the service nor a local list is configured.
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
    """The full path of the configured filter file, or the URL of its repository.

    Raises:
        ConfigError: no filter is configured.
    """
    if settings.filter is None:
        raise _require(
            f"{where}: filter",
            "there is no filter",
            "write the URL of a repository or the path of a filter file as `filter: {source: …}`",
        )
    return settings.filter.source


def require_organisation(settings: Settings, where: str = _NOWHERE) -> OrganisationSettings:
    """The organisation that answers notices and sends XARF reports.

    Raises:
        ConfigError: the configuration names no organisation.
    """
    if settings.notices.organisation is None:
        raise _require(
            f"{where}: notices.organisation",
            "no organisation is named that answers notices and sends reports",
            "add `organisation: {name: Host BV, contact: abuse@host.example, domain: host.example}`"
            " to `notices`, with your own values",
        )
    return settings.notices.organisation
