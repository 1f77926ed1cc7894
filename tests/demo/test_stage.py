"""The demo's commands: how long they may take, and what a limit of the machine is."""

import io
import os
import sys
import time

import pytest
from demo_runs import FEW

from hashscan.demo import stage, story, workplace
from hashscan.errors import ExitCode, MachineError


def test_a_limit_of_the_machine_is_no_wrong_result(place):
    script = ["sh", "-c", "echo 'hashscan: error: too many open files'; exit 2"]
    with pytest.raises(MachineError, match=r"in step \d: .* 2: too many open files") as caught:
        story.run(str(place), io.StringIO(), files=FEW, command=script)
    assert caught.value.exit_code == ExitCode.USAGE
    assert os.listdir(place) == []


def test_no_command_waits_forever(place, monkeypatch):
    monkeypatch.setattr(stage, "_PATIENCE", 0.2)
    script = [sys.executable, "-c", "import time; time.sleep(300)"]
    started = time.monotonic()
    with pytest.raises(workplace.DemoError, match="ended within"):
        story.run(str(place), io.StringIO(), files=FEW, command=script)
    assert time.monotonic() - started < 60
    assert os.listdir(place) == []
