"""The lock ends with the engine that holds it, not with the last of its worker processes."""

import os
import secrets
import signal
import time
import warnings

import pytest
from commandline import Agent, members, started, until

from hashscan.errors import LockedError
from hashscan.state import Lock


def test_lock_of_a_killed_engine(volume, tmp_path):
    known = tmp_path / "state.list"
    config = tmp_path / "config.yaml"
    config.write_text(f"service: {{kind: local, known: ['{known}']}}\nscan: {{max_rate: 500KiB}}\n")
    content = secrets.token_bytes(4 << 20)
    (volume / "large").write_bytes(content)
    slow = Agent(tmp_path / "state", volume, [content], config=config)
    quick = Agent(tmp_path / "state", volume, [content])
    with started(*slow.arguments("--json", "--full")) as process:
        until(lambda: len(members(process.pid)) > 2, 60, "workers are there")
        time.sleep(0.6)
        os.kill(process.pid, 9)
        process.wait()
        assert quick.scan("--full").code == 1


def test_lock_whose_holder_left_a_process(tmp_path):
    """Workers are killed with their engine, but not always before the next engine starts."""
    path = os.fspath(tmp_path / "lock")
    reading, writing = os.pipe()
    held, holds = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        holder = os.fork()
    if not holder:
        lock = Lock(path)  # noqa: F841 - it is held to the end
        if not os.fork():
            os.close(writing)
            os.read(reading, 1)  # returns when the test ends
            os._exit(0)
        os.write(holds, b".")
        signal.pause()
    try:
        assert os.read(held, 1) == b"."
        with pytest.raises(LockedError):
            Lock(path)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        with Lock(path):
            pass
    finally:
        for one in (reading, writing, held, holds):
            os.close(one)
