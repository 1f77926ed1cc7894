"""``hashscan sync``: what is printed about each category."""

import json
import time

import pytest

from hashscan.cli.sync import _print, _print_json
from hashscan.errors import Fault
from hashscan.known.sync.client import CategoryReport, SyncReport

UPDATED = CategoryReport("baseline", "updated", "v2", 1200, time.time(), "patch")


@pytest.mark.parametrize(
    ("state", "way", "words"),
    [
        ("updated", "patch", "updated by a patch"),
        ("updated", "whole", "fetched whole"),
        ("updated", None, "the same filter, with other tiers"),
        ("current", None, "the newest already"),
    ],
)
def test_a_sync_that_works(state, way, words, capsys):
    found = CategoryReport("a\x1b", state, "v2", 1200, 0.0, way)
    _print(found, 60.0, quiet=False)
    assert capsys.readouterr() == (f"a\\x1b: 1,200 digests, {words}, version v2\n", "")
    _print(found, 60.0, quiet=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("verified", "words"),
    [
        (None, "there is no filter of it to be used: scans end with exit code 5"),
        (0.0, "the filter in use is too old (filter.max_age): scans end with exit code 5"),
        (4e9, "the filter in use stays, until 2096-10-02T07:07:40.000Z (filter.max_age)"),
    ],
)
def test_a_sync_that_fails_says_what_is_in_use(verified, words, capsys):
    found = CategoryReport("a", "refused", verified=verified, message="it is not authentic")
    _print(found, 60.0, quiet=True)
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert (out, first) == ("", "hashscan: error: a: it is not authentic")
    assert second.startswith(f"hashscan: a: {words}")


def test_json_has_a_line_a_category_and_the_exit_code_last(capsys):
    failed = CategoryReport("b", "unreachable", message="no answer", fault=Fault.BUSY)
    _print_json(SyncReport("https://x.example", (UPDATED, failed), 77, 5.0))
    first, second, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.pop("verified").endswith("Z")
    assert first == {
        "event": "filter", "category": "baseline", "state": "updated", "version": "v2",
        "digests": 1200, "way": "patch", "message": "", "fault": None,
    }  # fmt: skip
    assert (second["verified"], second["fault"], second["message"]) == (None, "busy", "no answer")
    assert last == {
        "event": "sync", "source": "https://x.example", "fetched": 77, "retry_after": 5.0,
        "exit_code": 6,
    }  # fmt: skip
