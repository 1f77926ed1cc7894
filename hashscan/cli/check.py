"""``hashscan check``: says whether files or digests are known."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import (
    json_option,
    known_option,
    only_category_option,
    open_own_settings,
    open_settings,
    state_option,
)
from hashscan.errors import ExitCode, UsageError, exit_code_of
from hashscan.model import ALGORITHM_BY_LENGTH, Digest
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.jobs.check import CheckResult
    from hashscan.scan.hashing import NotHashed

_HEX = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


@click.command("check")
@click.argument("subjects", nargs=-1, required=True, metavar="FILE|DIGEST...", type=click.Path())
@known_option
@only_category_option
@json_option
@state_option
@click.pass_obj
def command(
    options: Options,
    subjects: tuple[str, ...],
    known: tuple[str, ...],
    only_categories: tuple[str, ...],
    as_json: bool,
    state: str | None,
) -> int:
    """Say whether files or digests are known. Nothing is moved.

    A DIGEST is MD5, SHA-1 or SHA-256 in hexadecimal; write ./NAME for a file of that name.
    """
    from hashscan.jobs.allowed_matches import open_allow  # noqa: PLC0415 - heavy
    from hashscan.jobs.check import Checker  # noqa: PLC0415
    from hashscan.jobs.known_set import describe, open_known_set  # noqa: PLC0415
    from hashscan.output.bar import build_bar  # noqa: PLC0415
    from hashscan.scan.hashing import NotHashed  # noqa: PLC0415

    if known:
        settings, directory = open_own_settings(options, state)
    else:
        settings, directory = open_settings(options, state)
    notice = (lambda _: None) if options.verbosity < 0 else _notice
    building = partial(build_bar, sys.stderr)
    _require_files(subjects)
    known_set = open_known_set(
        settings,
        directory,
        known,
        notice,
        building,
        only_categories=only_categories,
        moving=False,
    )
    allow = open_allow(settings, directory, notice, building)
    for line in describe(known_set, allow) if options.verbosity > 0 else ():
        notice(line)
    checker = Checker(known_set, allow)
    codes = {ExitCode.NOTHING_FOUND}
    try:
        for subject in subjects:
            if _HEX.fullmatch(subject):
                digest = Digest(ALGORITHM_BY_LENGTH[len(subject)], subject.lower())
                checked: CheckResult | NotHashed = checker.digest(digest)
            else:
                checked = checker.file(subject)
            if isinstance(checked, NotHashed):
                codes.add(ExitCode.UNREADABLE)
                _print_problem(subject, checked, as_json=as_json)
            else:
                if checked.allowed is None:  # an administrator decided about an allowed file
                    codes.add(_CODES[checked.verdict])
                _print(checked, as_json=as_json)
    finally:
        checker.close()
    return exit_code_of(codes)


def _require_files(subjects: tuple[str, ...]) -> None:
    """Raise for all FILE and DIGEST arguments that cannot be checked, before the first check.

    Raises:
        UsageError: arguments name files that are missing, or directories.
    """
    wrong = []
    for subject in subjects:
        if _HEX.fullmatch(subject):
            continue
        if not os.path.lexists(subject) and re.fullmatch("[0-9a-fA-F]{20,}", subject):
            wrong.append(
                f"{subject[:200]}: there is no such file, and a digest has 32 (md5), 40 (sha1) or "
                f"64 (sha256) digits, not {len(subject)}"
            )
        elif not os.path.lexists(subject):
            wrong.append(f"{shown(subject)}: there is no such file; see the path")
        elif os.path.isdir(subject):
            wrong.append(f"{shown(subject)}: is a directory; scan it with 'hashscan scan'")
    if wrong:
        raise UsageError("\n".join(wrong))


_CODES = {
    "known": ExitCode.MATCHES,
    "pending": ExitCode.SERVICE,
    "unknown": ExitCode.NOTHING_FOUND,
}


def _notice(message: str) -> None:
    click.echo(f"hashscan: {message}", err=True)


def _print(checked: CheckResult, *, as_json: bool) -> None:
    if as_json:
        from hashscan.output.jsonl import line  # noqa: PLC0415

        click.echo(
            line(
                "check",
                subject=os.fsdecode(checked.subject),
                verdict=checked.verdict,
                candidate=checked.candidate,
                digests=checked.digests,
                algorithm=checked.digest.algorithm if checked.digest else None,
                category=checked.category,
                message=checked.message,
                allowed=checked.allowed,
            )
        )
        return
    subject = shown(checked.subject)
    if checked.verdict == "known":
        assert checked.digest
        text = f"KNOWN {subject} [{checked.category}, {checked.digest.algorithm}]"
        if checked.allowed is not None:
            text += f": allowed, stands in the allow-list {shown(checked.allowed)}"
        click.echo(f"{text}: {checked.message}" if checked.message else text)
    elif checked.verdict == "pending":
        click.echo(f"PENDING {subject}: the filter holds it, but {checked.message}")
    elif checked.candidate:
        click.echo(f"unknown {subject}: a false positive of the filter")
    else:
        click.echo(f"unknown {subject}")


def _print_problem(subject: str, problem: NotHashed, *, as_json: bool) -> None:
    message = problem.message or "it is no regular file that can be hashed"
    if as_json:
        from hashscan.output.jsonl import line  # noqa: PLC0415

        click.echo(line("problem", path=subject, reason=problem.reason.value, message=message))
    else:
        click.echo(f"PROBLEM {shown(subject)}: {problem.reason.value}: {message}")
