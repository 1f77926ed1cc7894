"""Digests in quarantine are asked for again; withdrawn ones are marked, unless a brake holds them."""

import errno
import hashlib
import os
from types import SimpleNamespace

import pytest
from asked_again import DAY, SERVICE, Filter, Place, placed, sha1, with_one_wrong
from isolating import confirmed

from hashscan.authority import Authority
from hashscan.errors import CredentialsError, ServiceRefusedError, ServiceUnavailableError
from hashscan.files import WITHDRAWN_MARK
from hashscan.jobs.recheck_verdicts import accept, ask_again
from hashscan.model import Digest
from hashscan.quarantine import store as store_module
from hashscan.quarantine.recheck_answers import AskedStore
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def place(tmp_path, volume, monkeypatch):
    with placed(tmp_path, volume, monkeypatch) as made:
        yield made


def test_twice_unknown_a_day_apart_marks_all_its_records_and_says_so_once(place):
    wrong = with_one_wrong(place)
    assert place.ask().asked == 0, "nothing is due yet"
    first = place.days(1)
    assert sorted(first.unknown) == [sha1(b"wordpress")]
    assert sorted(place.questions) == sorted([sha1(b"wordpress"), sha1(b"material")])
    assert place.withdrawn() == set()
    assert place.events == []
    found = place.days(1)
    assert (found.withdrawn, found.files, found.marked) == (1, 3, 3)
    assert place.withdrawn() == wrong
    assert [event for event, _ in place.events] == ["withdrawn"]
    assert place.events[0][1] == {
        "digest": {"sha1": sha1(b"wordpress").hex}, "category": "baseline", "files": 3,
        "service": SERVICE,
    }  # fmt: skip
    one = place.records()[min(wrong)]
    assert (one.word, one.state.value, one.history[-1][0]) == (
        "withdrawn", "quarantined", "withdrawn",
    )  # fmt: skip
    assert place.days(3).marked == 0
    assert len(place.events) == 1


def test_questions_come_no_sooner_than_a_day_apart_whatever_is_due(place):
    with_one_wrong(place)
    place.days(1)
    for _ in range(23):
        place.clock.wait(3600)
        place.ask(interval=600.0)
        assert place.withdrawn() == set()
    place.clock.wait(3600)
    place.ask(interval=600.0)
    assert len(place.withdrawn()) == 3


def test_a_clock_that_jumps_makes_no_day_pass(place):
    with_one_wrong(place)
    place.days(1)
    for jump in (10 * DAY, -30 * DAY, 400 * DAY):
        place.clock.wall += jump
        place.clock.wait(3600)
        place.ask(interval=60.0)
        assert place.withdrawn() == set()
    place.clock.wait(21 * 3600 + 60)
    place.ask(interval=60.0)
    assert len(place.withdrawn()) == 3


def test_a_longer_interval_asks_after_a_day_for_what_was_unknown_once(place):
    with_one_wrong(place)
    place.days(7, interval=7 * DAY)
    assert place.withdrawn() == set()
    place.days(1, interval=7 * DAY)
    assert sha1(b"wordpress") in place.questions
    assert len(place.withdrawn()) == 3


def test_known_in_between_begins_again(place):
    with_one_wrong(place)
    place.days(1)
    place.known.add(sha1(b"wordpress"))
    place.days(1)
    place.known.discard(sha1(b"wordpress"))
    place.days(1)
    assert place.withdrawn() == set()
    place.days(1)
    assert len(place.withdrawn()) == 3


def test_a_file_that_came_since_was_known_then(place):
    with_one_wrong(place)
    place.days(1)
    place.clock.wait(3600)
    place.isolate("newer", b"wordpress")
    place.known.discard(sha1(b"wordpress"))
    place.days(1)
    assert place.withdrawn() == set()
    place.days(1)
    assert len(place.withdrawn()) == 4


