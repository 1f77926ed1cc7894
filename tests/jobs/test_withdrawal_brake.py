"""Withdrawals count for a brake, and a kill doubles no line about them."""

import os

import pytest
from asked_again import DAY, placed, sha1, with_one_wrong

from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.jobs.recheck_verdicts import accept, ask_again
from hashscan.jobs.restore_withdrawn import put_back


@pytest.fixture
def place(tmp_path, volume, monkeypatch):
    with placed(tmp_path, volume, monkeypatch) as made:
        yield made


def restore_marked(place):
    """What ``restore_withdrawn: auto`` does; returns the number of files."""
    return put_back(os.fsencode(place.directory), 60.0, (), None).done


def isolate_many(place, number):
    contents = [b"material %d" % one for one in range(number)]
    for one, content in enumerate(contents):
        place.isolate(f"f{one}", content)
    return [sha1(one) for one in contents]


def test_a_lying_service_cannot_have_the_quarantine_restored_three_at_a_time(place):
    digests = isolate_many(place, 8)
    restored = 0
    for two in range(0, 8, 2):
        place.known -= set(digests[two : two + 2])
        place.days(2)
        restored += restore_marked(place)
    assert restored == 2
    why = [facts["reason"] for event, facts in place.events if event == "withdrawal-held"]
    assert "2 digests were withdrawn within 90 days" in why[0]


def test_an_acceptance_begins_the_count_of_withdrawals_again(place):
    digests = isolate_many(place, 9)
    for begin, withdrawn in ((0, 2), (4, 2)):
        place.known -= set(digests[begin : begin + 2])
        assert place.days(2).withdrawn == withdrawn
        place.known -= set(digests[begin + 2 : begin + 4])
        assert place.days(2).held == 2
        accept(place.directory, place.state, place)
        assert restore_marked(place) == 4


def test_withdrawals_of_long_ago_do_not_count(place):
    digests = isolate_many(place, 5)
    for two in (0, 2):
        place.known -= set(digests[two : two + 2])
        assert place.days(2).withdrawn == 2
        assert restore_marked(place) == 2
        place.clock.wait(90 * DAY)
        place.ask()


@pytest.mark.parametrize("lines", [1, 2])
def test_a_round_that_is_killed_after_its_lines_writes_no_line_twice(place, monkeypatch, lines):
    with_one_wrong(place)
    place.isolate("wrong-too", b"joomla")
    place.known.discard(sha1(b"joomla"))
    place.days(1)
    place.clock.wait(DAY)
    log = AuditLog(place.state.directory)
    recorder = Recorder(log, Who.current("daemon"))
    real, left = recorder.write, lines

    def write(event, **facts):
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        real(event, **facts)

    def keep(*_):
        raise KeyboardInterrupt

    def ask():
        ask_again(place.directory, place.state, place.known_set(), DAY, recorder, pause=print)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "write", write)
        patch.setattr("hashscan.jobs.recheck_verdicts._Asking._keep", keep)
        with pytest.raises(KeyboardInterrupt):
            ask()
    ask()
    ask()
    events = [(one.event, one.facts["digest"]["sha1"]) for one in read(place.state.directory)]
    assert sorted(events) == sorted(
        [("withdrawn", sha1(b"wordpress").hex), ("withdrawn", sha1(b"joomla").hex)]
    )
