"""hashscan.quarantine.housekeeping: what is too old goes, at no great cost, and others get a turn."""

import os
from collections import Counter

from isolating import all_records, confirmed

from hashscan.quarantine.housekeeping import purge_older
from hashscan.quarantine.records import State
from hashscan.quarantine.store import Store

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
    assert purge_older(os.fsencode(store_path), 0) == COUNT
    assert calls["load"] <= 5 * COUNT
    assert calls["lock"] >= COUNT, "a match waits for one removal at most"
    monkeypatch.undo()
    with Store.open(os.fsencode(store_path)) as store:
        assert {record.state for record in all_records(store)} == {State.PURGED}
