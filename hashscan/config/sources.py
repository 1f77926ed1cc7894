"""The settings of the known set's sources: the filter, and the service that confirms hits."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from hashscan.config import values
from hashscan.config.password import FILTER_CREDENTIAL, credential, fault_of
from hashscan.config.section import Section, Starter


class ServiceSettings(Section):
    """The settings of the service, or of local lists, that decide whether a digest is known."""

    kind: Annotated[Literal["hashcheckservice", "local"], Starter()] = Field(
        default="hashcheckservice",
        description="hashcheckservice: ask the service at `url`. local: use the lists in"
        " `known`, without any network.",
    )
    url: Annotated[values.Text, Starter()] = Field(
        default="",
        validate_default=True,
        description="The URL of the service; hashscan appends /v1/check/{algorithm}.",
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
        description="A file that holds the password, readable by its owner only (chmod 600). The"
        " systemd credential `password` (LoadCredential=) takes precedence.",
        examples=["/etc/hashscan/password"],
    )
    timeout: values.Duration = Field(
        default=10.0, description="How long to wait for an answer before hashscan asks again."
    )
    ca_bundle: values.PathOrNone = Field(
        default=None,
        description="A PEM file of the authorities to trust for the service's certificate, or none"
        " for the usual ones. The certificate is always verified.",
    )
    test: bool = Field(
        default=False,
        description="true: ask the service's test twin, /v1/test/check/…, and move no file.",
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
        " [vics-1, vics-2]; digests without a category always count. Default: vics-1 (child abuse"
        " material) of VICS lists; baseline and names of that material, e.g. csam, of other lists.",
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


class FilterSettings(Section):
    """The settings of the Bloom filter, which hashscan checks before it asks the service."""

    source: Annotated[values.Source, Starter()] = Field(
        description="The URL of a signed repository, from which `hashscan sync` fetches filters;"
        " or the full path of a filter file that `hashscan filter build` made, or of a DCSO Bloom"
        " filter.",
        examples=["https://filters.example/"],
    )
    root: Annotated[values.PathOrNone, Starter()] = Field(
        default=None,
        validate_default=True,
        description="The file with the repository's trusted keys, 1.root.json: get it from the"
        " publisher by a way that you trust.",
        examples=["/etc/hashscan/root.json"],
    )
    categories: tuple[values.Category, ...] = Field(
        default=("baseline",),
        strict=False,
        description="The categories whose filters are fetched from a repository and used.",
    )
    algorithms: tuple[Literal["md5", "sha1", "sha256"], ...] = Field(
        default=("md5", "sha1"),
        strict=False,
        description="The algorithms of the digests in a filter file that does not name them (a"
        " DCSO Bloom filter, here or in `allow`).",
    )
    refresh: values.Duration = Field(
        default=3600.0,
        description="How often the daemon asks a repository for a new filter, or checks the"
        " filter file. Each host asks at a moment of its own within this time.",
    )
    max_age: values.Duration = Field(
        default=7 * 86400.0,
        description="The longest time since the last verification of a repository's filter, or"
        " since the making of a filter file. hashscan does not use an older filter: exit"
        " code 5.",
    )
    username: values.Text = Field(
        default="",
        description="The user name for the repository, if it asks for one.",
        examples=["example"],
    )
    password_file: values.PathOrNone = Field(
        default=None,
        validate_default=True,
        description="A file that holds the password for the repository, readable by its owner"
        " only. The systemd credential `filter-password` takes precedence.",
        examples=["/etc/hashscan/filter-password"],
    )
    ca_bundle: values.PathOrNone = Field(
        default=None,
        description="A PEM file of the authorities to trust for the repository's certificate, or"
        " none for the usual ones.",
    )
    proxy: values.ProxyOrNone = Field(
        default=None,
        description="The proxy on the way to the repository, e.g. http://proxy.example:3128; none:"
        " the one that the environment names (https_proxy), if any.",
    )
    timeout: values.Duration = Field(
        default=30.0, description="How long to wait for the repository before a sync fails."
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

    @field_validator("username")
    @classmethod
    def _check_username(cls, username: str, info: ValidationInfo) -> str:
        if ":" in username:
            raise values.bad("must not hold a colon (RFC 7617)", "correct the user name")
        source = info.data.get("source")
        if username and source and values.is_url(source) and values.is_clear(source):
            raise values.bad(
                "the password would travel readable to another machine",
                "write https:// in filter.source",
            )
        return username

    @field_validator("password_file")
    @classmethod
    def _check_password(cls, path: str | None, info: ValidationInfo) -> str | None:
        if not info.data.get("username") or not values.checks_files(info):
            return path
        if credential(FILTER_CREDENTIAL):
            return path
        if path is None:
            raise values.bad(
                "is missing, and there is no systemd credential `filter-password` either",
                "write `password_file: /etc/hashscan/filter-password`, or leave username out",
            )
        if fault := fault_of(path):
            raise values.bad(*fault)
        return path

    @field_validator("algorithms")
    @classmethod
    def _check_algorithms(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if not algorithms or len(set(algorithms)) != len(algorithms):
            raise values.bad(
                "must name at least one algorithm, and each one once", "write e.g. [sha1]"
            )
        return algorithms

    @field_validator("categories")
    @classmethod
    def _check_categories(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if not categories or len(set(categories)) != len(categories):
            raise values.bad(
                "must name at least one category, and each one once", "write e.g. [baseline]"
            )
        return categories
