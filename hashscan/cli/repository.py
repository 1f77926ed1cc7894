"""``hashscan repository``: publishes signed filters as static files, for any web server."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import (
    Number,
    ask_password,
    checked_option,
    no_tiers_option,
    only_category_option,
    warn_of_lists,
)
from hashscan.errors import ExitCode
from hashscan.text import human_size, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.publisher.publish import Published
    from hashscan.publisher.versions import AddedVersion

_ROLES = ("root", "targets", "snapshot", "timestamp")

keys_option = click.option(
    "--keys",
    metavar="DIR",
    multiple=True,
    required=True,
    help="A directory with keys; may be given several times, e.g. for keys on another medium.",
)
expires_option = click.option(
    "--expires",
    metavar="ROLE=DURATION",
    multiple=True,
    help="Time for which the signed metadata are valid.  [default: root=365d targets=90d"
    " snapshot=7d timestamp=2d]",
)
clock_option = click.option(
    "--clock-is-right",
    is_flag=True,
    help="Sign even if this clock may be far ahead, e.g. because the last signatures have expired.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("repository")
def command() -> None:
    """Publish signed filters as static files."""


@command.command("init")
@click.argument("directory", metavar="DIR")
@click.option(
    "--keys",
    metavar="DIR",
    required=True,
    help="Directory for the new keys; outside of DIR, private.",
)
@click.option(
    "--root-keys",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of root keys to make.",
)
@click.option(
    "--root-threshold",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of root keys that must sign.",
)
@click.option(
    "--targets-keys",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of targets keys to make.",
)
@click.option(
    "--targets-threshold",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of targets keys that must sign.",
)
@expires_option
@json_option
def init_command(
    directory: str,
    keys: str,
    root_keys: int,
    root_threshold: int,
    targets_keys: int,
    targets_threshold: int,
    expires: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make keys and an empty repository in DIR.

    Give the file DIR/metadata/1.root.json to the administrators of the agents in a trusted way:
    each agent names it in the setting filter.root. Keep the root and targets keys off line;
    'refresh' needs only the keys of snapshot and timestamp.
    """
    from hashscan.publisher.publish import init  # noqa: PLC0415 - heavy: cryptography

    made = init(
        directory,
        keys,
        counts={"root": root_keys, "targets": targets_keys},
        thresholds={"root": root_threshold, "targets": targets_threshold},
        terms=_terms(expires),
    )
    if as_json:
        click.echo(_json(made, command="init"))
        return
    click.echo(f"{shown(directory)}: an empty repository; its keys are in {shown(keys)}")
    _print_roles(made)
    click.echo(f"  agents pin  {shown(made.pin)}")
    click.echo(
        "  off line    root-*.pem and targets-*.pem: move them to a medium that you put away"
    )
    click.echo("  next        hashscan repository add, then refresh by a timer, twice a day")


@command.command("add")
@click.argument("directory", metavar="DIR")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@keys_option
@click.option("--category", required=True, metavar="NAME", help="Category, e.g. baseline.")
@click.option(
    "--error-rate",
    metavar="RATE",
    type=float,
    default=1e-6,
    show_default=True,
    help="Probability of a hit for a digest that is not in the lists.",
)
@click.option(
    "--head-room",
    metavar="SHARE",
    type=Number(0, 10),
    default=0.25,
    show_default=True,
    help="Room for future digests in a filter of a new size.",
)
@click.option(
    "--patches",
    metavar="N",
    type=click.IntRange(0, 100),
    default=14,
    show_default=True,
    help="Number of earlier versions for which there is a patch.",
)
@click.option(
    "--allow-large-change",
    is_flag=True,
    help="Publish even if a tenth of the digests is withdrawn, or if the lists have more new"
    " digests than the last version had digests.",
)
@click.option("--skip-invalid", is_flag=True, help="Leave invalid lines out, and count them.")
@only_category_option
@no_tiers_option
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Number of processes that fill the filter.  [default: the cores that hashscan may use]",
)
@expires_option
@clock_option
@json_option
def add_command(
    directory: str,
    inputs: tuple[str, ...],
    keys: tuple[str, ...],
    category: str,
    error_rate: float,
    head_room: float,
    patches: int,
    allow_large_change: bool,
    skip_invalid: bool,
    only_categories: tuple[str, ...],
    no_tiers: bool,
    jobs: int | None,
    expires: tuple[str, ...],
    clock_is_right: bool,
    as_json: bool,
) -> None:
    """Publish the next version of a category's filter from the lists INPUT.

    The lists must hold the whole category: a digest that is in no list is withdrawn. Agents that
    have one of the last versions fetch a patch. Other agents fetch the whole file, and so do all
    agents if the filter gets a new size. If the lists did not change, the command only renews the
    metadata.

    'hashscan filter build --help' describes the kinds of lists. Tiers are published beside the
    filter, and let agents skip files without reading them. The command needs the keys of targets,
    snapshot and timestamp.
    """
    from hashscan.output.bar import build_bar  # noqa: PLC0415
    from hashscan.publisher.versions import add  # noqa: PLC0415 - heavy: cryptography

    warn_of_lists(inputs)
    with build_bar(sys.stderr) as on_progress:
        added = add(
            directory,
            keys,
            category,
            inputs,
            error_rate=error_rate,
            head_room=head_room,
            patches=patches,
            allow_large_change=allow_large_change,
            skip_invalid=skip_invalid,
            only_categories=only_categories,
            tiers=not no_tiers,
            jobs=jobs,
            terms=_terms(expires),
            clock_is_right=clock_is_right,
            ask=_ask(),
            on_progress=on_progress,
        )
    if as_json:
        click.echo(_json(added.published, command="add", **_added(added)))
    else:
        _print_added(added)


