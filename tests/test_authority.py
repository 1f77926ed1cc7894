"""The notice in a quarantine's record: why a file was moved that perhaps no list knows."""

import io
import json
import os
from dataclasses import replace

import isolating
import pytest
import ready

from hashscan.authority import Authority
from hashscan.errors import QuarantineError
from hashscan.model import Acted, MatchEvent
from hashscan.output.jsonl import JsonReporter
from hashscan.output.text import TextReporter
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import Record

NOTICED = Authority("notice", "20261127-0a0b0c0d", "A0001\x1b[2J", "Hotline X")


@pytest.fixture
def match(tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "a").write_bytes(os.urandom(100))
    return isolating.confirmed(volume, "a")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "state" / "quarantine"


def moved(store, match):
    store.parent.mkdir(0o700)
    quarantine = Quarantine.open(os.fsencode(store))
    acted = quarantine.act(match)
    quarantine.close()
    assert acted.action == "quarantined"
    return acted.quarantine_id


@pytest.mark.parametrize(
    ("authority", "verdict"),
    [(None, "known"), (replace(NOTICED, kind="list"), "known"), (NOTICED, "noticed")],
)
def test_the_record_names_the_notice(store, match, authority, verdict):
    record_id = moved(store, replace(match, authority=authority))
    raw = (store / record_id / "record.json").read_bytes()
    record = Record.from_json(raw, "here")
    assert record.authority == authority
    assert record.as_dict()["verdict"] == verdict
    assert record.as_dict()["authority"] == (authority and authority.as_dict())


def test_a_record_of_a_version_without_notices(store, match):
    record_id = moved(store, match)
    data = json.loads((store / record_id / "record.json").read_text())
    del data["authority"]
    assert Record.from_json(json.dumps(data).encode(), "here").authority is None


@pytest.mark.parametrize("damage", [{"kind": "judge"}, {"notice": 7}, {"sender": []}])
def test_a_damaged_authority(store, match, damage):
    record_id = moved(store, replace(match, authority=NOTICED))
    data = json.loads((store / record_id / "record.json").read_text())
    data["authority"] |= damage
    with pytest.raises(QuarantineError, match="damaged record"):
        Record.from_json(json.dumps(data).encode(), "here")


def test_show_prints_it(store, match):
    record_id = moved(store, replace(match, authority=NOTICED))
    state = str(store.parent)
    done = ready.in_words(ready.hashscan("quarantine", "show", record_id, "--state", state))
    assert done.returncode == 0, done.stderr
    words = "notice 20261127-0a0b0c0d of Hotline X, reference A0001\\x1b[2J; no list knows the file"
    assert f"authority    {words}\n" in done.stdout
    assert "confirmed" not in done.stdout


def test_a_match_names_the_notice(match):
    event = MatchEvent(replace(match, authority=NOTICED), Acted("reported"))
    out = io.StringIO()
    JsonReporter(out, out).match(event)
    assert json.loads(out.getvalue())["authority"] == NOTICED.as_dict()
    out = io.StringIO()
    TextReporter(out, out).match(event)
    assert out.getvalue().endswith(", notice 20261127-0a0b0c0d]\n")
