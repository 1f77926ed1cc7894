"""hashscan.scan.changed_entries: reported files that are at rest."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import raising
from one_task import NoSizes, Place

from hashscan.fs.beneath import closing
from hashscan.fs.listing import ListedFile
from hashscan.fs.reading import identity_in
from hashscan.scan import changed_entries


def test_a_file_is_at_rest_unless_it_is_new_or_somebody_writes(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"x")
    status = os.lstat(tmp_path / "f")
    now = [status.st_ctime_ns + changed_entries.REST]
    monkeypatch.setattr(changed_entries, "time", SimpleNamespace(time_ns=lambda: now[0]))
    with closing(os.open(tmp_path, os.O_RDONLY)) as fd:
        entry = ListedFile(b"f", status)
        assert changed_entries.is_at_rest(fd, entry) is True
        with open(tmp_path / "f", "ab"):
            assert changed_entries.is_at_rest(fd, entry) is False
        now[0] -= 1
        assert changed_entries.is_at_rest(fd, entry) is False
        now[0] = status.st_ctime_ns
        assert changed_entries.is_at_rest(fd, entry) is False
        now[0] -= 1  # the clock was set back
        assert changed_entries.is_at_rest(fd, entry) is True
        now[0] += 10 * changed_entries.REST
        for number, rests in ((errno.EAGAIN, False), (errno.EACCES, True), (errno.ENOENT, True)):
            monkeypatch.setattr(changed_entries, "open_file", raising(number))
            assert changed_entries.is_at_rest(fd, entry) is rests


@pytest.fixture
def place(tmp_path, state):
    one = Place(tmp_path / "volume", state, settles=False)
    yield one
    one.catalog.close()


@pytest.fixture
def check(place):
    """A function that checks names in a directory; returns the only findings."""

    def check(*names, path=b"", **options):
        for name in names:
            (place.path / os.fsdecode(path) / name).write_bytes(b"content")
        listed = tuple((name.encode(), 0) for name in names)
        (found,) = place.do(names=listed, path=path, look=True, **options)
        assert found.done
        return found

    return check


@pytest.mark.parametrize(
    ("exclude", "is_checked"),
    [
        ((), True),
        (("a",), False),
        (("a/*",), False),
        (("a/b",), False),
        (("a/b/*",), False),
        (("b",), True),
        (("c",), True),
    ],
)
def test_files_below_an_excluded_directory_are_not_checked(place, check, exclude, is_checked):
    """A scan does not enter it, so a change in it is none of hashscan's business."""
    (place.path / "a" / "b").mkdir(parents=True)
    found = check("f", path=b"a/b", exclude=exclude, final=True)
    assert [row[0] for row in found.rows] == ([b"f"] if is_checked else [])
    assert found.tally.files == is_checked


@pytest.mark.parametrize("own", ["", "a", "a/b"])
def test_files_below_a_directory_of_hashscans_own_are_not_checked(place, check, own):
    (place.path / "a" / "b").mkdir(parents=True)
    options = {"own": frozenset({identity_in((place.path / own).stat())})}
    found = check("f", path=b"a/b", options=options, final=True)
    assert (found.rows, found.tally.files) == ([], 0)


@pytest.mark.parametrize("is_at_rest", [True, False])
def test_an_excluded_file_is_skipped_and_not_checked_again(check, monkeypatch, is_at_rest):
    monkeypatch.setattr(changed_entries, "is_at_rest", lambda _fd, _entry: is_at_rest)
    for final in (True, False):
        found = check("a.log", "b", exclude=("*.log",), final=final)
        assert found.tally.skipped == {"excluded": 1}
        handed_back = [] if is_at_rest else [(b"b", 7)]
        assert (found.later, found.unrested) == ((handed_back, []) if final else ([], handed_back))
        assert [row[0] for row in found.rows] == ([b"b"] if final or is_at_rest else [])


@pytest.mark.parametrize("is_at_rest", [True, False])
def test_a_large_file_has_its_own_turn_whether_it_is_at_rest_or_not(check, monkeypatch, is_at_rest):
    monkeypatch.setattr(changed_entries, "is_at_rest", lambda _fd, _entry: is_at_rest)
    found = check("f", bound=6)
    assert (found.large, found.unrested, found.rows) == ([b"f"], [], [])


@pytest.mark.parametrize("is_at_rest", [True, False])
def test_a_file_of_an_unknown_size_that_is_being_written_is_checked_again(
    place, check, monkeypatch, is_at_rest
):
    monkeypatch.setattr(changed_entries, "is_at_rest", lambda _fd, _entry: is_at_rest)
    place.filters = (NoSizes(),)
    for bound in (None, 6):
        found = check("f", bound=bound)
        assert found.unrested == ([] if is_at_rest else [(b"f", 7)])
        assert found.tally.skipped == ({"unknown-size": 1} if is_at_rest else {})
        assert found.large == []
