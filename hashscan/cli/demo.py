"""``hashscan demo``: runs the whole job on a sample volume."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hashscan.cli import Options


@click.command("demo")
@click.option(
    "--keep", is_flag=True, help="Keep the sample volume and the state, and print their paths."
)
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(),
    help="Directory for the volume and the state; default: the directory for temporary files.",
)
@click.pass_obj
def command(options: Options, keep: bool, directory: str | None) -> None:
    """Run the whole job on a sample volume, over real sockets of this machine, without root.

    The demo copies some 3,000 ordinary files of this machine and adds files of random bytes that
    count as known. The demo publishes the digests of these files as a signed filter, and starts a
    central service on a free port of this machine. The demo then finds, quarantines and restores
    the files, and checks each result. The demo takes less than a minute on an idle machine and 200
    MiB of disk, and removes all its files at the end. The demo needs the extra service: in the
    checkout, run pip install '.[service]' with the pip of the same environment.

    Exit code 0: every result is right. Exit code 70: a result is wrong, and the output names the
    wrong result. Exit code 2: a limit of the machine, e.g. a full disk, ended the demo.
    """
    from hashscan.service import require_extra  # noqa: PLC0415

    require_extra("the demo, which runs a central service,")
    from hashscan.demo.story import run  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        # The encoding of the terminal may lack some characters.
        sys.stdout.reconfigure(errors="backslashreplace")
    if options.verbosity < 0:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            run(directory, nowhere, keep=keep)
    else:
        run(directory, sys.stdout, keep=keep)
