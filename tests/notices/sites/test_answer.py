"""The answers of sources: which are equal, and which come from a missing document root."""

import pytest

from hashscan.notices.sites.address import parse
from hashscan.notices.sites.answer import Passed, Phases, Redirected, is_root_missing, is_same
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.location import Location, LocationKind

FILE = Location(LocationKind.FILE, b"/srv", b"a", why=("one",))
REDIRECTED = Redirected(parse("http://a.example/"))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Location(LocationKind.FILE, b"/srv", b"a", why=("two",)), True),
        (Location(LocationKind.SCRIPT, b"/srv", b"a"), False),
        (Location(LocationKind.FILE, b"/srw", b"a"), False),
        (Location(LocationKind.FILE, b"/srv", b"b"), False),
        (REDIRECTED, False),
    ],
)
def test_locations_are_equal_apart_from_their_steps(other, same):
    assert is_same(FILE, other) == same
    assert is_same(other, FILE) == same


def test_answers_are_equal_if_they_lead_to_the_same_address():
    assert is_same(REDIRECTED, Redirected(parse("http://a.example")))
    assert not is_same(REDIRECTED, Redirected(parse("https://a.example/")))
    assert not is_same(REDIRECTED, Passed(REDIRECTED.address, FILE))


def test_an_answer_is_elsewhere_if_its_root_is_missing(tmp_path):
    missing = bytes(tmp_path / "none")
    with Disk() as disk:
        assert is_root_missing(Location(LocationKind.NO_FILE, missing), disk)
        assert is_root_missing(Location(LocationKind.NO_FILE), disk)
        assert not is_root_missing(Location(LocationKind.NO_FILE, bytes(tmp_path)), disk)
        assert not is_root_missing(Location(LocationKind.DIRECTORY, missing), disk)
        assert not is_root_missing(REDIRECTED, disk)


def test_a_phase_ends_the_request_with_its_answer():
    class Request(Phases):
        def _run(self):
            self._end(FILE)
            self._end(REDIRECTED)

    assert Request().answer() is FILE
