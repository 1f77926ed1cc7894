"""``hashscan filter``: makes a filter file from digest lists, and checks a filter file."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from hashscan.cli.common import (
    no_tiers_option,
    only_category_option,
    open_configuration,
    state_option,
    warn_of_lists,
)
from hashscan.errors import ExitCode
from hashscan.known.lists.categories import counted
from hashscan.text import human_size, shown

if TYPE_CHECKING:
    from hashscan.cli import Options
    from hashscan.known.filters.build import BuildReport
    from hashscan.known.filters.open_filter import FilterFile

_DAY = 86400.0


@click.group("filter")
def command() -> None:
    """Make a filter file from digest lists, or check a filter file."""


@command.command("build")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The filter file to make.")
@click.option("--category", default="baseline", show_default=True, help="Category of the filter.")
@click.option(
    "--error-rate",
    type=float,
    default=1e-6,
    show_default=True,
    help="Probability of a hit for a digest that is not in the lists.",
)
@click.option(
    "--capacity",
    type=click.IntRange(min=1),
    help="Number of digests that the filter has room for.  [default: the digests of the lists]",
)
@click.option("--skip-invalid", is_flag=True, help="Leave invalid lines out, and count them.")
@only_category_option
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@no_tiers_option
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Number of processes that fill the filter.  [default: the cores that hashscan may use]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def build_command(
    inputs: tuple[str, ...],
    output: str,
    category: str,
    error_rate: float,
    capacity: int | None,
    skip_invalid: bool,
    only_categories: tuple[str, ...],
    force: bool,
    no_tiers: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Make a filter from the digest lists INPUT ('-' is standard input).

    hashscan recognises the kind of a list: one digest a line; the output of md5sum, sha1sum,
    sha256sum or hashdeep; CSV with a header that names md5, sha1, sha256, size or category; or VICS
    JSON.

    Lists may name a category for each digest. The filter gets all digests without a category. From
    a VICS list (Project VIC), the filter gets only category 1, 'vics-1': child abuse material. The
    other categories of VICS hold files that are innocent, or not illegal everywhere (0
    non-pertinent, 2 exploitive but no abuse material, 3 computer-generated, 4 for comparison, 5
    uncategorised), and countries number these categories differently. To choose other categories,
    name all categories that count as known, e.g. --only-category vics-1 --only-category vics-2.

    FILE.json, with the metadata, is written beside FILE; keep the two files together. The command
    also writes tiers, each with its .json: FILE.sizes if every digest has a size in bytes (VICS,
    hashdeep, a column 'size'), and FILE.heads if every digest has the XXH3-128 of the first 4,096
    bytes (a column 'xxh3-4096'). Scans with tiers open far fewer files. But if a list gives a wrong
    size or key for a file, scans do not find that file. Therefore check that the printed range of
    sizes is plausible.
    """
    from hashscan.known.filters.build import build  # noqa: PLC0415 - heavy libraries, see pyproject.toml
    from hashscan.output.bar import build_bar  # noqa: PLC0415

    warn_of_lists(inputs)
    with build_bar(sys.stderr) as on_progress:
        report = build(
            inputs,
            output,
            category=category,
            error_rate=error_rate,
            capacity=capacity,
            skip_invalid=skip_invalid,
            only_categories=only_categories,
            force=force,
            tiers=not no_tiers,
            jobs=jobs,
            on_progress=on_progress,
        )
    click.echo(_build_json(report) if as_json else _build_text(report))


@command.command("info")
@click.argument("file", metavar="[FILE]", required=False)
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.pass_obj
def info_command(options: Options, file: str | None, state: str | None, as_json: bool) -> ExitCode:
    """Run every check on the filter FILE, and show its metadata.

    Without FILE, the command lists the filters that the configuration names, with category, age and
    number of digests. Exit code 5: a filter cannot be used.
    """
    if file is None:
        return _list_configured(options, state, as_json=as_json)
    from hashscan.known.filters.open_filter import open_filter  # noqa: PLC0415 - heavy libraries

    opened = open_filter(file)
    click.echo(_info_json(opened) if as_json else _info_text(opened))
    return ExitCode.NOTHING_FOUND


def _list_configured(options: Options, state: str | None, *, as_json: bool) -> ExitCode:
    from hashscan.cli.status import filter_line  # noqa: PLC0415
    from hashscan.cli.status_json import filter_json  # noqa: PLC0415
    from hashscan.jobs.status import filters_of  # noqa: PLC0415 - heavy libraries
    from hashscan.output.jsonl import line  # noqa: PLC0415
    from hashscan.state import State  # noqa: PLC0415

    settings = open_configuration(options, state, check_files=False)
    source, filters = filters_of(settings, State(settings.state, make=False))
    if as_json:
        for one in filters:
            click.echo(line("filter", **filter_json(one)))
    else:
        click.echo(f"filters: {shown(source)}")
        for one in filters:
            click.echo(f"  {filter_line(one)}")
    usable = all(one.trouble is None for one in filters)
    return ExitCode.NOTHING_FOUND if usable else ExitCode.FILTER


