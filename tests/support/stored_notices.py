"""Notices for tests of the notices' file."""

import os

from hashscan.notices.notice import (
    Channel,
    ItemKind,
    ParsedItem,
    ParsedNotice,
)


def url(text):
    return ParsedItem(ItemKind.URL, text)


def notice(*urls, **more):
    return ParsedNotice("plain", tuple(map(url, urls)), **more)


def add(store, *urls, key=None, received=1000.0, **more):
    deadline = more.pop("deadline", None)
    return store.add(
        notice(*urls, **more), channel=Channel.COMMAND,
        key=key or os.urandom(8), received=received, deadline=deadline,
    ).id  # fmt: skip
