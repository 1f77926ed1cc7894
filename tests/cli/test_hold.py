"""What ``hashscan hold dismiss`` says follows."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from hashscan.cli import cli
from hashscan.jobs import decide_holds
from hashscan.jobs.release_holds import Released
from hashscan.model import FileDigests
from hashscan.quarantine.hold_types import Hold
from hashscan.quarantine.holds import Holds
from hashscan.state import State

DIGESTS = FileDigests(sha1=hashlib.sha1(b"known").digest())


@pytest.fixture
def holds(tmp_path):
    with Holds(State(str(tmp_path)).holds) as one:
        one.hold_list("baseline", "1", 1, [DIGESTS])
        yield one


def dismiss(tmp_path):
    done = CliRunner().invoke(
        cli, ["hold", "dismiss", "H1", "--reason", "stock", "--state", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_files_of_a_held_hold_stay_in_place(tmp_path, holds):
    said = dismiss(tmp_path)
    assert "H1: dismissed; 0 files stay in place, and its digests are in" in said
    assert "restore" not in said


def test_files_of_a_released_hold_do_not(tmp_path, holds):
    holds.release(1, who="root", why="")
    assert dismiss(tmp_path).startswith("H1: dismissed; its digests are in")


def test_the_command_for_files_that_moved_before_is_named(tmp_path, holds, monkeypatch):
    monkeypatch.setattr(Hold, "has_one_content", True)
    said = dismiss(tmp_path)
    assert f"  hashscan quarantine restore --digest {hashlib.sha1(b'known').hexdigest()}" in said


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_files_that_could_not_be_moved_count_for_their_own_hold_only(
    tmp_path, holds, monkeypatch, options
):
    holds.hold_list("other", "1", 1, [DIGESTS])
    results = [Released(1, 0, 2), Released(3, 0, 0)]

    def release(_settings, _state, of, number, *_):
        return of.get(number), results.pop(0)

    monkeypatch.setattr(decide_holds, "release", release)
    found = DIGESTS.as_dict()["sha1"]
    command = ["hold", "release", "--digest", found, "--state", str(tmp_path), *options]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert done.return_value == 3, done.output
    lines = done.output.splitlines()
    if options:
        assert [json.loads(one)["failed"] for one in lines] == [2, 0]
    else:
        assert ["not moved" in one for one in lines] == [True, False]


@pytest.mark.parametrize("decision", [("release",), ("dismiss", "--reason", "stock")])
def test_a_digest_of_a_hold_that_was_dismissed_decides_about_no_other_digest(
    tmp_path, holds, decision
):
    holds.dismiss(1, who="root", why="stock")
    found = DIGESTS.as_dict()["sha1"]
    command = ["hold", *decision, "--digest", found, "--state", str(tmp_path)]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert "H1 was dismissed as a whole, with other digests" in str(done.exception)
    assert holds.get(1).why == "stock"
