"""Tiers on the command line: what a sysadmin sees of them, and how to do without."""

import json
import os

import pytest
import ready
from scanning import sha1

SIZE = 5000
KNOWN = os.urandom(SIZE)


@pytest.fixture
def run(tmp_path):
    """Runs hashscan in a place with a known file, others, and a list that gives sizes."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "known").write_bytes(KNOWN)
    for number in range(20):
        (tmp_path / "www" / f"other{number}").write_bytes(b"x" * (7000 + number))

    def call(*words, size=SIZE):
        (tmp_path / "list.csv").write_text(f"sha1,size\n{sha1(KNOWN)},{size}\n")
        return ready.in_words(
            ready.hashscan(*words, "--state", "state", "--known", "list.csv", cwd=tmp_path)
        )

    return call


def summary(done):
    return json.loads(done.stdout.splitlines()[-1])


def test_the_range_of_the_sizes_and_the_way_out_are_told_where_a_list_is_taken_in(run):
    done = run("scan", "www")
    assert done.returncode == 1
    assert "sizes: every digest has one, 5,000 to 5,000 bytes" in done.stderr
    assert "--no-tiers" in done.stderr
    assert "sizes:" not in run("scan", "www").stderr, "said once"


def test_what_was_ruled_out_is_told_as_that_in_every_scan(run):
    for _ in range(3):
        found = summary(run("scan", "www", "--json"))
        assert found["matches"] == 1
        assert found["skipped"]["unknown-size"] >= 15
        assert found["files"] == 21


def test_a_wrong_size_hides_a_file_and_can_be_found_out(run):
    for wrong in range(SIZE + 1, SIZE + 6):  # by chance, once in 256 times, it is none
        hidden = run("scan", "www", "--json", size=wrong)
        if hidden.returncode == 0:
            break
    assert summary(hidden)["matches"] == 0
    for option in ("--no-tiers", "--full"):
        found = run("scan", "www", option, "--json", size=wrong)
        assert (found.returncode, summary(found)["matches"]) == (1, 1)
    checked = run("check", "www/known", size=wrong)
    assert "KNOWN" in checked.stdout
    assert "scans pass it over" in checked.stdout + checked.stderr
    assert "pass it over" not in run("check", "www/known").stdout
    assert summary(run("scan", "www", "--json"))["matches"] == 1, "put right"


def test_the_configuration_can_do_without(tmp_path, run):
    (tmp_path / "config.yaml").write_text(
        f"volumes: [{{path: {tmp_path}/www}}]\nscan: {{tiers: false}}\n"
    )
    done = run("--config", "config.yaml", "scan", "--json", size=9)
    assert summary(done)["hashed"] == 21
    assert summary(done)["matches"] == 1
