"""hashscan.jobs.known_set: what is reported when a known set is opened."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from scanning import make_filter

from hashscan.config.loader import load
from hashscan.jobs import (
    known_set,
)
from hashscan.jobs.known_set import KnownSet, describe, open_known_set
from hashscan.known.confirmers import local_list
from hashscan.state import State


@pytest.mark.parametrize("tiers", [True, False])
def test_a_tier_that_cannot_be_used_is_reported_if_tiers_are_wanted(tmp_path, tiers):
    filter_file = make_filter(tmp_path / "f.filter", {"ab" * 20})
    for name in (f"{filter_file}.sizes", f"{filter_file}.sizes.json"):
        with open(name, "w") as file:
            file.write("neither")
    (tmp_path / "known.txt").write_text("ab" * 20 + "\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {tmp_path}/state\nscan: {{tiers: {str(tiers).lower()}}}\n"
        f"service: {{kind: local, known: [{tmp_path}/known.txt]}}\n"
        f"filter: {{source: {filter_file}}}\nquarantine: {{action: report}}\n"
    )
    told = []
    open_known_set(load(str(config)), State(str(tmp_path / "state")), (), told.append)
    assert [f"{filter_file}.sizes" in one for one in told] == ([True] if tiers else [])


def test_the_tiers_of_a_filter_are_named_unless_a_scan_uses_none():
    metadata = SimpleNamespace(digests=3, created="then")
    one = SimpleNamespace(
        path="/f", category="baseline", version="2", algorithms={"sha1", "md5"},
        tiers=SimpleNamespace(names=("sizes", "prefix")), metadata=metadata,
    )  # fmt: skip
    known = KnownSet((one,), lambda: None, "/list", remote=False, test=False)
    line = "filter: /f: baseline, version 2, 3 digests (md5, sha1), made then"
    assert describe(known) == ["known set: /list", f"{line}; tiers: sizes, prefix"]
    allow = SimpleNamespace(paths=["/a"])
    assert describe(known, allow, tiers=False) == ["known set: /list", line, "allow-list: /a"]


def test_digests_of_lists_that_a_filter_lacks_are_named(monkeypatch):
    confirmer = SimpleNamespace(name="lists", missing_in=lambda _given: 3)
    known = SimpleNamespace(
        confirmer=confirmer, loaded=["own"], digests=9, remarks=["said once"], built=True, key="k"
    )
    monkeypatch.setattr(local_list, "open_local", lambda *_given, **_named: known)
    said = []
    given = (SimpleNamespace(path="/f.bloom"),)
    opened = known_set._local(
        ["l"], (), SimpleNamespace(filters="/x"), given, said.append, nullcontext
    )
    assert said[0].startswith("3 of the 9 digests of the lists are not in the filter /f.bloom,")
    assert said[1:] == ["said once"]
    assert (opened.filters, opened.remote, opened.service) == (given, False, "lists")
    confirmer.missing_in = lambda _given: 0
    known.built = False
    said.clear()
    known_set._local(["l"], (), SimpleNamespace(filters="/x"), given, said.append, nullcontext)
    assert said == [], "remarks are for those who read the lists"