@command.command("refresh")
@click.argument("directory", metavar="DIR")
@keys_option
@click.option(
    "--continue-older",
    is_flag=True,
    help="Continue the older state in DIR, e.g. from a backup, if the newest state is lost.",
)
@expires_option
@clock_option
@json_option
def refresh_command(
    directory: str,
    keys: tuple[str, ...],
    continue_older: bool,
    expires: tuple[str, ...],
    clock_is_right: bool,
    as_json: bool,
) -> ExitCode:
    """Renew metadata before they expire; run this command by a timer, twice a day.

    The command always renews the metadata of snapshot and timestamp. The command renews the
    metadata of targets and root in the last third of their terms if you give the keys of these
    roles; without these keys, the command prints a warning. Exit code 5: metadata have expired, and
    agents refuse every update.
    """
    from hashscan.publisher.publish import refresh  # noqa: PLC0415 - heavy: cryptography

    done = refresh(
        directory,
        keys,
        ask=_ask(),
        terms=_terms(expires),
        clock_is_right=clock_is_right,
        continue_older=continue_older,
    )
    if as_json:
        click.echo(_json(done, command="refresh"))
    else:
        click.echo(f"{shown(directory)}: refreshed")
        _print_roles(done)
    return ExitCode.FILTER if done.expired else ExitCode.NOTHING_FOUND


@command.command("keys")
@click.argument("directory", metavar="DIR")
@keys_option
@json_option
def keys_command(directory: str, keys: tuple[str, ...], as_json: bool) -> None:
    """List the keys that agents trust for each role, with their ids and their files.

    'rotate --remove' needs the id of a key. If a key is listed without a file, the key is in no
    directory of --keys: name the directory of the key with another --keys.
    """
    from hashscan.publisher.publish import role_keys  # noqa: PLC0415 - heavy: cryptography

    for one in role_keys(directory, keys, ask=_ask()):
        expires = rfc3339(one.expires.timestamp())
        if as_json:
            files = [{"id": keyid, "file": path} for keyid, path in one.files]
            event = {"event": "keys", "role": one.role, "threshold": one.threshold}
            click.echo(json.dumps({**event, "expires": expires, "keys": files}))
            continue
        needed = f"{one.threshold} of {len(one.files)} must sign"
        click.echo(f"{one.role}: {needed}; their last signed metadata expire {expires}")
        for keyid, path in one.files:
            click.echo(f"  {keyid}  {shown(path) if path else 'not in a directory of --keys'}")


@command.command("rotate")
@click.argument("directory", metavar="DIR")
@keys_option
@click.option(
    "--role",
    required=True,
    type=click.Choice(_ROLES),
    metavar="ROLE",
    help="The role of the key: root, targets, snapshot or timestamp.",
)
@click.option(
    "--remove",
    metavar="KEYID",
    multiple=True,
    help="The id of a key to trust no longer, from 'repository keys'; may be given several"
    " times.  [default: the role's only key]",
)
@clock_option
@json_option
def rotate_command(
    directory: str,
    keys: tuple[str, ...],
    role: str,
    remove: tuple[str, ...],
    clock_is_right: bool,
    as_json: bool,
) -> None:
    """Make a new key for a role, and end the trust in an old key.

    The new key is written to the first directory of --keys. The command needs the keys of root, of
    the role, and of the roles that depend on it. The agents accept the new key by themselves; the
    file in their setting filter.root stays valid.
    """
    from hashscan.publisher.publish import rotate  # noqa: PLC0415 - heavy: cryptography

    done = rotate(directory, keys, role, remove=remove, ask=_ask(), clock_is_right=clock_is_right)
    if as_json:
        click.echo(_json(done, command="rotate"))
        return
    for keyid in done.keys[role]:
        click.echo(f"{shown(directory)}: {role} has the new key {keyid}, kept in {shown(keys[0])}")
    for keyid in done.removed_keys:
        click.echo(f"  no more     {keyid}: destroy its file")
    _print_roles(done)


