"""hashscan.quarantine.retention: what is too old goes, at no great cost, and others get a turn."""

import os
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from isolating import all_records, confirmed

from hashscan.errors import QuarantineError
from hashscan.quarantine import records as records_module
from hashscan.quarantine import retention
from hashscan.quarantine import store as store_module
from hashscan.quarantine import withdrawn_digests as withdrawn_module
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.retention import Purged, purge_older
from hashscan.quarantine.store import Store
from hashscan.quarantine.withdrawn_digests import collect, mark
from hashscan.text import rfc3339
from hashscan.timeline import Instant

COUNT = 30


def test_each_record_is_read_a_few_times_however_many_there_are(
    volume, quarantine, store_path, monkeypatch
):
    for number in range(COUNT):
        (volume / f"f{number}").write_bytes(b"known %d" % number)
        assert quarantine.act(confirmed(volume, f"f{number}")).action == "quarantined"
    calls = Counter()

    def counted(name):
        original = getattr(Store, name)

        def calling(*arguments, **options):
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(Store, name, calling)

    counted("load")
    counted("lock")
    assert purge_older(os.fsencode(store_path), 0) == Purged(COUNT)
    assert calls["load"] <= 5 * COUNT
    assert calls["lock"] >= COUNT, "a match waits for one removal at most"
    monkeypatch.undo()
    with Store.open(os.fsencode(store_path)) as store:
        assert {record.state for record in all_records(store)} == {RecordState.PURGED}


def test_what_is_restored_meanwhile_stays_restored(volume, quarantine, store_path, monkeypatch):
    """Purged, its record would not keep the next scan from the restored file."""
    (volume / "f").write_bytes(b"known")
    assert quarantine.act(confirmed(volume, "f")).action == "quarantined"

    def meanwhile(store):
        assert restore(store, store.ids()[0]).path == os.fsencode(volume / "f")

    monkeypatch.setattr(retention, "recover", meanwhile)
    assert purge_older(os.fsencode(store_path), 0) == Purged(0)
    assert quarantine.act(confirmed(volume, "f")).action == "held"


DAY = 86400.0


class Clocks:
    """The machine's clocks, as the test sets them."""

    def __init__(self, monkeypatch):
        self.now = Instant(5000.0, time.time(), "boot-1")
        monkeypatch.setattr(store_module, "instant", lambda: self.now)
        monkeypatch.setattr(records_module, "rfc3339", lambda: rfc3339(self.now.wall))

    def go_on(self, seconds):
        boottime, wall, boot = self.now
        self.now = Instant(boottime + seconds, wall + seconds, boot)

    def set(self, by):
        self.now = self.now._replace(wall=self.now.wall + by)

    def reboot(self, claimed):
        self.now = Instant(10.0, self.now.wall + claimed, "boot-2")


@pytest.fixture
def clocks(monkeypatch):
    return Clocks(monkeypatch)


@pytest.fixture
def filled(clocks, volume, tmp_path):
    """A store with one file that was quarantined just now."""
    (volume / "f").write_bytes(b"known")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        assert quarantine.act(confirmed(volume, "f")).action == "quarantined"
    return os.fsencode(tmp_path / "store")


