"""hashscan.jobs.close_holds: holds whose list was corrected."""

from types import SimpleNamespace

import pytest
from asked_again import Filter, placed, sha1
from brake_matches import digests_of, match

from hashscan.errors import StateError
from hashscan.jobs.close_holds import close_corrected
from hashscan.jobs.recheck_verdicts import accept
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.hold_types import HoldKind, HoldState
from hashscan.quarantine.holds import Holds, waiting_holds


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "holds.sqlite3")


@pytest.fixture
def log():
    lines = []
    return SimpleNamespace(lines=lines, write=lambda event, **facts: lines.append((event, facts)))


def brake(path, content=b"known", owners=1):
    """A hold of a content after one owner's file moved."""
    with Holds(path) as holds:
        for uid in range(owners + 1):
            hold = holds.admit(match(f"{uid}/f", uid, content), BrakeLimits(owners=owners))
        return hold


def states(path):
    with Holds(path) as holds:
        return [one.state.value for one in holds.holds(every=True)]


def test_a_hold_closes_when_no_filter_has_its_digest(path, log):
    hold = brake(path)
    filled = Filter([sha1(b"known")])
    assert close_corrected(path, [filled], (), log) == []
    assert close_corrected(path, [Filter([]), filled], (), log) == [], "one filter has it"
    assert close_corrected(path, (), (), log) == [], "no filter is no correction"
    assert close_corrected(path, [Filter([])], (), log) == ["H1"]
    ((event, facts),) = log.lines
    assert (event, facts["hold"], facts["kind"], facts["files"]) == (
        "hold-closed",
        "H1",
        "digest",
        1,
    )
    assert f"sha1:{sha1(b'known').hex}" in facts["digest"]
    with Holds(path) as holds:
        closed = holds.get(hold.number)
        assert (closed.state, closed.who, closed.files) == (HoldState.CLOSED, "hashscan", 1)
        assert closed.why == facts["because"]
        assert holds.holds() == []
    assert close_corrected(path, [Filter([])], (), log) == [], "once"


def test_a_hold_closes_when_the_service_withdrew_its_digest(path, log):
    brake(path)
    filled = Filter([sha1(b"known")])
    assert close_corrected(path, [filled], [sha1(b"other")], log) == []
    assert close_corrected(path, [filled], [sha1(b"known")], log) == ["H1"]


def test_an_accepted_withdrawal_closes_holds_of_its_content_without_filters(path, log):
    brake(path)
    brake(path, b"other")
    assert close_corrected(path, (), [sha1(b"known")], log) == ["H1"]
    assert states(path) == ["closed", "held"]


def test_a_hold_of_many_contents_closes_with_the_last_of_them(path, log):
    with Holds(path) as holds:
        holds.hold_list("baseline", "7", 2, [digests_of(b"a", ("sha1",)), digests_of(b"b")])
    assert close_corrected(path, [Filter([sha1(b"a")])], (), log) == []
    assert close_corrected(path, [Filter([sha1(b"a")])], [sha1(b"a")], log) == ["H1"]


def test_files_count_whose_digest_is_no_part_of_the_rule(path, log):
    with Holds(path) as holds:
        for uid in (7, 7):
            holds.admit(match(f"{uid}/f", uid), BrakeLimits(per_hour=1))
            holds.admit(match(f"{uid}/g", uid, b"other"), BrakeLimits(per_hour=1))
        assert holds.get(1).kind is HoldKind.RATE
    assert close_corrected(path, [Filter([sha1(b"other")])], (), log) == []
    assert close_corrected(path, [Filter([sha1(b"known")])], (), log) == ["H1"]


def test_a_hold_without_a_file_waits_for_a_decision(path, log):
    with Holds(path) as holds:
        holds.admit(match("f", 7), BrakeLimits(per_hour=1))
        holds.admit(match("g", 7, b"other"), BrakeLimits(per_hour=1))
        (file,) = holds.files(1)
        holds.forget_file(file)
    assert close_corrected(path, [Filter([])], (), log) == []