def test_what_is_known_again_is_not_withdrawn_any_more(place):
    with_one_wrong(place)
    place.days(2)
    place.known.add(sha1(b"wordpress"))
    assert place.days(1).marked == 3
    assert place.withdrawn() == set()
    assert {one.history[-1][0] for one in place.records().values()} == {
        "quarantined", "known-again",
    }  # fmt: skip


def test_a_filter_that_drops_a_digest_has_it_asked_for_immediately(place):
    with_one_wrong(place)
    place.clock.wait(60)
    assert place.ask().asked == 0
    place.filtered, place.version = {sha1(b"material")}, 2
    assert place.ask().unknown == [sha1(b"wordpress")]
    assert place.questions == [sha1(b"wordpress")]
    assert place.ask().asked == 0, "once for each set of filters"
    assert place.withdrawn() == set()
    place.days(1)
    assert len(place.withdrawn()) == 3


@pytest.mark.parametrize(
    "error",
    [ServiceUnavailableError("down"), CredentialsError("no"), ServiceRefusedError("not that")],
)
def test_an_error_is_no_answer(place, error):
    with_one_wrong(place)
    place.error = error
    for _ in range(4):
        found = place.days(1)
        assert found.trouble == str(error)
        assert (found.asked, found.unknown) == (0, [])
    is_last = not isinstance(error, ServiceRefusedError)
    assert len(place.questions) == (1 if is_last else 2)
    place.error = None
    place.days(1)
    assert place.withdrawn() == set()


def test_the_test_twin_is_not_asked(place):
    with_one_wrong(place)
    place.test = True
    assert place.days(5).asked == 0
    assert place.questions == []


def test_another_service_has_no_say(place):
    with_one_wrong(place)
    place.service = "local:/etc/list.txt"
    assert place.days(5).asked == 0
    assert place.withdrawn() == set()


def test_what_a_notice_moved_is_not_withdrawn_by_a_list(place):
    place.isolate("right", b"material")
    notice = Authority("notice", "N1", None, "hotline.example")
    named = Authority("list", "N1", None, "hotline.example")
    place.isolate("noticed", b"noticed", authority=notice)
    listed = place.isolate("listed", b"listed", authority=named)
    place.known -= {sha1(b"noticed"), sha1(b"listed")}
    place.days(2)
    assert place.withdrawn() == {listed}


def test_another_digest_of_the_content_that_is_known_keeps_it(place):
    place.isolate("right", b"material")
    place.isolate("file", b"both")
    place.known.discard(sha1(b"both"))
    md5 = Digest("md5", hashlib.md5(b"both").hexdigest())
    place.known.add(md5)
    place.filtered.add(md5)
    Filter.algorithms = frozenset({"sha1", "md5"})
    try:
        place.days(3)
    finally:
        Filter.algorithms = frozenset({"sha1"})
    assert md5 in place.questions
    assert place.withdrawn() == set()


def test_a_service_that_knows_nothing_releases_nothing(place):
    for number in range(30):
        place.isolate(f"f{number}", b"%d" % number)
    kept, place.known = place.known, set()
    found = place.days(2)
    assert (found.held, found.withdrawn) == (30, 0)
    assert "30 of the 30 digests" in found.why
    assert place.withdrawn() == set()
    (event,) = place.events
    assert event[0] == "withdrawal-held"
    assert event[1]["digests"] == event[1]["files"] == 30
    assert place.days(2).held == 0, "said once"
    assert len(place.events) == 1
    place.known = kept
    place.days(1)
    with AskedStore.open(place.state.withdrawn) as asked:
        assert not any(one.held for one in asked.answers(SERVICE).values())


def test_a_trickle_of_unknown_answers_is_a_flood(place):
    """Each day another part of the quarantine is asked for."""
    for day in range(12):
        for number in range(5):
            place.isolate(f"f{day}-{number}", b"%d %d" % (day, number))
        place.clock.wait(DAY)
    place.known = set()
    for _ in range(30):
        place.days(1, interval=12 * DAY)
    assert place.withdrawn() == set()


