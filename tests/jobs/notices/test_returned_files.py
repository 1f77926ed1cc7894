"""hashscan.jobs.notices.returned_files: content that is back, at its place or elsewhere."""

from types import SimpleNamespace

import pytest
from notice_files import IN, Files, item

from hashscan.errors import StateError
from hashscan.jobs.notices import returned_files as returns_module
from hashscan.jobs.notices.locate_files import NamedFiles
from hashscan.jobs.notices.returned_files import ReturnedFiles
from hashscan.model import Digest, FileDigests, Problem
from hashscan.notices.notice import ItemKind, Role
from hashscan.scan.hashing import NotHashed

MD5, SHA1 = Digest("md5", "ab" * 16), Digest("sha1", "cd" * 20)


@pytest.fixture
def files():
    return Files()


@pytest.fixture
def returns(files):
    one = object.__new__(ReturnedFiles)
    one._files, one._clock = files, lambda: 9.0
    one._round = SimpleNamespace(lines=[], more=False)
    one.stored, one.content, one.reasons = [], {}, []
    one._store = SimpleNamespace(
        files=lambda _number: one.stored,
        item=lambda number: SimpleNamespace(**{**vars(DIGEST), "number": number}),
        came_back=lambda _number, reason, now: one.reasons.append((reason, now)) or True,
    )
    one._places = SimpleNamespace(
        find=lambda _item, parts: NamedFiles() if parts is False else None
    )
    files.spot_of = lambda file: file.spot
    files.hash = lambda spot: one.content.get(spot, NotHashed(Problem.DENIED))
    return one


DIGEST = item(ItemKind.DIGEST, "cd" * 20)


CONTENT = SimpleNamespace(digests=FileDigests(sha1=bytes.fromhex(SHA1.hex)))


def stored(spot, role=Role.NAMED, away=1.0):
    return SimpleNamespace(spot=spot, role=role, digests=(SHA1,), away=away)


def test_a_named_file_is_back_if_its_content_is(returns, files):
    returns.stored = [stored(IN)]
    assert returns.reopen_by_place([DIGEST], lambda _number: None) is None
    assert returns.reasons == [], "no file is there"
    files.there.add(IN)
    returns.reopen_by_place([DIGEST], lambda _number: None)
    assert returns.reasons == [], "nobody can say what it is"
    returns.content[IN] = SimpleNamespace(digests=FileDigests(sha1=b"x" * 20))
    returns.reopen_by_place([DIGEST], lambda _number: None)
    assert returns.reasons == [], "it is another file"
    returns.content[IN] = CONTENT
    returns.reopen_by_place([DIGEST], lambda _number: None)
    ((reason, now),) = returns.reasons
    assert (reason.endswith("a file is back at /v/www/a"), now) == (True, 9.0)
    assert returns._round.more
    assert [level for level, _ in returns._round.lines] == ["warning"]


def test_an_item_that_cannot_be_checked_hinders_no_other(returns, files, monkeypatch):
    def find(_item, parts):
        raise StateError("damaged")

    returns._places.find = find
    returns.stored, returns.content[IN] = [stored(IN)], CONTENT
    files.there.add(IN)
    begun = []
    broken = SimpleNamespace(**{**vars(item(ItemKind.URL, "http://x.example/")), "number": 3})
    assert returns.reopen_by_place([broken, DIGEST], begun.append) is None
    assert begun == [3, 5]
    assert returns._round.lines[0] == ("warning", "notice N1: http://x.example/: damaged")
    assert len(returns.reasons) == 1


def test_a_search_that_takes_too_long_goes_on_with_the_next_round(returns, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(returns_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    items = [SimpleNamespace(**{**vars(DIGEST), "number": number}) for number in (4, 6, 8)]
    begun = []

    def begins(number):
        begun.append(number)
        clock.now += returns_module._SECONDS / 2 + 0.1

    assert returns.reopen_by_place(items, begins) == 6
    assert begun == [4, 6]


def test_content_that_is_elsewhere(returns, files):
    row = SimpleNamespace(volume=b"/v", path=b"www/a")
    for found, spot_of_copy, away, count in (
        (CONTENT, IN, None, 0),  # it was there all the time
        (NotHashed(Problem.DENIED), IN, 1.0, 0),
        (SimpleNamespace(digests=FileDigests(sha1=b"x" * 20)), IN, 1.0, 0),
        (CONTENT, IN, 1.0, 1),
    ):
        returns.stored = [stored(spot_of_copy, Role.COPY, away)]
        files.there, returns.content = {IN}, {IN: found}
        returns.reopen_by_content(5, {SHA1}, [row, row])
        assert len(returns.reasons) == count
    assert returns.reasons[0][0].endswith("its content is at /v/www/a")
    files.there = set()
    returns.reopen_by_content(5, {SHA1}, [row])
    assert len(returns.reasons) == 1, "the row is that of the removed file"
