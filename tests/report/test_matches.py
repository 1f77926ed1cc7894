"""Figures of matches, from a real quarantine."""

import os
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from isolating import confirmed

from hashscan.authority import Authority
from hashscan.catalog.period import InPlace
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.manage import Listed, purge, records
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.restore import restore
from hashscan.report.matches import match_figures

#: The period holds the time at which all files of ``confirmed`` are detected, and not the present.
DETECTED = datetime.fromisoformat("2026-01-02T03:04:05.678Z").timestamp()
SINCE, UNTIL = DETECTED - 10, DETECTED + 10
FAR = 1e11


def name_of(volume):
    return f"<{os.fsdecode(volume)[-6:]}>"


def test_records_are_counted_once_by_what_they_say(tmp_path, volume):
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        ids = []
        for number, (found_by, authority) in enumerate(
            [
                ("scan", None),
                ("watch", Authority("list", "n1")),
                ("", Authority("notice", "n2")),
                ("watch", None),
            ]
        ):
            (volume / f"f{number}").write_bytes(b"%d" % number)
            match = replace(confirmed(volume, f"f{number}"), found_by=found_by, authority=authority)
            ids.append(quarantine.act(match).quarantine_id)
        store = quarantine._store
        with store.lock():
            restore(store, ids[0])
            purge(store, ids[1])
        listed = list(records(store))
        found = match_figures(listed, (), SINCE, UNTIL, name_of=name_of)
        later = match_figures(listed, (), UNTIL, FAR, name_of=name_of)
    assert (found.matches, found.quarantined) == (4, 4)
    assert found.by_authority == {"list": 3, "notice": 1}
    assert found.by_detection == {"watch": 2, "scan": 1, "notice": 1}
    assert found.by_category == {"baseline": 4}
    assert found.by_volume == {"<volume>": 4}
    assert found.seconds_median > 1e6, "they are moved long after this detection"
    assert (found.restored, found.purged) == (0, 0), "that was later"
    assert (later.matches, later.restored, later.purged) == (0, 1, 1)
    assert later.seconds_median is None


def test_other_files_and_damaged_records_are_no_matches(tmp_path, volume):
    (volume / "f").write_bytes(b"f")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        quarantine.act(confirmed(volume, "f"))
        (one,) = records(quarantine._store)
    others = [
        Listed("x", replace(one.record, state=state))
        for state in (RecordState.UNDONE, RecordState.DISPLACED, RecordState.INTENT)
    ]
    odd = Listed("y", replace(one.record, detected="yesterday", found_by=""))
    listed = [*others, odd, Listed("z", None, "damaged")]
    found = match_figures(listed, (), 0, FAR, name_of=name_of)
    assert (found.matches, found.damaged) == (0, 1)


def test_a_clock_that_was_set_back_makes_no_negative_time(tmp_path, volume):
    (volume / "f").write_bytes(b"f")
    with closing(Quarantine.open(os.fsencode(tmp_path / "store"))) as quarantine:
        quarantine.act(confirmed(volume, "f"))
        (one,) = records(quarantine._store)
    late = replace(one.record, detected="2999-01-02T03:04:05Z")
    found = match_figures([Listed("x", late)], (), 0, FAR, name_of=name_of)
    assert (found.quarantined, found.seconds_median) == (1, 0.0)


def test_matches_in_their_place_are_matches_of_the_period_in_which_they_were_found():
    places = [
        InPlace(b"/srv/volume", "baseline", "watch", False, 3),
        InPlace(b"/srv/volume", "", "scan", True, 5),
    ]
    found = match_figures((), places, SINCE, UNTIL, name_of=name_of)
    assert (found.matches, found.in_place, found.in_place_before) == (3, 3, 5)
    assert (found.by_detection, found.by_category) == ({"watch": 3}, {"baseline": 3})