def test_a_decided_hold_and_a_missing_file_are_left_alone(path, log):
    assert close_corrected(path, [Filter([])], (), log) == []
    brake(path)
    with Holds(path) as holds:
        holds.release(1, who="root")
        assert holds.close_hold(1, why="").state is HoldState.RELEASED
    assert close_corrected(path, [Filter([])], (), log) == []


def test_a_hold_stays_if_its_line_cannot_be_written(path, log):
    def fails(*_, **__):
        raise StateError("full")

    brake(path)
    log.write = fails
    with pytest.raises(StateError):
        close_corrected(path, [Filter([])], (), log)
    assert states(path) == ["held"]


def test_the_brakes_count_as_before_after_a_hold_was_closed(path, log):
    brake(path)
    close_corrected(path, [Filter([])], (), log)
    assert brake(path).id == "H2"


def test_a_list_with_too_many_digests_holds_its_next_versions_too(path, monkeypatch):
    monkeypatch.setattr("hashscan.quarantine.holds.MOST_DIGESTS", 1)
    with Holds(path) as holds:
        found = match("f", 7)
        hit = found.hit
        holds.hold_list(hit.category, "6", 2, [digests_of(b"a"), digests_of(b"b")])
        assert hit.filter_version != "6"
        assert holds.admit(found, BrakeLimits()).id == "H1"


def test_a_list_with_too_many_digests_to_note_waits_for_a_decision(path, log, monkeypatch):
    """Its other files have no digest in the hold: nothing says that those are corrected, too."""
    monkeypatch.setattr("hashscan.quarantine.holds.MOST_DIGESTS", 1)
    found = match("1/f", 1, b"a")
    with Holds(path) as holds:
        holds.hold_list(found.hit.category, "6", 2, [digests_of(b"a"), digests_of(b"b")])
        holds.admit(found, BrakeLimits())
        assert len(list(holds.files(1))) == 1
    assert close_corrected(path, [Filter([sha1(b"b")])], (), log) == []
    assert close_corrected(path, [Filter([])], [sha1(b"a")], log) == []
    assert states(path) == ["held"]


# Rounds of questions


@pytest.fixture
def place(tmp_path, volume, monkeypatch):
    with placed(tmp_path, volume, monkeypatch) as made:
        yield made


@pytest.fixture
def hold(place):
    """A hold of the wrong digest, which has one more file."""
    place.filtered.add(sha1(b"wordpress"))
    with Holds(place.state.holds) as holds:
        for uid in (1, 2):
            one = holds.admit(match(f"{uid}/f", uid, b"wordpress"), BrakeLimits(owners=1))
    return one


def waiting(place):
    return [one.id for one in waiting_holds(place.state.holds)]


def test_a_round_closes_the_hold_of_a_withdrawn_digest(place, hold):
    place.isolate("wrong", b"wordpress")
    place.isolate("right", b"material")
    place.known.discard(sha1(b"wordpress"))
    assert place.days(1).closed == []
    assert waiting(place) == [hold.id]
    assert place.days(1).closed == [hold.id]
    assert waiting(place) == []
    assert [event for event, _ in place.events] == ["withdrawn", "hold-closed"]


def test_a_hold_closes_with_the_accepted_withdrawal(place, hold):
    place.isolate("wrong", b"wordpress")
    place.known.clear()
    assert place.days(2).held == 1
    assert waiting(place) == [hold.id]
    assert accept(place.directory, place.state, place).closed == [hold.id]


@pytest.mark.parametrize(("size", "closed"), [(800, False), (999, True)])
def test_a_list_that_may_be_cut_off_closes_no_hold(place, hold, size, closed):
    place.isolate("right", b"material")
    place.ask()
    place.filtered.clear()
    place.size = size
    assert place.ask().closed == ([hold.id] if closed else [])


def test_a_hold_closes_without_a_quarantine(tmp_path, place, hold):
    place.directory = str(tmp_path / "none")
    place.filtered = {sha1(b"other")}
    place.test = True
    assert place.ask().closed == []
    place.test = False
    assert place.ask().closed == [hold.id]
