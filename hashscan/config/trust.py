"""Checks whether other users can change the files that decide which files root moves.

hashscan trusts the content of the configuration and of the files that it names: digest lists,
filters, allow-lists, the pinned root.json, certificate authorities, password files, templates of
answers and the program that sends them, the files and programs of receivers of notifications.
hashscan checks all these files in the same way, as sshd(8) checks its own files
(``fs.named.why_replaceable``). If the settings let hashscan move files, hashscan raises for a
trusted file that other users can change; else hashscan only reports the file. ``config check``,
``doctor``, scans and the daemon use the same words for a fault.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.config.notices import ANSWERS, LANGUAGES, SENDMAIL
from hashscan.config.notify import SECRETS
from hashscan.config.values import is_url
from hashscan.errors import ConfigError, Finding
from hashscan.fs.named import why_replaceable
from hashscan.model import TIER_NAMES
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashscan.config.settings import Settings
    from hashscan.config.yaml_lines import Loc

_META = ".json"
_BELIEVED = "others can change what hashscan believes"


def moves(settings: Settings) -> bool:
    """Whether the configuration lets hashscan move files or remove contents."""
    actions = {settings.quarantine.action, settings.notices.action}
    return "quarantine" in actions or settings.quarantine.retention is not None


def fault_of(path: str, *, optional: bool = False) -> tuple[str, str] | None:
    """The reason why other users can change a file, and the fix; ``None`` if no other user can.

    ``optional``: the file may be missing; then it is a fault if another user can make the file.
    """
    try:
        found = why_replaceable(path, optional=optional)
    except (OSError, ValueError):
        return None  # the function that opens the file reports this error
    if found is None:
        return None
    return (
        f"{_BELIEVED}: {found.what}",
        f"check what the file says, then: {found.fix}",
    )


def files_of_filter(path: str) -> list[str]:
    """The paths of a filter file and its tiers, and of the metadata beside each of these files."""
    every = [path, *(f"{path}.{name}" for name in TIER_NAMES)]
    return [one + end for one in every for end in ("", _META)]


def templates_in(directory: str) -> list[str]:
    """The paths of all templates of answers to notices that ``directory`` may hold."""
    return [
        os.path.join(directory, language, f"{kind}.txt")
        for language in LANGUAGES
        for kind in ANSWERS
    ]


def _believed(settings: Settings) -> Iterator[tuple[Loc, str]]:
    """Yield each file that hashscan trusts, with the position of the setting that names the file.

    The position for the configuration file itself is ``()``.
    """
    if settings.file is not None:
        yield (), settings.file
    service, filters = settings.service, settings.filter
    if service is not None:
        if service.kind == "local":
            for index, path in enumerate(service.known):
                yield ("service", "known", index), path
        else:
            for name in ("password_file", "ca_bundle"):
                if path := getattr(service, name):
                    yield ("service", name), path
    if filters is not None and not is_url(filters.source):
        for path in files_of_filter(filters.source):
            yield ("filter", "source"), path
    elif filters is not None:
        for name in ("root", "password_file", "ca_bundle"):
            if path := getattr(filters, name):
                yield ("filter", name), path
    for index, path in enumerate(settings.allow):
        for one in files_of_filter(path):
            yield ("allow", index), one
    if settings.notices.templates is not None:
        for path in templates_in(settings.notices.templates):
            yield ("notices", "templates"), path
    if settings.notices.sendmail != SENDMAIL:
        yield ("notices", "sendmail"), settings.notices.sendmail[0]
    for index, receiver in enumerate(settings.notify):
        for name in ("ca_bundle", "contacts", "template", *SECRETS):
            if path := getattr(receiver, name):
                yield ("notify", index, name), path
        for name in ("command", "contacts_command", "sendmail"):
            words = getattr(receiver, name)
            if words and words != SENDMAIL:
                yield ("notify", index, name), words[0]
    for index, site in enumerate(settings.sites):
        if site.source != "host":
            named = getattr(site, site.source)
            yield ("sites", index, site.source), named[0] if site.command else named


def believed_files(settings: Settings) -> Iterator[str]:
    """Yield the configuration file, and each file that it names and that hashscan trusts."""
    for _, path in _believed(settings):
        yield path


def faults(settings: Settings) -> list[tuple[Loc, str, str]]:
    """Each setting whose file other users can change: position of the setting, fault and fix."""
    found: dict[Loc, tuple[Loc, str, str]] = {}
    for loc, path in _believed(settings):
        if (fault := fault_of(path, optional=True)) is not None:
            found.setdefault(loc, (loc, *fault))
    return list(found.values())


def require_trusted(
    settings: Settings, lists: Iterable[str], notice: Callable[[str], None], *, moving: bool
) -> None:
    """Check the files of a known set: the command line's ``lists``, or else the settings' files.

    Allow-lists are always checked. If no file is moved (``moving`` is false), faults go to
    ``notice`` instead.

    Raises:
        ConfigError: other users can change a file, and ``moving`` is true.
    """
    from hashscan.config.messages import place  # noqa: PLC0415 - heavy

    typed = list(lists)
    found = [
        Finding(place(loc) or "configuration", what, fix)
        for loc, what, fix in faults(settings)
        if not typed or loc[:1] in {(), ("allow",)}
    ]
    found += [
        Finding(f"--known {shown(path)}", *fault)
        for path in typed
        if (fault := fault_of(path)) is not None
    ]
    if found and moving:
        raise ConfigError("no file is moved, because others can change what decides it:", found)
    for one in found:
        notice(str(one))


def require_trusted_file(
    settings: Settings, where: str, path: str, notice: Callable[[str], None], *, always: bool
) -> None:
    """Check a file that a command uses, and that the setting ``where`` names.

    ``always``: raise for a file that others can change, even if the configuration allows no move.
        If false, a fault then
    goes to ``notice``.

    Raises:
        ConfigError: other users can change the file, and hashscan may not use such a file.
    """
    fault = fault_of(path)
    if fault is None:
        return
    found = Finding(where, *fault)
    if always or moves(settings):
        raise ConfigError("nothing is done, because others can change what decides it:", [found])
    notice(str(found))
