"""``hashscan config``: writes an example, finds errors, shows the settings in force."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import click

from hashscan.config import example, loader
from hashscan.config import show as printing
from hashscan.config.explain import notes, summary
from hashscan.config.messages import place
from hashscan.config.trust import faults
from hashscan.durable import new_file, replace_file
from hashscan.errors import Finding, UsageError
from hashscan.fs.named import opened_named
from hashscan.output.wrapping import for_terminal
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.config.settings import Settings
    from hashscan.jobs.volume_presence import Seen


@click.group("config")
def config_group() -> None:
    """Write, check and show the configuration."""


command = config_group


#: Steps for an administrator before hashscan moves the first file, because a list can be wrong.
_BEFORE_MOVING = """\
Scans only report, because the file says quarantine.action: report. Before you change that:
  1. put the digests of your stock of software (WordPress, themes) into a list of `allow`
  2. run: hashscan scan, and check each match: is it a stock image, or in many customers' files?
  3. put digests that you doubt into a list of `allow`, and ask the publisher of the list
  4. check the limits in `brakes`: they bound how many files a wrong list can move
  5. set quarantine.action: quarantine, and restart the daemon (systemctl restart hashscan)"""


def _configured(context: click.Context) -> str | None:
    path: str | None = getattr(context.obj, "config_path", None)
    return path


@config_group.command("init")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="The file to write; - is the standard output; default: the file that --config names,"
    " else /etc/hashscan/config.yaml for root and ~/.config/hashscan/config.yaml for"
    " others.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace an existing file; the old file is kept under another name.",
)
@click.pass_context
def init(context: click.Context, output: str | None, force: bool) -> None:
    """Write an example configuration, to be edited.

    Without --force, an existing file is not changed. With --force, the old file is kept as
    FILE.old-1, FILE.old-2 and so on.
    """
    text = example.render()
    if output == "-":
        click.echo(text, nl=False)
        return
    path = output or _configured(context)
    if path is None:
        path = loader.SYSTEM_PATH if os.geteuid() == 0 else loader.user_path()
    if path is None:
        raise UsageError(
            "there is no home directory to write the configuration to (neither HOME nor /etc/passwd"
            " names one): say where with --output FILE"
        )
    kept = _write(path, text.encode(), force=force)
    if kept:
        click.echo(f"kept the old file as {shown(kept)}")
    click.echo(f"wrote {shown(path)}")
    click.echo("Now set the volumes, the service and the filter in it, and run:")
    click.echo(f"  hashscan config check {shown(path)}")
    click.echo(_BEFORE_MOVING)


def _write(path: str, content: bytes, *, force: bool) -> str | None:
    """Write a whole new file, mode 0600; return the new name of an old file with the same name."""
    folder, name = os.path.split(os.path.abspath(path))
    kept = None
    try:
        with opened_named(os.fsencode(folder), make=0o755) as named:
            try:
                with new_file(path) as file:
                    file.write(content)
            except FileExistsError:
                if not force:
                    raise UsageError(
                        f"{shown(path)} exists and was not touched; write elsewhere with --output"
                        " FILE, or replace it with --force (the old one is kept)"
                    ) from None
                kept = os.path.join(os.path.dirname(path), _keep_old(named.fd, name, path))
                replace_file(path, content)
    except (OSError, ValueError) as error:
        told = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(
            f"{shown(path)}: {told}; choose a place that this user may write to with --output FILE"
        ) from error
    return kept


def _keep_old(directory: int, name: str, path: str) -> str:
    """Give a file a second name in its directory, and return the second name."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{shown(path)} is not a regular file and was not replaced; remove it")
    number = 1
    while True:
        kept = f"{name}.old-{number}"
        try:
            os.link(name, kept, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            number += 1
        else:
            return kept


def _load(path: str | None) -> tuple[str, Settings]:
    path = path or loader.default_path()
    return path, loader.load(path)


@config_group.command("check")
@click.argument("file", required=False)
@click.pass_context
def check(context: click.Context, file: str | None) -> None:
    """List all errors of the configuration, each with its line and its fix.

    The default FILE is the configuration that the other commands use.

    The command reads lists, filters and password files as the daemon does when it starts, and
    stores nothing. Large lists may take minutes, unless hashscan has already made a filter from the
    lists.

    Exit code 0: the daemon can start with the configuration, and reload it; a missing volume or
    Maildir is only a note. Exit code 2: the configuration cannot be used. Exit code 5: a filter
    that the configuration names cannot be used.
    """
    from hashscan.jobs.notices.mailbox import maildir_fault  # noqa: PLC0415 - heavy
    from hashscan.jobs.startup_check import not_fetched_yet  # noqa: PLC0415 - heavy
    from hashscan.jobs.volume_probe import check_all  # noqa: PLC0415 - heavy
    from hashscan.state import State  # noqa: PLC0415 - heavy

    path, settings = _load(file or _configured(context))
    remarks: list[str] = []
    missing_filters = not_fetched_yet(
        settings, State(settings.state, make=False), remarks.append, keep=False
    )
    if missing_filters is not None:
        remarks.append(f"the daemon fetches the filters before it scans: {missing_filters}")
    click.echo(f"{shown(path)}: no errors")
    for name, words in summary(settings):
        click.echo(for_terminal(f"  {name:<11} {words}", 14))
    for note in [*notes(settings), *remarks]:
        click.echo(f"note: {note}")
    missing = [name for name in ("volumes", "service") if not getattr(settings, name)]
    if missing:
        click.echo(f"note: {' and '.join(missing)}: missing; the daemon does not start without")
    # As in the daemon, a volume that is missing or does not answer does not delay other volumes.
    first_index: dict[bytes, int] = {}
    for index, seen in enumerate(check_all([one.path for one in settings.volumes])):
        where = f"volumes[{index}].path"
        if seen.error is not None:
            click.echo(f"note: {Finding(where, *_why_not_scanned(seen))}")
        elif (first := first_index.setdefault(seen.root, index)) != index:
            fault_text = f"leads to the same directory as volumes[{first}].path"
            click.echo(f"note: {Finding(where, fault_text, 'remove one of the two')}")
    fault = maildir_fault(settings)
    if fault is not None:
        click.echo(f"note: {Finding('notices.maildir', *fault)}")
    for loc, fault_text, fix in faults(settings):
        click.echo(f"note: {Finding(place(loc) or shown(path), fault_text, fix)}")


def _why_not_scanned(seen: Seen) -> tuple[str, str]:
    """Return a line that says why a volume cannot be scanned now, and what to do."""
    path = shown(seen.root)
    if seen.refused:
        return str(seen.error), "until then it is not scanned"
    if seen.number in {errno.ENOENT, errno.ENOTDIR}:
        fix = "it is scanned once it is there; mount or create it, or correct the path"
        return f"{path} is not a directory now", fix
    return f"{path}: {seen.error}", "it is scanned once it can be; see its mount"


@config_group.command("show")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object, with durations in seconds and sizes in bytes.",
)
@click.pass_context
def show(context: click.Context, as_json: bool) -> None:
    """Print the settings in force, defaults included, without secrets.

    Files and directories that the settings name need not exist.
    """
    path = _configured(context)
    settings = loader.load_or_default(path, check_files=False)
    used = path or loader.default_path()
    found = path is not None or os.path.lexists(used)
    if as_json:
        event: dict[str, Any] = {"event": "configuration", "file": used if found else None}
        click.echo(json.dumps({**event, "settings": printing.to_plain(settings)}))
        return
    click.echo(f"# {shown(used)}" if found else f"# defaults: there is no {shown(used)}")
    click.echo(printing.to_yaml(settings), nl=False)
