"""Notices, items and moved files for tests of answers."""

from hashscan.config.notices import OrganisationSettings
from hashscan.notices.answers.facts import Moved
from hashscan.notices.notice import Channel, Item, ItemKind, Notice, ParsedItem

HOST = OrganisationSettings(name="Host BV", contact="abuse@host.example", domain="host.example")


def notice(**more):
    values = {
        "id": "20261127-0a0b0c0d", "channel": Channel.MAILDIR, "format": "list", "sender": None,
        "contact": None, "reference": None, "authority": None, "legal_basis": None,
        "password": None, "sent": None, "received": 3600.0, "deadline": 90000.0, "closed": None,
        "reason": "", "repeat_of": None, "dropped": 0, "remarks": (), "states": {},
    }  # fmt: skip
    return Notice(**values | more)


def item(state, value="http://site.example/a", kind=ItemKind.URL, **more):
    return Item(1, "n", ParsedItem(kind, value), state, 7200.0, **more)


def moved(path=b"/srv/www/a", **more):
    return Moved(**{"item": 1, "owner": "a", "path": path, "when": 7200.0, "category": None,
                    "is_named": True} | more)  # fmt: skip
