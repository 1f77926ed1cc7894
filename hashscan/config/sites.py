"""The setting ``sites``: the directory that holds the files of a URL, by the URL's host."""
# No "from __future__ import annotations": pydantic needs the types at run time.

import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    model_validator,
)

from hashscan.config import values
from hashscan.config.section import Section

#: Each entry of ``sites`` has exactly one of these settings.
SOURCES = ("host", "nginx", "apache", "userdatadomains", "table", "command")
_HOST = re.compile(r"[^\s/@:#?\\]{1,253}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def host_glob(value: object) -> str | None:
    """Check a host name, an address or a glob for hosts; return the text in lower case."""
    if value is None:
        return None
    given = values.text(value)
    name = given.removeprefix("[").removesuffix("]") if given.startswith("[") else given
    if not name or (name == given and not _HOST.fullmatch(name)):
        raise values.bad(
            "must be a host name or a glob, without http:// and without a port",
            'write e.g. www.example or "*.example"',
        )
    return name.lower().rstrip(".")


def url_path(value: object) -> str:
    """Check the beginning of a URL's path; return the path without a slash at its end."""
    given = values.text(value)
    if not given.startswith("/") or "%" in given or {".", ".."} & set(given.split("/")):
        raise values.bad(
            "must be the beginning of a URL's path, from / on, not percent-encoded",
            "write e.g. /shop",
        )
    return re.sub("/+", "/", given).rstrip("/") or "/"


def root_pattern(value: object) -> str | None:
    """Check the path of a site's document root; ``{host}`` in it is replaced by the URL's host."""
    if value is None:
        return None
    path = values.absolute_path(value)
    for name in _PLACEHOLDER.findall(path):
        if name != "host":
            raise values.bad(
                f"holds {{{values.short_path(name)}}}, and only {{host}} has a meaning here",
                "write e.g. /srv/www/{host}/htdocs",
            )
    return path


def index_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of the index files of a site's directories."""
    if any(not one or "/" in one or one in {".", ".."} for one in names):
        raise values.bad("must be names of files", "write e.g. [index.html, index.php]")
    return names


_FileOrNone = Annotated[
    str | None,
    PlainValidator(values.or_none(values.absolute_path)),
    AfterValidator(lambda path, info: None if path is None else values.existing_file(path, info)),
    values.shower(values.none_shown(str)),
]


class SiteSettings(Section):
    """One entry of ``sites``: a host with its root, or a source of such pairs."""

    host: Annotated[str | None, PlainValidator(host_glob)] = Field(
        default=None,
        description='A host name or a glob, e.g. "*.example"; without a port.',
        examples=["*.example"],
    )
    path: Annotated[str, PlainValidator(url_path)] = Field(
        default="/",
        description="With host: only URLs below this path; the root holds the rest of the path.",
    )
    root: Annotated[str | None, PlainValidator(root_pattern)] = Field(
        default=None,
        description="With host: the document root; {host} is replaced by the host of the URL.",
        examples=["/srv/www/{host}/htdocs"],
    )
    index: Annotated[tuple[values.Text, ...], AfterValidator(index_names)] = Field(
        default=("index.html", "index.htm", "index.php"),
        strict=False,
        description="With host, userdatadomains, table or command: the index files of a directory.",
    )
    nginx: _FileOrNone = Field(
        default=None,
        description="Instead of host: the main configuration of nginx; it is read, not run.",
        examples=["/etc/nginx/nginx.conf"],
    )
    apache: _FileOrNone = Field(
        default=None,
        description="Instead of host: the main configuration of Apache httpd 2.4.",
        examples=["/etc/apache2/apache2.conf"],
    )
    userdatadomains: _FileOrNone = Field(
        default=None,
        description="Instead of host: the table of a cPanel server.",
        examples=["/etc/userdatadomains"],
    )
    table: _FileOrNone = Field(
        default=None,
        description="Instead of host: a file with a host and its root on each line, separated by a"
        " tab or a space, e.g. exported from a panel's database.",
        examples=["/etc/hashscan/sites.tsv"],
    )
    command: Annotated[
        tuple[values.Text, ...] | None,
        BeforeValidator(values.words),
        AfterValidator(values.program),
    ] = Field(
        default=None,
        strict=False,
        description="Instead of host: a program that gets the host as its last argument, without a"
        " shell, and prints the root, or nothing for an unknown host; within 10 s.",
        examples=[["/usr/local/bin/docroot-of"]],
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            which = "none of" if not given else "more than one of"
            raise values.bad(
                f"has {which} {', '.join(SOURCES)}", "write one of them in each entry of the list"
            )
        if given == ["host"] and self.root is None:
            raise values.bad("has a host and no root", "write e.g. `root: /srv/www/{host}/htdocs`")
        if given != ["host"]:
            for name in ("root", "path"):
                if name in self.model_fields_set:
                    raise values.bad(f"has {name}, which is for host", f"remove {name}")
        return self

    @property
    def source(self) -> str:
        """The name of the setting in ``SOURCES`` that this entry of ``sites`` has."""
        return next(name for name in SOURCES if getattr(self, name) is not None)
