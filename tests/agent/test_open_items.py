"""hashscan.agent.notice_items: one step of a round, with files, places and the store replaced."""

from types import SimpleNamespace

import pytest

from hashscan.agent import notice_items as module
from hashscan.agent.notice_files import Presence
from hashscan.agent.notice_items import MOST_SECONDS, OpenItems
from hashscan.agent.notice_memory import Memory
from hashscan.model import Digest
from hashscan.notices.notice import ItemState, Role

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
        return SimpleNamespace(presence=Presence.THERE if spot in self.there else Presence.AWAY)

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
        desk.items._keep(Item(), ())
        waits.append(desk.result.memory.done[7].again - NOW)
    assert waits == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]
    desk.items._failed.clear()
    desk.items._keep(Item(), ((1, 2),))
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
    desk.items._keep(Item(), ((),))
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
