"""Temporary directories of earlier runs of the tests."""

import getpass
import os
import subprocess
import tempfile
import time
from pathlib import Path

#: As pytest has it: so many runs are kept, and an older lock is of a run that was killed.
KEPT, LOCKED = 3, 3 * 86400


def remove():
    """Remove what pytest would remove at the end of this run.

    pytest's own way recurses. It ends a run that has passed with an error if an earlier one, e.g. one
    that was killed, left directories a thousand deep.
    """
    top = Path(
        os.environ.get("PYTEST_DEBUG_TEMPROOT") or tempfile.gettempdir(),
        f"pytest-of-{getpass.getuser()}",
    )
    numbered = [one for one in top.glob("pytest-*") if one.name[7:].isdigit()]
    numbered.sort(key=lambda one: int(one.name[7:]))
    old = [*top.glob("garbage-*"), *filter(_has_ended, numbered[: 1 - KEPT])]
    subprocess.run(["rm", "-rf", "--", *old], check=False)


def _has_ended(run):
    try:
        return (run / ".lock").stat().st_mtime < time.time() - LOCKED
    except FileNotFoundError:
        return True
