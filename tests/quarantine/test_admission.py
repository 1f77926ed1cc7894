"""hashscan.quarantine.admission: copies that are held, and how many of them are listed."""

from contextlib import closing

from brake_matches import Events, Moving, match

from hashscan.quarantine import admission
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.brakes import Brakes
from hashscan.quarantine.holds import Holds


def test_copies_that_come_and_go_all_day_are_held_but_not_all_listed(memory, monkeypatch):
    monkeypatch.setattr(admission, "_MOST_LISTED", 10)
    path, moving = str(memory / "holds.sqlite3"), Moving()
    for turn in range(2):  # another process counts what is listed already
        with closing(
            Brakes(
                moving, path, BrakeLimits(files=5), events=Events(), files_of=lambda _volume: None
            )
        ) as brakes:
            done = [brakes.act(match(f"m/{turn}/{n}", 1001)).action for n in range(30)]
            other = brakes.act(match(f"o/{turn}", 1002)).action
        assert done == ["quarantined"] * (5 - 5 * turn) + ["held"] * (25 + 5 * turn)
        assert other == "quarantined"
    with Holds(path) as holds:
        assert [(one.files, one.uid) for one in holds.holds()] == [(10, 1001)]
        holds.release(1, who="root")
    with closing(
        Brakes(moving, path, BrakeLimits(files=5), events=Events(), files_of=lambda _volume: None)
    ) as brakes:
        assert brakes.act(match("m/1/29", 1001)).action == "quarantined"
