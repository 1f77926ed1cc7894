"""Prometheus' own tool (Debian's package prometheus), as a judge of what hashscan exports."""

import shutil
import subprocess

import pytest

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments, text=None):
    """What promtool prints, and its exit code."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def samples(text):
    """Values by name and labels, of metrics as text; the name without its prefix."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name.removeprefix("hashscan_")] = float(value)
    return found