def _build_text(report: BuildReport) -> str:
    metadata = report.metadata
    by_algorithm = ", ".join(f"{count:,} {name}" for name, count in report.digests.items())
    lines = [
        f"{shown(report.path)}: {metadata.digests:,} digests in {report.seconds:.1f} s",
        f"  digests     {by_algorithm}",
        f"  category    {metadata.category}",
        f"  version     {metadata.version}",
        f"  size        {human_size(metadata.length)}",
        f"  duplicates  {report.duplicates:,}",
        f"  empty       {_sum(report, 'empty'):,} digests of empty content left out",
        f"  invalid     {_sum(report, 'invalid'):,} lines skipped",
    ]
    without = _sum(report, "without_digest")
    if without:
        lines.append(f"  no digest   {without:,} rows without md5, sha1 or sha256")
    if report.categories:
        named = ", ".join(f"{name} {count:,}" for name, count in report.categories.items())
        lines.append(f"  categories  {named}")
    lines += [f"  tier        {told.text}" for told in report.tiers.told()]
    left_out = _left_out(report)
    if left_out:
        lines.append(f"  not taken   {counted(left_out)}: these do not count as known;")
        lines.append("              name each category that does with --only-category")
    lines += [
        f"  note        {advice}" for digest_list in report.lists for advice in digest_list.advice()
    ]
    for digest_list in report.lists:
        lines += [
            f"  skipped     {finding.where}: {finding.what}" for finding in digest_list.findings
        ]
        unnamed = digest_list.invalid - len(digest_list.findings)
        if digest_list.findings and unnamed > 0:
            lines.append(f"  skipped     {digest_list.name}: {unnamed:,} more lines")
    return "\n".join(lines)


def _sum(report: BuildReport, name: str) -> int:
    return sum(getattr(one, name) for one in report.lists)


def _left_out(report: BuildReport) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in report.lists:
        total.update(one.unwanted)
    return dict(total)


def _build_json(report: BuildReport) -> str:
    metadata = report.metadata
    return json.dumps(
        {
            "event": "filter",
            "path": report.path,
            "version": metadata.version,
            "category": metadata.category,
            "digests": report.digests,
            "duplicates": report.duplicates,
            "empty": _sum(report, "empty"),
            "invalid": _sum(report, "invalid"),
            "without_digest": _sum(report, "without_digest"),
            "list_categories": report.categories,
            "left_out_categories": _left_out(report),
            "zero_size": _sum(report, "zero_size"),
            "capacity": metadata.capacity,
            "error_rate": metadata.error_rate,
            "bytes": metadata.length,
            "sha256": metadata.sha256,
            "tiers": {name: one.digests for name, one in report.tiers.made.items()},
            "tiers_lacking": report.tiers.lacking,
            "size_range": report.tiers.size_range,
            "seconds": round(report.seconds, 3),
        }
    )


def _tiers_text(opened: FilterFile) -> list[str]:
    from hashscan.known.filters.filter_file import BloomFile  # noqa: PLC0415 - heavy libraries
    from hashscan.known.filters.tiers import TierFile  # noqa: PLC0415

    if not isinstance(opened, BloomFile):
        return []
    tiers = [tier.metadata for tier in opened.tiers if isinstance(tier, TierFile)]
    return [
        *(
            f"  tier        {tier.tier}: {tier.digests:,}, {human_size(tier.length)}"
            for tier in tiers
        ),
        *(f"  tier        {why}" for why in opened.tiers_unused),
    ]


def _info_text(opened: FilterFile) -> str:
    metadata = opened.metadata
    age = max(0.0, time.time() - metadata.created_seconds)
    described = _described(opened)
    fill = f"{opened.fill:.1%} of the bits are set"
    unsaid = "not said by the file; see filter.categories and filter.algorithms"
    return "\n".join(
        [
            f"{shown(opened.path)}: whole; every check passed",
            f"  kind        {described['kind']}",
            f"  category    {described['category'] or unsaid}",
            f"  algorithms  {', '.join(described['algorithms'] or [unsaid])}",
            f"  digests     {metadata.digests:,} of {metadata.capacity:,}",
            f"  error rate  {metadata.error_rate:g} when full ({fill})",
            f"  created     {metadata.created}, {age / _DAY:.1f} days ago",
            f"  version     {described['version']}",
            f"  size        {human_size(metadata.length)}",
            f"  sha256      {metadata.sha256}",
            *_tiers_text(opened),
        ]
    )


def _described(opened: FilterFile) -> dict[str, Any]:
    """Return a filter's metadata by name; a DCSO filter names no category and no algorithms."""
    from hashscan.known.filters.dcso import DcsoFile  # noqa: PLC0415

    if isinstance(opened, DcsoFile):
        version = opened.metadata.sha256[:16]
        return {"kind": "dcso", "version": version, "category": None, "algorithms": None}
    return {
        "kind": "hashscan",
        "version": opened.version,
        "category": opened.category,
        "algorithms": opened.metadata.algorithms,
    }


def _info_json(opened: FilterFile) -> str:
    metadata = opened.metadata
    return json.dumps(
        {
            "event": "filter",
            "path": opened.path,
            **_described(opened),
            "digests": metadata.digests,
            "capacity": metadata.capacity,
            "error_rate": metadata.error_rate,
            "fill": round(opened.fill, 6),
            "created": metadata.created,
            "age_seconds": round(time.time() - metadata.created_seconds, 1),
            "tiers": opened.tiers.names,
            "bytes": metadata.length,
            "sha256": metadata.sha256,
        }
    )
