"""Finds obstacles on this machine for ``hashscan doctor``, and names the fix of each."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hashscan.catalog.status_overview import directories_known, overview
from hashscan.config.explain import retention
from hashscan.config.messages import place
from hashscan.config.password import read_password
from hashscan.config.trust import faults, moves
from hashscan.errors import (
    CredentialsError,
    ExitCode,
    Fault,
    HashscanError,
    ServiceError,
    ServiceRefusedError,
)
from hashscan.fs.named import opened_named
from hashscan.fs.volume import Volume
from hashscan.jobs.coverage_gaps import no_room
from hashscan.jobs.notices.deadlines import deadlines_of
from hashscan.jobs.notices.mailbox import authority_of_mails, maildir_fault
from hashscan.jobs.receiver_check import check_receivers
from hashscan.jobs.status import filters_of, quarantine_counts
from hashscan.jobs.volume_probe import check_all
from hashscan.known.filters.open_filter import kind_of_filter as kind_of_file
from hashscan.known.lists.staging import staging
from hashscan.machine import with_cause
from hashscan.model import Digest
from hashscan.priority import step_aside
from hashscan.processes import Child
from hashscan.scan.io_pressure import Pressure
from hashscan.service.intake.running import running_intake
from hashscan.state import State
from hashscan.text import counted, human_age, shown
from hashscan.watch.choose_source import choose
from hashscan.watch.mounts import answers_by_others, mounts_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashscan.config.settings import Settings
    from hashscan.config.sources import ServiceSettings
    from hashscan.jobs.volume_presence import Seen

_WATCHES = "/proc/sys/fs/inotify/max_user_watches"
_LEASES = "/proc/sys/fs/leases-enable"
#: A password or a question that the service refuses has a check of its own.
_SERVICE_FIXES = {
    Fault.UNREACHABLE: "check the name, the network and the firewall",
    Fault.CREDENTIALS: "ask its operator",
    Fault.BUSY: "try again later; hashscan's own service answers so if no list for tests is loaded "
    "(hashscan service load --test)",
    Fault.ANSWER: "check service.url, what answers there, and a proxy on the way",
}


@dataclass(frozen=True, slots=True)
class Check:
    """Holds the result of one check of ``doctor``.

    Attributes:
        name: name of what the check examines.
        result: ``ok``; ``note``: the examined part works, but could be better; ``fail``: the part
            does not work.
        message: the facts that the check found out.
        fix: how to mend the fault; empty if there is no fault.
        code: exit code of the command if the check fails.
    """

    name: str
    result: Literal["ok", "note", "fail"]
    message: str
    fix: str = ""
    code: ExitCode = ExitCode.USAGE


def examine(settings: Settings) -> Iterator[Check]:
    """Check everything that the configuration names; send no digest of a file to the service."""
    volumes = check_all([one.path for one in settings.volumes])
    checks: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("trust", lambda: _trust(settings)),
        ("volumes", lambda: _volumes(settings, volumes)),
        ("watch", lambda: _watch(settings, volumes)),
        ("filters", lambda: _filters(settings)),
        ("service", lambda: _service(settings)),
        ("state", lambda: _state(settings)),
        ("quarantine", lambda: _quarantine(settings, volumes)),
        ("notices", lambda: _notices(settings)),
        ("sites", lambda: _sites(settings)),
        ("notify", lambda: _receivers(settings)),
        ("metrics", lambda: _metrics(settings)),
        ("kernel", lambda: _kernel(settings)),
        ("priority", _priority),
    )
    for name, check in checks:
        try:
            yield from check()
        except (HashscanError, OSError) as error:
            yield Check(name, "fail", with_cause(error))


def _trust(settings: Settings) -> Iterator[Check]:
    found = faults(settings)
    result: Literal["note", "fail"] = "fail" if moves(settings) else "note"
    for loc, what, fix in found:
        yield Check(place(loc) or f"configuration {shown(settings.file or '')}", result, what, fix)
    if not found:
        yield Check("trust", "ok", "nobody else can change what hashscan believes")


def _volumes(settings: Settings, volumes: Sequence[Seen]) -> Iterator[Check]:
    if not settings.volumes:
        yield Check("volumes", "fail", "none is configured", "add `volumes: [{path: /srv/www}]`")
    for one, seen in zip(settings.volumes, volumes, strict=True):
        name = f"volume {shown(one.path)}"
        if seen.error is None:
            yield Check(name, "ok", "is there and can be read")
        elif seen.refused:
            yield Check(name, "fail", seen.error)
        elif seen.number:
            fix = "see the path and the mount, and run hashscan as root"
            yield Check(name, "fail", seen.error, fix)
        else:
            fix = "see its mount and its server; the other volumes are scanned meanwhile"
            yield Check(name, "fail", seen.error, fix)
    if os.geteuid() != 0:
        yield Check(
            "rights",
            "note",
            "this is not root: files of others may not be readable",
            "run hashscan as root, or give it CAP_DAC_READ_SEARCH",
        )


def _watch(settings: Settings, seen: Sequence[Seen]) -> Iterator[Check]:
    there = []
    volumes = []
    for one, found in zip(settings.volumes, seen, strict=True):
        if found.error is None:
            there.append(one)
            volumes.append(Volume(found.root, tuple(one.exclude), one.one_file_system))
    mounts = mounts_now()
    choices = choose(volumes, [one.watch for one in there])
    for one, volume, choice in zip(there, volumes, choices, strict=True):
        name = f"watch {shown(one.path)}"
        asked = one.watch in {choice.backend, "auto"}
        fix = "" if asked else "write `watch: auto`, or mend what it needs"
        yield Check(name, "ok" if asked else "note", f"will be {choice.backend}: {choice.why}", fix)
        kind = mounts.kind(volume.root)
        if answers_by_others(kind):
            yield Check(
                name,
                "note",
                f"changes by other hosts on this {shown(kind)} go unreported; it is scanned every "
                f"{human_age(settings.scan.unwatched)}",
                "run hashscan on the file server itself, if that can be; or set scan.unwatched",
            )
    if any(choice.backend == "inotify" for choice in choices):
        yield from _watches(settings)


def _watches(settings: Settings) -> Iterator[Check]:
    with open(_WATCHES, encoding="ascii") as file:
        limit = int(file.read())
    known = directories_known(State(settings.state, make=False).catalog)
    if known is None:
        yield Check(
            "inotify watches",
            "note",
            f"the limit is {limit:,}; how many directories there are is known after a scan",
        )
    elif known > 0.8 * limit:
        wanted = max(524288, 2 * known)
        yield Check(
            "inotify watches",
            "note" if known <= limit else "fail",
            f"the limit is {limit:,}, and there are {known:,} directories: not all can be watched",
            f"sysctl fs.inotify.max_user_watches={wanted}, and for good in /etc/sysctl.d",
            ExitCode.UNREADABLE,
        )
    else:
        yield Check("inotify watches", "ok", f"{known:,} directories, and the limit is {limit:,}")


def _filters(settings: Settings) -> Iterator[Check]:
    source, found = filters_of(settings, State(settings.state, make=False))
    for one in found:
        if one.trouble is not None:
            yield Check(f"filter {shown(one.name)}", "fail", one.trouble, code=ExitCode.FILTER)
        elif one.tiers_unused:
            yield Check(
                f"filter {shown(one.name)}",
                "note",
                f"{one.digests:,} digests, but a tier of it cannot be used, so more files are read",
                "; ".join(one.tiers_unused),
            )
        else:
            tiers = f", tiers: {', '.join(one.tiers)}" if one.tiers else ""
            yield Check(f"filter {shown(one.name)}", "ok", f"{one.digests:,} digests{tiers}")
    if not found:
        yield Check("filter", "ok", shown(source))


def _service(settings: Settings) -> Iterator[Check]:
    service = settings.service
    if service is None:
        yield Check(
            "service", "fail", "nobody is named who gives verdicts", "add the section `service`"
        )
        return
    if service.kind == "local":
        yield from _lists(settings, service)
        return
    yield _asked(service)


def _asked(service: ServiceSettings) -> Check:
    """Check that the service answers and takes the password: ask its test twin a random digest."""
    from hashscan.known.confirmers.hashcheckservice import HashCheckService  # noqa: PLC0415 - heavy

    assert service.url is not None
    where = shown(service.url)
    client = HashCheckService(
        url=service.url,
        username=service.username or "",
        password=read_password(service),
        timeout=service.timeout,
        test=True,
        ca_bundle=service.ca_bundle,
        attempts=1,
    )
    try:
        client.confirm(Digest("sha1", os.urandom(20).hex()))
    except CredentialsError as error:
        fix = "write the password that the operator gave into service.password_file, then restart"
        return Check("service", "fail", str(error), fix, ExitCode.SERVICE)
    except ServiceRefusedError:
        # The service has no test twin, so the only sure fact is that the service answers.
        return Check("service", "ok", f"{where} can be reached; 'hashscan check' asks it")
    except ServiceError as error:
        fix = f"{_SERVICE_FIXES[error.fault]}; candidates wait meanwhile"
        message = f"{where} {error.fault.words}: {error}"
        return Check("service", "fail", message, fix, ExitCode.SERVICE)
    finally:
        client.close()
    return Check("service", "ok", f"{where} answers, and takes the user name and the password")


def _lists(settings: Settings, service: ServiceSettings) -> Iterator[Check]:
    """Read the digest lists, as a scan would, to find faults; store nothing."""
    for name, paths in (("known", service.known), ("allow", settings.allow)):
        for path in paths:
            try:
                if kind_of_file(os.path.realpath(path)) != "other":
                    continue
                with staging(shown(path)) as area:
                    staged = area.fill([path], skip_invalid=False, on_progress=None)
            except (HashscanError, OSError) as error:
                fix = "mend or replace it; nothing is scanned with it, or the old one stays in use"
                yield Check(
                    f"{name} {shown(path)}", "fail", with_cause(error), fix, ExitCode.FILTER
                )
            else:
                yield Check(f"{name} {shown(path)}", "ok", f"{staged.taken:,} digests")


def _state(settings: Settings) -> Iterator[Check]:
    for _, message in no_room(settings):
        yield Check("room", "fail", message)
    found = overview(State(settings.state, make=False).catalog)
    told = "nothing is in it yet" if found is None else "its catalog can be read"
    yield Check("state", "ok", f"{shown(settings.state)}: {told}")


def _quarantine(settings: Settings, volumes: Sequence[Seen]) -> Iterator[Check]:
    directory = settings.quarantine_directory
    damaged = quarantine_counts(directory, None)["damaged"]
    if damaged:
        yield Check(
            "quarantine records",
            "fail",
            f"{counted(damaged, 'record')} of {shown(directory)} cannot be read",
            "'hashscan quarantine verify' names them",
        )
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    with opened_named(os.fsencode(directory)) as named:
        device = os.fstat(named.fd).st_dev
        room = os.fstatvfs(named.fd)
    free = room.f_bavail * room.f_frsize
    others = [
        one.path
        for one, seen in zip(settings.volumes, volumes, strict=True)
        if seen.identity is not None and seen.identity.device != device
    ]
    if others:
        yield Check(
            "quarantine",
            "note",
            f"lies on another file system than {shown(others[0])}: files are copied there "
            f"({free >> 30} GiB are free)",
            "with one quarantine for all volumes there is no other way; see its free space",
        )
    else:
        yield Check("quarantine", "ok", f"files are moved, not copied ({free >> 30} GiB are free)")
    yield Check("retention", "ok", retention(settings.quarantine.retention))


def _notices(settings: Settings) -> Iterator[Check]:
    maildir = settings.notices.maildir
    state = State(settings.state, make=False)
    found = deadlines_of(state, settings.notices.due_soon, time.time())
    if found is not None:
        numbers = f"{found.open:,} open, {found.due_soon:,} due soon, {found.overdue:,} overdue"
        yield Check("notices", "ok", numbers)
    intake = running_intake(state)
    if intake is not None and intake.process is not None:
        yield Check("notices over HTTP", "ok", f"process {intake.process} takes them")
    elif intake is not None:
        yield Check(
            "notices over HTTP",
            "note",
            f"they are not taken, but {counted(intake.tokens, 'sender')} may have a token",
            "start 'hashscan notice serve' (systemctl start hashscan-notices), or remove the tokens"
            " ('hashscan notice token remove')",
        )
    if settings.notices.organisation is not None:
        yield _mail_program(settings.notices.sendmail[0])
    if maildir is None:
        return
    name = f"maildir {shown(maildir)}"
    fault = maildir_fault(settings)
    if fault is not None:
        yield Check(name, "fail", *fault)
    else:
        yield Check(name, "ok", "mails can be taken and marked as read")
    what, fix = authority_of_mails(settings)
    yield Check("senders of notices", "note" if fix else "ok", what, fix)


def _mail_program(path: str) -> Check:
    if os.path.isfile(path) and os.access(path, os.X_OK):
        return Check("mail program", "ok", f"{shown(path)} is there, to send answers")
    return Check(
        "mail program",
        "note",
        f"{shown(path)} is no program, so 'hashscan notice answer --send' sends nothing",
        "install a mail server, name another program in notices.sendmail, or write answers with"
        " --eml",
    )


def _sites(settings: Settings) -> Iterator[Check]:
    from hashscan.notices.sites.sites import Sites  # noqa: PLC0415 - heavy

    if not settings.sites and settings.notices.maildir is not None:
        what = "the configuration has none, so hashscan finds no file by the URL of a notice"
        yield Check("sites", "note", what, "add `sites`")
    for name, content, is_read in Sites(settings.sites).contents():
        fix = "" if is_read else "correct the file; 'hashscan notice sites URL' shows the effect"
        yield Check(name, "ok" if is_read else "fail", content, fix)


def _receivers(settings: Settings) -> Iterator[Check]:
    for one in check_receivers(settings):
        yield Check(one.name, "ok" if one.well else "fail", one.message, one.fix)


def _metrics(settings: Settings) -> Iterator[Check]:
    path = settings.metrics.textfile
    if path is None:
        return
    directory = os.path.dirname(path)
    if os.path.isdir(directory) and os.access(directory, os.W_OK):
        yield Check("metrics", "ok", f"{shown(path)} can be written")
    else:
        yield Check(
            "metrics",
            "fail",
            f"{shown(directory)} is missing, or files cannot be made in it",
            "create the directory, or correct metrics.textfile",
        )


def _kernel(settings: Settings) -> Iterator[Check]:
    pressure = Pressure()
    if settings.scan.pause_above_io_pressure is not None:
        if os.path.exists("/proc/pressure/io"):
            yield Check("I/O pressure", "ok", f"from {pressure.describe()}")
        else:
            yield Check(
                "I/O pressure",
                "note",
                "this kernel does not tell it, so scans do not step aside for it",
                "boot with psi=1, or bound scans with scan.max_rate",
            )
    with open(_LEASES, encoding="ascii") as file:
        if file.read().strip() != "1":
            yield Check(
                "leases",
                "note",
                "are disabled: only its times show whether a file is still written",
                "sysctl fs.leases-enable=1",
            )


def _priority() -> Iterator[Check]:
    trouble = _in_a_child(step_aside)
    if trouble:
        yield Check(
            "priority",
            "note",
            f"the lowest cannot be had: {'; '.join(trouble)}",
            "see the service manager's rules (SystemCallFilter=)",
        )
    else:
        yield Check("priority", "ok", "scanning processes run with the lowest")


def _in_a_child(job: Callable[[], list[str]]) -> list[str]:
    child = Child(lambda connection: connection.send(job()))
    try:
        found: list[str] = child.connection.recv()
    except EOFError:
        found = ["the process that tried died"]
    finally:
        child.end()
    return found