def test_one_digest_alone_proves_nothing_and_an_administrator_accepts(place):
    one = place.isolate("only", b"only")
    place.known = set()
    found = place.days(2)
    assert (found.held, found.withdrawn) == (1, 0)
    assert "knows none" in found.why
    done = accept(place.directory, place.state, place)
    assert (done.withdrawn, done.files, done.marked) == (1, 1, 1)
    assert place.withdrawn() == {one}
    assert [event for event, _ in place.events] == ["withdrawal-held", "withdrawn"]
    assert not os.path.lexists(os.path.join(place.state.directory, WITHDRAWN_MARK)), "it is done"
    assert accept(place.directory, place.state, place).withdrawn == 0


def test_an_acceptance_of_one_digest_leaves_the_others_held(place):
    for number in range(8):
        place.isolate(f"f{number}", b"%d" % number)
    place.known = set()
    place.days(2)
    accept(place.directory, place.state, place, {sha1(b"3").hex})
    assert len(place.withdrawn()) == 1
    assert place.days(1).withdrawn == 0
    assert len(place.withdrawn()) == 1

    def size():
        with AskedStore.open(place.state.withdrawn) as asked:
            return asked.size(SERVICE)

    assert size() is not None, "the count of withdrawals goes on"
    accept(place.directory, place.state, place)
    assert size() is None, "it begins again"


def test_an_acceptance_is_not_undone_by_a_round_under_way(place):
    place.isolate("only", b"only")
    place.known = set()
    place.days(2)
    with AskedStore.open(place.state.withdrawn) as asked:
        before = asked.answers(SERVICE)
        accept(place.directory, place.state, place)
        asked.put(SERVICE, before.values())
        assert [one.state for one in asked.answers(SERVICE).values()] == ["checked"]


def test_a_list_that_was_cut_off_withdraws_nothing(place):
    with_one_wrong(place)
    for number in range(20):
        place.isolate(f"r{number}", b"r%d" % number)
    place.known.add(sha1(b"wordpress"))
    place.days(1)
    place.known.discard(sha1(b"wordpress"))
    place.size, place.version, place.filtered = 500, 2, place.known
    found = place.days(3)
    assert "1,000 digests before and has 500 now" in _reason(place)
    assert (found.withdrawn, place.withdrawn()) == (0, set())
    accept(place.directory, place.state, place)
    assert len(place.withdrawn()) == 3


def _reason(place):
    (reason,) = {facts["reason"] for event, facts in place.events if event == "withdrawal-held"}
    return reason


def test_a_known_digest_is_asked_for_as_proof_if_none_was_of_late(place):
    place.isolate("right", b"material")
    place.days(6, interval=60 * DAY)
    with_one = place.isolate("wrong", b"wordpress")
    place.known.discard(sha1(b"wordpress"))
    place.days(1, interval=0.9 * DAY)
    place.days(1, interval=60 * DAY)
    assert place.withdrawn() == {with_one}
    assert place.questions == [sha1(b"wordpress"), sha1(b"material")] or len(place.questions) == 1


def test_a_kill_between_the_answer_and_the_marks_leaves_them_to_the_next_round(place, monkeypatch):
    wrong = with_one_wrong(place)
    place.days(1)
    place.clock.wait(DAY)
    real = Store.save
    saved = []

    def save(store, record):
        if len(saved) == 1:
            raise KeyboardInterrupt
        saved.append(record.id)
        real(store, record)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", save)
        with pytest.raises(KeyboardInterrupt):
            place.ask()
    assert len(place.withdrawn()) == 1
    assert place.ask().marked == 2
    assert place.withdrawn() == wrong
    assert [event for event, _ in place.events] == ["withdrawn"]


