"""Random histories of notices, through the store and by its own clock; and a state to look at."""

import random

from hashscan.notices.notice import Channel, ItemKind, ItemState, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore

HOUR = 3600.0
DAY = 24 * HOUR
#: 2026-01-10T00:00:00Z
BEGIN = 1768003200.0
SENDERS = (None, "Hotline", "=HYPERLINK(1)", "<script>alert(1)</script>", "Police & Sons")
REASONS = ("no-site: a.example", "no-file: /srv/www/a", "script: index.php", "who knows")


def write(store, chance, *, notices, days=60, begin=BEGIN):
    """Add notices at random times and move their items on; return the time after the last."""
    now = begin
    for number in range(notices):
        now += chance.randrange(int(2 * days * DAY / notices))  # JSON has milliseconds
        for _ in range(chance.randrange(4)):
            change(store, chance, now)
        add(store, chance, now, number)
    for _ in range(2 * notices):
        now += chance.choice((HOUR / 2, 3 * HOUR, DAY))
        change(store, chance, now)
    return now + HOUR


def add(store, chance, now, number):
    items = tuple(
        ParsedItem(ItemKind.URL, f"https://h{chance.randrange(9)}.example/{chance.randrange(40)}")
        for _ in range(chance.randrange(1, 6))
    )
    store.add(
        ParsedNotice(
            "plain",
            items,
            sender=chance.choice(SENDERS),
            reference=chance.choice((None, f"R-{number}", "@SUM(A1)")),
            authority=chance.choice((None, None, None, "An authority")),
            sent=chance.choice((None, now - chance.randrange(18000), now + HOUR)),
        ),
        channel=chance.choice(list(Channel)),
        key=number.to_bytes(8, "big"),
        received=now,
        deadline=chance.choice((None, now + HOUR, now + 12 * HOUR)),
    )


def change(store, chance, now):
    """Let something happen to a random item."""
    (last,) = store._connection.execute("SELECT coalesce(max(number), 0) FROM item").fetchone()
    if not last:
        return
    number = chance.randrange(1, last + 1)
    state = chance.choice([*ItemState, ItemState.REMOVED, ItemState.REMOVED, ItemState.RECEIVED])
    reason = chance.choice(REASONS) if state is ItemState.NOT_HERE else "why"
    if state is ItemState.RECEIVED and chance.random() < 0.7:
        store.came_back(number, "back: why", now=now)
        return
    removed = chance.choice((None, store.item(number).removed))  # it is not back since
    store.advance(number, state, reason=reason, now=now, removed=removed)


def make(path, seed, **given):
    """Make a notices' file; return the time after its last event."""
    with NoticeStore(path) as store:
        # A test needs no file that survives a power cut.
        store._connection.execute("PRAGMA synchronous = OFF")
        return write(store, random.Random(seed), **given)


def make_many(path, items, *, at_once=100):
    """Make a notices' file with many items, all of them removed twice."""
    with NoticeStore(path) as store:
        store._connection.execute("PRAGMA synchronous = OFF")
        for begin in range(0, items, at_once):
            numbers = range(begin, begin + at_once)
            parsed = tuple(ParsedItem(ItemKind.URL, f"https://h.example/{one}") for one in numbers)
            store.add(
                ParsedNotice("plain", parsed, sender=f"Sender {begin % 7}"),
                channel=Channel.COMMAND,
                key=begin.to_bytes(8, "big"),
                received=BEGIN + begin,
            )
        with store._change():
            execute = store._connection.execute
            execute("UPDATE item SET state = 'removed', removed = since + 3600 + number")
            for to in ("removed", "received", "removed"):
                execute(
                    "INSERT INTO event (notice, item, time, kind, detail)"
                    " SELECT notice, number, removed, 'state', ? FROM item",
                    (f'{{"from": "located", "to": "{to}", "reason": ""}}',),
                )
