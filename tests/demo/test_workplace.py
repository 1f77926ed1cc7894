"""The directory in which the demo works."""

import io
import os
import re
import stat
import subprocess

import pytest
from demo_runs import FEW, demo

from hashscan.demo import story, workplace
from hashscan.errors import ExitCode


def test_keep_says_where_even_after_a_failure(place):
    out = io.StringIO()
    with pytest.raises(workplace.DemoError, match="in step 2: the exit code"):
        story.run(str(place), out, keep=True, files=FEW, command=["false"])
    kept = re.search(r"^Kept, as asked: (\S+)$", out.getvalue(), re.MULTILINE)[1]
    assert sorted(os.listdir(kept)) == ["lists", "www"]
    assert os.path.dirname(kept) == str(place)
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o700
    advice = re.search(r"^Remove it with: (.*)$", out.getvalue(), re.MULTILINE)[1]
    subprocess.run(advice, shell=True, check=True)
    assert not os.path.lexists(kept)


def test_a_directory_that_cannot_be_used(tmp_path):
    done = demo("--directory", str(tmp_path / "missing"))
    assert done.returncode == ExitCode.USAGE
    assert "missing: the demo cannot make a directory there: No such file" in done.stderr
    assert "--directory DIR" in done.stderr