def test_restored_files_are_forgotten_and_not_held(place):
    wrong = with_one_wrong(place)
    place.days(2)
    with Store.open(os.fsencode(place.directory)) as store:
        for one in wrong:
            with store.lock(5):
                restore(store, one)
    place.days(1)
    with AskedStore.open(place.state.withdrawn) as asked:
        states = {one.digest: found.state for one, found in asked.answers(SERVICE).items()}
        # The withdrawal counts for the brake.
        assert states == {sha1(b"material"): "known", sha1(b"wordpress"): "withdrawn"}
    place.clock.wait(90 * DAY)
    place.ask()
    with AskedStore.open(place.state.withdrawn) as asked:
        assert [one.digest for one in asked.answers(SERVICE)] == [sha1(b"material")]
    match = confirmed(place.volume, "wrong0")
    assert place.quarantine.act(match).action == "quarantined", "the list took it up again"


def test_a_question_for_each_distinct_digest(place):
    for number in range(40):
        place.isolate(f"f{number}", b"the same")
    place.days(1)
    assert place.questions == [sha1(b"the same")]


@pytest.mark.parametrize("remote", [False, True])
def test_a_service_on_another_machine_is_asked_slowly_and_left_in_the_end(place, remote):
    for number in range(3):
        place.isolate(f"f{number}", b"%d" % number)
    place.clock.wait(DAY)
    given, closed, pauses = place.known_set(), [], []
    confirm = given.make_confirmer().confirm
    given.make_confirmer = lambda: SimpleNamespace(confirm=confirm, close=lambda: closed.append(1))
    given.remote = remote
    ask_again(place.directory, place.state, given, DAY, place, pause=pauses.append)
    assert len(place.questions) == 3
    assert (pauses, closed) == (([0.2] * 3, [1]) if remote else ([], []))


def test_a_killed_round_loses_at_most_sixteen_answers(place):
    for number in range(17):
        place.isolate(f"f{number}", b"%d" % number)
    place.clock.wait(DAY)
    stored = []

    def known_set():
        given = Place.known_set(place)
        confirm = given.make_confirmer().confirm

        def asked(digest):
            with AskedStore.open(place.state.withdrawn) as answers:
                stored.append(len(answers.answers(SERVICE)))
            return confirm(digest)

        given.make_confirmer = lambda: SimpleNamespace(confirm=asked, close=lambda: None)
        return given

    place.known_set = known_set
    assert place.ask().asked == 17
    assert stored == [0] * 16 + [16]


def test_no_proof_is_asked_for_while_nothing_is_about_to_be_withdrawn(place):
    place.isolate("right", b"material")
    place.days(1)
    place.isolate("wrong", b"wordpress")
    place.known.discard(sha1(b"wordpress"))
    found = place.days(1)
    assert found.unknown == [sha1(b"wordpress")]
    place.clock.wait(30 * DAY)
    place.error = ServiceRefusedError("it takes no such digest")
    place.ask(interval=60 * DAY)
    assert place.questions == [sha1(b"wordpress")]


def test_a_smaller_list_is_the_new_measure_if_nothing_is_wrong(place):
    place.isolate("right", b"material")
    for size in (1000, 500, 800):
        place.size = size
        place.days(1)
        with AskedStore.open(place.state.withdrawn) as asked:
            assert asked.size(SERVICE) == size


def test_records_that_cannot_be_marked_are_reported_and_marked_later(place, monkeypatch):
    wrong = with_one_wrong(place)
    place.days(1)
    write = store_module._write

    def full(entry, name, raw):
        if name == store_module._NEW:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(entry, name, raw)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_write", full)
        found = place.days(1)
    assert (found.withdrawn, found.files, found.marked) == (1, 3, 0)
    assert any(one in found.unmarked for one in wrong)
    assert "free some space there" in found.unmarked
    assert place.withdrawn() == set()
    assert place.ask().unmarked == ""
    assert place.withdrawn() == wrong
