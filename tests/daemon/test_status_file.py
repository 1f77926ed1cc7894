"""The numbers that the daemon writes for status."""

from types import SimpleNamespace

import pytest

from hashscan.daemon import status_file as facts_module
from hashscan.daemon.status_file import SessionFacts
from hashscan.model import Summary


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(facts_module, "time", one)
    return one


@pytest.fixture
def session(clock):
    tally = SimpleNamespace(hashed=0, bytes_hashed=70, problems=7)
    made = SimpleNamespace(category="baseline", version="3", path="/f", metadata=None)
    made.metadata = SimpleNamespace(digests=8)
    return SimpleNamespace(
        scans=0, running_scan=None, lost=0, events=9, began=5.0,
        coverage=SimpleNamespace(said=0, facts=lambda: ["volume"]),
        changed_files=SimpleNamespace(tally=tally, backlog=4, waits_for=1.25), found=Summary(held=2, allowed=3),
        known=SimpleNamespace(filters=[made]), rejudging=SimpleNamespace(files=6),
        retry=SimpleNamespace(next_try=1.5, next_move=2.5),
    )  # fmt: skip


@pytest.fixture
def facts(session):
    return SessionFacts(session, SimpleNamespace(waiting=lambda: (2, 77.0, "no route")))


@pytest.mark.parametrize(
    ("change", "news", "counted"),
    [
        (lambda session: setattr(session, "scans", 1), True, False),
        (lambda session: setattr(session, "running_scan", SimpleNamespace()), True, False),
        (lambda session: setattr(session.coverage, "said", 1), True, False),
        (lambda session: setattr(session, "lost", 1), False, True),
        (lambda session: setattr(session.changed_files.tally, "hashed", 1), False, True),
        (lambda session: setattr(session.found, "matches", 1), False, True),
        (lambda session: setattr(session.found, "quarantined", 1), False, True),
        (lambda session: setattr(session, "events", 10), False, False),
    ],
)
def test_what_is_news_and_what_is_counted(facts, session, change, news, counted):
    assert facts.has_news()
    assert facts.has_counted()
    facts.collect()
    assert (facts.has_news(), facts.has_counted()) == (False, False)
    change(session)
    assert (facts.has_news(), facts.has_counted()) == (news, counted)


def test_what_status_reads(facts, session, clock):
    clock.now += 3
    session.changed_files.tally.hashed = 10
    found = facts.collect()
    assert found["rate"] == 3.3, "files a second since the last time"
    names = ("volumes", "events", "lost", "backlog", "hashed", "bytes_hashed", "problems", "held",
             "allowed", "counting_since", "rejudged", "next_move", "scan", "waits_for")  # fmt: skip
    assert [found[name] for name in names] == [
        ["volume"], 9, 0, 4, 10, 70, 7, 2, 3, 5.0, 6, 2.5, None, 1.2,
    ]  # fmt: skip
    assert found["filters"] == [
        {"category": "baseline", "version": "3", "digests": 8, "path": "/f"}
    ]
    assert found["pending"] == {
        "candidates": 2, "oldest": 77.0, "why": "no route", "next_try": 1.5,
    }  # fmt: skip
    session.running_scan = SimpleNamespace(kind="start", started=6.0, files=11, fraction=0.12345)
    session.changed_files.tally.hashed = 13
    found = facts.collect()
    assert found["rate"] == 30.0, "no division by an instant"
    assert found["scan"] == {"kind": "start", "started": 6.0, "files": 11, "fraction": 0.123}
    clock.now += 2
    assert facts.collect()["rate"] == 0.0


def test_a_text_that_has_no_room_in_the_old_file_leaves_it(tmp_path):
    path = tmp_path / "status"
    path.write_bytes(b"old")
    status = path.stat()
    room = max(status.st_size, 512 * status.st_blocks)
    with pytest.raises(OSError, match="No space left on device"):
        facts_module._overwrite(str(path), b"x" * (room + 1))
    assert path.read_bytes() == b"old"
    for text in (b"x" * room, b"short"):
        facts_module._overwrite(str(path), text)
        assert path.read_bytes() == text
