"""What every test may use."""

import signal
import subprocess

import pytest

# A shell that starts the tests in the background (make test &) lets them ignore Ctrl-C, and what they
# start would inherit that. A handler of our own is back at the default in each new program.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def volume(tmp_path):
    """An empty directory to be scanned; taken away by rm, which depth does not stop."""
    root = tmp_path / "volume"
    root.mkdir()
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=False)