@pytest.mark.parametrize("years", [20, -20, 1])
def test_a_clock_that_is_set_removes_nothing(clocks, filled, years):
    clocks.set(years * 365 * DAY)
    doubtful = 1 if years > 0 else 0
    assert purge_older(filled, 90 * DAY) == Purged(0, doubtful)
    clocks.go_on(89 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(0, doubtful)
    clocks.go_on(2 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(1, 0)


def test_a_clock_far_ahead_after_a_boot_removes_nothing(clocks, filled):
    clocks.reboot(20 * 365 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(0, 1)
    clocks.go_on(91 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(1, 0)


def test_each_command_counts_the_time_until_it(clocks, filled):
    """A machine that is switched off after it counts no more than a week."""
    clocks.go_on(84 * DAY)
    with Store.open(filled) as store, store.lock():
        recover(store)
    clocks.reboot(30 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(1, 0)


def test_what_was_quarantined_by_a_clock_far_ahead_goes_in_time(clocks, volume, tmp_path):
    clocks.set(20 * 365 * DAY)
    (volume / "f").write_bytes(b"known")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        quarantine.act(confirmed(volume, "f"))
    store = os.fsencode(tmp_path / "store")
    clocks.set(-20 * 365 * DAY)
    clocks.go_on(89 * DAY)
    assert purge_older(store, 90 * DAY) == Purged(0, 0)
    clocks.go_on(2 * DAY)
    assert purge_older(store, 90 * DAY) == Purged(1, 0)


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_without_its_count_it_begins_to_count_again(clocks, filled, damage):
    path = os.path.join(filled, b"clock.json")
    if damage == "gone":
        os.unlink(path)
    else:
        with open(path, "wb") as file:
            file.write(b"\0" * 40)
    clocks.set(20 * 365 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(0, 1)
    clocks.go_on(91 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(1, 0)


def test_an_age_begins_with_the_record_not_with_the_count(clocks, filled, volume):
    clocks.go_on(60 * DAY)
    (volume / "g").write_bytes(b"known too")
    with closing(Quarantine.open(filled)) as quarantine:
        assert quarantine.act(confirmed(volume, "g")).action == "quarantined"
    clocks.go_on(40 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(1, 0)
    clocks.go_on(49 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(0, 0)
    clocks.go_on(2 * DAY)
    assert purge_older(filled, 90 * DAY) == Purged(1, 0)


def test_where_there_is_no_quarantine_nothing_is_removed(tmp_path):
    found = purge_older(os.fsencode(tmp_path / "none"), 1.0)
    assert (found.done, found.doubtful) == (0, 0)


@pytest.mark.parametrize("reason", ["no-audit-log", "displaced"])
def test_without_an_audit_log_nothing_more_is_removed(moved, tmp_path, monkeypatch, reason):
    asked = []

    def purge(_store, record_id, **_facts):
        asked.append(record_id)
        raise QuarantineError("refused", reason=reason)

    monkeypatch.setattr(retention, "purge", purge)
    store = os.fsencode(tmp_path / "store")
    if reason == "no-audit-log":
        with pytest.raises(QuarantineError, match="refused"):
            purge_older(store, 0)
    else:
        assert purge_older(store, 0) == Purged(0)
    assert asked == [moved]


def test_what_nobody_is_asked_about_is_counted(store, moved):
    def contents(service="https://hcs.example"):
        found = collect(store, service, [], store.timeline())
        return len(found.groups), found.others, found.unread

    assert contents() == (1, 0, 0)
    assert contents("another service") == (0, 1, 0)
    Path(os.fsdecode(store.path_of(moved)), "record.json").write_text("damaged")
    assert contents() == (0, 0, 1)


def test_withdrawn_records_are_marked_and_counted_but_one_that_cannot_be_read_meanwhile(
    volume, own_quarantine, store, monkeypatch
):
    service = "https://hcs.example"
    for name in "abc":
        (volume / name).write_bytes(b"known")
        assert own_quarantine.act(confirmed(volume, name)).action == "quarantined"
    withdrawn = list(collect(store, service, [], store.timeline()).groups)
    first, *others = store.ids()
    listed, load = list(withdrawn_module.briefs(store)), Store.load

    def loads(self, record_id):
        if record_id == first:
            raise QuarantineError("its record is damaged", reason="damaged-record")
        return load(self, record_id)

    monkeypatch.setattr(withdrawn_module, "briefs", lambda _store: listed)
    monkeypatch.setattr(Store, "load", loads)
    assert mark(store, service, withdrawn, [], patience=1.0) == 2
    monkeypatch.undo()
    assert [bool(store.load(one).withdrawn) for one in (first, *others)] == [False, True, True]
    assert mark(store, service, withdrawn, [], patience=1.0) == 1
    assert mark(store, service, withdrawn, [], patience=1.0) == 0
    assert mark(store, service, [], withdrawn, patience=1.0) == 3
