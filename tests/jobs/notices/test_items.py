"""hashscan.jobs.notices.items: one step of a round, with files, places and the store replaced."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from hashscan.jobs.notices import items as module
from hashscan.jobs.notices.hash_files import NamedFilePresence, NamedSpot, Peeked
from hashscan.jobs.notices.items import MOST_SECONDS, OpenItems
from hashscan.jobs.notices.locate_files import NamedFiles
from hashscan.jobs.notices.round_result import Memory
from hashscan.model import Digest, Problem
from hashscan.notices.notice import ItemFile, ItemState, Role
from hashscan.scan.hashing import NotHashed

NOW = 1_700_000_000.0
SHA1 = Digest("sha1", "ab" * 20)


class Item:
    number, notice = 7, "N1"

    def __init__(self, state=ItemState.LOCATED, digests=()):
        self.state, self.parsed = state, SimpleNamespace(digests=digests)


def file(role, name, digests=(SHA1,)):
    return SimpleNamespace(role=role, path=name, digests=digests, anchor="")


class Desk:
    """Open items; ``there``: the files that are in their place; ``judged``: what was hashed."""

    def __init__(self, *files, found=("/found",), parts=("/part",)):
        self.there, self.judged, self.asked, self.now = set(), [], [], NOW
        self.result = SimpleNamespace(memory=Memory())
        wanted = SimpleNamespace(spots=found, parts=parts, directory=None)
        self.items = OpenItems(
            SimpleNamespace(
                files=lambda _number: list(files),
                notice=lambda _id: SimpleNamespace(unproven="so"),
            ),
            SimpleNamespace(spot_of=lambda one: one.path, peek=self._peek),
            None,
            SimpleNamespace(find=lambda _item: wanted),
            None,
            self.result,
            lambda: self.now,
            SimpleNamespace(name="set"),
            None,
        )
        self.items._judge = self._judge
        self.items._is_unchanged = self._is_unchanged
        self.unchanged = False

    def _peek(self, spot, *, directory):
        assert directory is (spot == "/directory")
        return SimpleNamespace(
            presence=NamedFilePresence.THERE if spot in self.there else NamedFilePresence.AWAY
        )

    def _judge(self, _item, spots, role, _files, _wanted):
        self.judged.append((role, list(spots)))
        return set()

    def _is_unchanged(self, _item, named):
        self.asked.append([one.path for one in named])
        return self.unchanged


FILES = (file(Role.NAMED, "/named"), file(Role.COPY, "/copy"), file(Role.PART, "/old part"))


def test_a_located_item_is_judged_again_if_a_named_file_has_changed():
    desk = Desk(*FILES)
    assert desk.items._begin(Item()) is not None
    assert desk.asked == [["/named"]]
    assert desk.judged == [(Role.NAMED, ["/found", "/named"]), (Role.PART, ["/part"])]
    assert desk.items._wanted == {7: {SHA1}}
    desk.unchanged = True
    assert desk.items._begin(Item()) is None
    assert len(desk.judged) == 2


def test_a_received_item_has_only_the_named_files_that_are_there():
    desk = Desk(*FILES, file(Role.NAMED, "/directory", ()), file(Role.NAMED, "/away"))
    desk.there = {"/directory", "/copy"}
    desk.items._begin(Item(ItemState.RECEIVED, (Digest("md5", "c" * 32),)))
    assert desk.judged[0] == (Role.NAMED, ["/found", "/directory"])
    assert desk.asked == [], "nothing was judged before"
    assert desk.items._wanted == {7: {SHA1, Digest("md5", "c" * 32)}}


def test_an_item_without_a_place_is_not_judged():
    desk = Desk(found=())
    assert desk.items._begin(Item(ItemState.RECEIVED)) is not None
    assert desk.judged == []


def test_a_file_that_could_not_be_moved_is_tried_again_after_growing_waits():
    desk = Desk()
    waits = []
    for _ in range(6):
        desk.items._failed.add(7)
        desk.items._remember(Item(), ())
        waits.append(desk.result.memory.done[7].again - NOW)
    assert waits == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]
    desk.items._failed.clear()
    desk.items._remember(Item(), ((1, 2),))
    assert desk.result.memory.done[7] == (((1, 2),), "set", None, 60.0, "so")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True), ({"known": "other"}, False), ({"unproven": ""}, False),
        ({"stamps": ((9,),)}, False), ({"again": NOW + 1}, True), ({"again": NOW}, False),
        ({"again": NOW + 901}, False),
    ],
)  # fmt: skip
def test_when_a_located_item_is_unchanged(change, same):
    desk = Desk()
    desk.items._files.peek = lambda *_a, **_k: SimpleNamespace(status=None)
    desk.items._remember(Item(), ((),))
    desk.result.memory.done[7] = desk.result.memory.done[7]._replace(**change)
    assert OpenItems._is_unchanged(desk.items, Item(), [FILES[0]]) is same
    desk.result.memory.done.clear()
    assert not OpenItems._is_unchanged(desk.items, Item(), [FILES[0]])


def test_a_round_that_takes_too_long_leaves_the_other_items_to_the_next(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    desk, begun = Desk(), []
    desk.result.more = False
    desk.items._begin = lambda _item: setattr(clock, "now", clock.now + MOST_SECONDS / 2)
    desk.items._search = dict
    items = [SimpleNamespace(number=number) for number in (3, 5, 8, 9)]
    desk.items.run(items[:2], begun.append)
    assert (begun, desk.result.memory.after, desk.result.more) == ([3, 5], 0, False)
    begun.clear()
    desk.items.run(items, begun.append)
    assert begun == [3, 5, 8], "as long as the time is not over"
    assert (desk.result.memory.after, desk.result.more) == (8, True)


# What a round stores


def stored(role, path=b"a", **facts):
    given = {"digests": (SHA1,), "action": "reported", "message": "why", **facts}
    return ItemFile(7, role, b"/v", path, **given)


class Shelf:
    """Open items whose files are ``files``; ``put``: what was stored; ``presence``: of each."""

    def __init__(self, *files, state=ItemState.LOCATED):
        self.files, self.put, self.notes, self.settled = list(files), [], [], []
        self.presence, self.records, self.wanted = {}, {}, NamedFiles()
        self.item = Item(state)
        self.item.parsed.value = "http://x.example/a"
        desk = Desk()
        self.one = one = desk.items
        self.result = desk.result
        self.result.lines, self.result.more = [], False
        one._store = SimpleNamespace(
            files=lambda _number: self.files,
            item=lambda _number: self.item,
            notice=lambda _id: SimpleNamespace(unproven=""),
            note_item=lambda _number, why, now: self.notes.append(why) or bool(why),
            put_file=lambda file, now: self.put.append(file) or True,
            advance=lambda _n, to, **facts: self.settled.append((to, facts["reason"])) or True,
        )
        one._files = SimpleNamespace(
            spot_of=lambda file: NamedSpot(file.volume, file.path), peek=self._peek
        )
        one._places = SimpleNamespace(find=lambda _item, parts: self.wanted)
        one._acts = SimpleNamespace(moved=lambda full, _notice: self.records.get(full))

    def _peek(self, spot, _anchor="", *, directory=False):
        return Peeked(self.presence.get(spot.path, NamedFilePresence.AWAY), why=f"{directory}")


@pytest.mark.parametrize(
    ("role", "is_new", "presence", "is_stored"),
    [
        (Role.NAMED, True, NamedFilePresence.THERE, True), (Role.NAMED, True, NamedFilePresence.AWAY, False),
        (Role.PART, True, NamedFilePresence.THERE, False), (Role.PART, False, NamedFilePresence.THERE, True),
        (Role.COPY, True, NamedFilePresence.UNKNOWN, False), (Role.COPY, False, NamedFilePresence.UNKNOWN, True),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_hashed_is_stored_with_the_reason(role, is_new, presence, is_stored):
    shelf = Shelf()
    shelf.presence[b"a"] = presence
    shelf.one._files.hash = lambda _spot: NotHashed(Problem.DENIED, "no rights")
    OpenItems._judge(
        shelf.one,
        shelf.item,
        [NamedSpot(b"/v", b"a")],
        role,
        [] if is_new else [stored(role)],
        None,
    )
    assert [one.message for one in shelf.put] == ["/v/a: not hashed: no rights"] * is_stored
    assert (7 in shelf.one._failed) is is_stored


def test_copies_are_judged_apart_from_named_files_and_parts():
    shelf = Shelf(stored(Role.NAMED), stored(Role.COPY, b"b"), stored(Role.PART, b"c"))
    shelf.presence = dict.fromkeys((b"a", b"b", b"c", b"d"), NamedFilePresence.THERE)
    judged = []
    shelf.one._judge = lambda _item, spots, role, *_given, **_named: judged.append((role, spots))
    shelf.one._settle = lambda *_given: None
    rows = [(b"/v", name) for name in (b"a", b"b", b"c", b"d", b"gone")]
    shelf.one._end(shelf.item, NamedFiles(), rows)
    assert judged == [(Role.COPY, [NamedSpot(b"/v", b"b"), NamedSpot(b"/v", b"d")])]
    judged.clear()
    shelf = Shelf(state=ItemState.RECEIVED)
    shelf.presence[b"a"] = NamedFilePresence.THERE
    shelf.one._judge = lambda _item, spots, role, *_given, **_named: judged.append((role, spots))
    shelf.one._settle = lambda *_given: None
    shelf.one._end(shelf.item, NamedFiles(), [(b"/v", b"a")])
    assert judged == [(Role.NAMED, [NamedSpot(b"/v", b"a")])], (
        "found by the digest of the notice alone"
    )


def test_a_file_that_is_away_has_its_record_or_was_removed_by_somebody():
    shelf = Shelf()
    shelf.records[b"/v/a"] = SimpleNamespace(id="r1")
    known = stored(Role.NAMED, quarantine_id="r0", action="quarantined")
    assert shelf.one._away(shelf.item, known, 5.0) == replace(known, away=5.0)
    found = shelf.one._away(shelf.item, stored(Role.NAMED), 5.0)
    assert (found.action, found.quarantine_id, found.message) == ("quarantined", "r1", "")
    found = shelf.one._away(shelf.item, stored(Role.NAMED, b"b"), 5.0)
    assert (found.action, found.message) == ("", "removed by somebody else")
    assert (found.quarantine_id, found.away) == (None, 5.0)


def test_an_item_whose_files_are_away_is_removed_or_waits():
    shelf = Shelf(stored(Role.NAMED), stored(Role.COPY, b"b"))
    shelf.wanted = NamedFiles(why="a link is in its place", waits=True)
    shelf.one._settle(shelf.item, NamedFiles())
    assert (shelf.notes, shelf.settled) == (["a link is in its place"], [])
    assert 7 in shelf.result.memory.done, "the next round need not check it again"
    assert [one.away for one in shelf.put] == [NOW], "the copy is none of the named files"
    shelf.wanted = NamedFiles(why="it is the whole site", waits=True, whole_site=True)
    shelf.one._settle(shelf.item, NamedFiles())
    assert [state for state, _ in shelf.settled] == [ItemState.REMOVED]
    assert 7 not in shelf.result.memory.done
    assert not shelf.result.more
    shelf.wanted = NamedFiles((NamedSpot(b"/v", b"d"),))
    shelf.presence[b"d"] = NamedFilePresence.THERE
    shelf.one._settle(shelf.item, NamedFiles())
    assert len(shelf.settled) == 1, "another file is in the place"
    assert shelf.result.more


def test_an_item_without_files_yet_waits_or_is_settled():
    shelf = Shelf(stored(Role.NAMED, message="it cannot be read"), state=ItemState.RECEIVED)
    shelf.one._settle(shelf.item, NamedFiles(why="its volume does not answer", waits=True))
    place = (NamedSpot(b"/v", b"a"),)
    shelf.one._settle(shelf.item, NamedFiles(place))
    shelf.files = [stored(Role.NAMED, message="it cannot be read", away=5.0)]
    shelf.one._settle(shelf.item, NamedFiles(place))
    assert shelf.notes == [
        "its volume does not answer", "it cannot be read", "/v/a vanished while it was hashed",
    ]  # fmt: skip
    shelf.presence[b"a"] = NamedFilePresence.UNKNOWN
    shelf.one._settle(shelf.item, NamedFiles())
    assert shelf.notes[3:] == ["False"], "its place cannot be checked"
    shelf.presence.clear()
    shelf.one._places.why_away = lambda *_given: (ItemState.GONE, "it was here", 5.0)
    shelf.one._settle(shelf.item, NamedFiles())
    assert shelf.settled == [(ItemState.GONE, "it was here")]


@pytest.mark.parametrize(
    ("moved", "how"), [((True, True), ""), ((True, False), "1 file removed by somebody else")]
)
def test_who_removed_the_files(moved, how):
    files = [stored(Role.NAMED, quarantine_id="r" if one else None) for one in moved]
    assert Shelf(*files, stored(Role.COPY)).one._removal_reason(Item()) == how
