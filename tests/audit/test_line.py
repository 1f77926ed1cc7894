"""The format of a line: its hash, its bounds, and names with any bytes."""

import hashlib
import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashscan.audit.actor import Who
from hashscan.audit.line import GENESIS, LONGEST, encode, parse

WHO = Who(1000, "alice", "command")
TIME = "2026-11-27T10:00:00.000Z"


def line(**facts):
    return encode(1, TIME, "moved", WHO, facts, GENESIS)


def test_a_line_has_all_that_was_given_and_its_hash():
    raw, digest = line(path="/srv/a", n=3)
    event = parse(raw[:-1])
    assert raw.endswith(b"\n")
    assert (event.seq, event.time, event.event, event.who) == (1, TIME, "moved", WHO)
    assert event.facts == {"path": "/srv/a", "n": 3}
    assert (event.prev, event.hash) == (GENESIS, digest)
    assert event.as_dict() == json.loads(raw)


def test_a_text_that_is_too_long_is_cut_wherever_it_is():
    raw, _ = line(path="/srv/a", digests={"x": "y" * LONGEST, "n": 3})
    facts = parse(raw[:-1]).facts
    assert facts["path"] == "/srv/a"
    assert facts["digests"]["n"] == 3
    assert facts["digests"]["x"].startswith("y" * 4096 + "… (")


def test_the_hash_is_what_a_shell_computes():
    raw, digest = line(path="/srv/'a\"")
    script = 'printf %s "${1%,\\"hash\\":*}" | sha256sum'
    done = subprocess.run(
        ["bash", "-c", script, "-", raw.decode().rstrip("\n")], capture_output=True, text=True
    )
    assert done.stdout.split()[0] == digest


@given(st.binary(min_size=1, max_size=40))
def test_a_path_keeps_its_bytes(path):
    raw, _ = line(path=os.fsdecode(path))
    assert raw.isascii()
    assert raw.count(b"\n") == 1
    assert os.fsencode(parse(raw[:-1]).facts["path"]) == path


@given(st.integers(0), st.integers(1, 255))
def test_any_changed_byte_is_noticed(at, flip):
    raw = bytearray(line(path="/srv/a", list=[1, {"b": None}])[0][:-1])
    raw[at % len(raw)] ^= flip
    assert parse(bytes(raw)) is None


def test_a_line_that_is_hashed_right_but_no_event_is_refused():
    body = b'{"event":"moved","seq":1'
    digest = hashlib.sha256(body).hexdigest().encode()
    assert parse(b'%s,"hash":"%s"}' % (body, digest)) is None


def test_nothing_takes_the_place_of_a_line_s_own_keys():
    with pytest.raises(ValueError, match="prev"):
        line(prev="x")


@pytest.mark.parametrize(
    "facts",
    [
        {"path": "x" * LONGEST},
        {"path": "\udcff" * LONGEST, "n": 1},
        {"files": ["x" * 100] * 20_000, "deep": {"text": "y" * LONGEST}},
        {f"name{number}": "x" * 1000 for number in range(2000)},
    ],
)
def test_a_line_is_never_longer_than_a_mebibyte(facts):
    raw, _ = line(**facts)
    assert len(raw) <= LONGEST
    assert parse(raw[:-1]) is not None


def test_a_text_that_is_too_long_keeps_its_begin_and_says_its_length():
    raw, _ = line(path="/srv/" + "x" * LONGEST, reason="kept")
    facts = parse(raw[:-1]).facts
    assert facts["path"].startswith("/srv/xxx")
    assert facts["path"].endswith(f"… ({LONGEST + 5:,} characters)")
    assert facts["reason"] == "kept"