def _ask() -> Callable[[str], str] | None:
    """Return a function that asks for passphrases of keys; ``None``: there is no terminal."""
    return _passphrase if sys.stdin.isatty() else None


def _passphrase(path: str) -> str:
    return ask_password(f"passphrase of {path}", "run it at a terminal")


def _terms(expires: tuple[str, ...]) -> dict[str, timedelta]:
    from hashscan.config import values  # noqa: PLC0415 - heavy

    terms = {}
    for text in expires:
        role, _, duration = text.partition("=")
        seconds = checked_option(f"--expires {shown(role)}", duration, values.exact_duration)
        if role not in _ROLES or seconds < 60:
            raise click.UsageError(
                f"--expires {shown(text)}: write e.g. timestamp=2d; roles are {', '.join(_ROLES)},"
                " and a duration is between a minute and ten years"
            )
        terms[role] = timedelta(seconds=seconds)
    return terms


def _print_roles(result: Published) -> None:
    for one in result.roles:
        mark = ", renewed" if one.renewed else ""
        until = f"{one.expires:%Y-%m-%d %H:%M} UTC"
        click.echo(f"  {one.role:<10}  version {one.version}, expires {until}{mark}")
    for warning in result.warnings:
        click.echo(f"hashscan: {warning}", err=True)


def _print_added(added: AddedVersion) -> None:
    made = added.metadata
    what = f"{made.digests:,} digests of {made.category}"
    before = "" if added.before is None else f", {added.before:,} before"
    if not added.changed:
        changes = [
            (added.tiers_changed, "tiers published again"),
            (added.tiers_gone, "tiers withdrawn"),
        ]
        told_changes = "; ".join(f"{what}: {', '.join(names)}" for names, what in changes if names)
        also = told_changes or "what expires is renewed"
        click.echo(f"{shown(added.published.directory)}: {what}, as before; {also}")
    else:
        click.echo(f"{shown(added.published.directory)}: published {what}{before}")
    click.echo(f"  version     {made.version}")
    click.echo(f"  capacity    {made.capacity:,}" + (", made again" if added.anew else ""))
    click.echo(f"  whole file  {human_size(added.length)}")
    for one in added.patches:
        click.echo(f"  patch       {human_size(one.length)} from {one.base[:12]}")
    for told in added.tiers.told():
        if told.name in added.tiers_gone:
            continue
        length = added.tiers_length.get(told.name)
        size = "" if length is None else f" ({human_size(length)})"
        click.echo(f"  tier        {told.text}{size}")
    for name in added.tiers_gone:
        lacking = added.tiers.lacking.get(name)
        if not lacking:
            click.echo(
                f"  tier        {name}: withdrawn, as you asked; agents read the files"
                " that it ruled out"
            )
        else:
            click.echo(
                f"  tier        {name}: withdrawn, because {lacking:,} digests lack them; agents"
                " read the files that it ruled out"
            )
    for report in added.lists:
        for remark in report.remarks():
            click.echo(f"  note        {remark}")
    _print_roles(added.published)


def _added(added: AddedVersion) -> dict[str, object]:
    made = added.metadata
    return {
        "category": made.category,
        "version": made.version,
        "changed": added.changed,
        "anew": added.anew,
        "digests": added.digests,
        "digests_before": added.before,
        "invalid": sum(one.invalid for one in added.lists),
        "empty": sum(one.empty for one in added.lists),
        "capacity": made.capacity,
        "error_rate": made.error_rate,
        "sha256": made.sha256,
        "bytes": made.length,
        "packed_bytes": added.length,
        "patches": [{"base": one.base, "packed_bytes": one.length} for one in added.patches],
        "tiers": [
            {"tier": name, "keys": one.digests, "packed_bytes": added.tiers_length[name]}
            for name, one in added.tiers.made.items()
        ],
        "tiers_lacking": added.tiers.lacking,
        "tiers_changed": added.tiers_changed,
        "tiers_gone": added.tiers_gone,
        "size_range": added.tiers.size_range,
    }


def _json(result: Published, **more: object) -> str:
    from hashscan.output.jsonl import line  # noqa: PLC0415

    roles = {
        one.role: {
            "version": one.version,
            "expires": rfc3339(one.expires.timestamp()),
            "renewed": one.renewed,
        }
        for one in result.roles
    }
    return line(
        "repository",
        **more,
        path=result.directory,
        pin=result.pin,
        roles=roles,
        keys=result.keys,
        removed_keys=list(result.removed_keys),
        warnings=list(result.warnings),
    )
