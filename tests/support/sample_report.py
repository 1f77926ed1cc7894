"""A report of invented figures."""

from hashscan.catalog.period import InPlace, Period
from hashscan.notices.notice import Channel, ItemState
from hashscan.notices.reader import Outcome
from hashscan.report.figures import FilterFigures, Report, Watched
from hashscan.report.matches import match_figures
from hashscan.report.notices import notice_figures

HOUR = 3600.0
DAY = 24 * HOUR
#: 2026-02-01T00:00:00Z
BEGIN = 1769904000.0


def outcome(number=0, **changes):
    """An item that was removed two hours after it was sent, an hour after it was received."""
    values = {
        "notice": str(number), "channel": Channel.COMMAND, "sender": "Hotline", "reference": None,
        "sent": 0.0, "received": HOUR, "deadline": 24 * HOUR, "is_open": False, "value": "u",
        "state": ItemState.REMOVED, "reason": "", "removed": 2 * HOUR, "is_repeat": False,
        "reopened": 0, "late": False,
    }  # fmt: skip
    return Outcome(**{**values, **changes})


def report(*, sender="Hotline", value="https://a.example/1", names=False, **changes):
    """A report of two months in which something of everything happened."""
    of = {"sender": sender, "value": value}
    items = [
        outcome(number, received=BEGIN + number * DAY, sent=None, deadline=BEGIN + (number + 1) * DAY,
                removed=BEGIN + number * DAY + number**2 * HOUR, **of)
        for number in range(1, 40)
    ]  # fmt: skip
    items += [
        outcome(100, received=BEGIN, state=ItemState.NOT_HERE, reason="no-site: x", **of),
        outcome(101, received=BEGIN, state=ItemState.LOCATED, deadline=BEGIN + DAY, is_open=True, **of),
    ]  # fmt: skip
    last = {"hashed": 10, "unchanged": 990, "skipped": {"fifo": 2, "symlink": 1}, "problems": 1,
            "matches": 3, "held": 1, "allowed": 0, "false_positives": 2, "costs": [1, 2, 3]}  # fmt: skip
    scans = Period(
        2, 1, 2006, {"hashed": 1000, "bytes_hashed": 5 << 30, "problems": 2}, last, {"denied": 1},
    )  # fmt: skip
    in_place = (InPlace(b"/srv/www", "baseline", "watch", False, 2),)
    values = {
        "since": BEGIN,
        "until": BEGIN + 60 * DAY,
        "made": BEGIN + 60 * DAY,
        "host": "web1",
        "notices": notice_figures(items, BEGIN + 60 * DAY, open_before=(3, 2), names=names),
        "matches": match_figures(
            (), in_place, BEGIN, BEGIN + 60 * DAY, name_of=lambda _: "volume 1"
        ),
        "scans": scans,
        "volumes": (Watched("volume 1", True, BEGIN), Watched("volume 2", False, None)),
        "filters": (FilterFigures("baseline", "7", 1000, 3600.0, True),),
    }
    return Report(**{**values, **changes})


def empty(**changes):
    """A report of a state in which nothing is."""
    nothing = {
        "notices": notice_figures((), 0.0),
        "matches": match_figures((), (), 0.0, 1.0, name_of=str),
        "scans": Period(),
        "volumes": (),
        "filters": (),
    }
    return report(**{**nothing, **changes})
