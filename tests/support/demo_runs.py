"""The whole demo as a command."""

import os
import subprocess
import sys

DEMO = ["-m", "hashscan", "demo"]
FEW = 150  # files of the library, if the volume's size does not matter


def demo(*arguments, **environment):
    """The whole demo as a sysadmin runs it, without a terminal."""
    return subprocess.run(
        [sys.executable, *DEMO, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
    )
