"""hashscan.scan.confirmation: which digests are asked for, and what an answer is valid for."""

import pytest
from lasting_queue import DIGEST, FOUND

from hashscan.catalog.status_overview import overview
from hashscan.model import (
    Answer,
    Digest,
    FilterHit,
)
from hashscan.scan import confirmation
from hashscan.scan.asker import NoAnswer, Reply


def test_verdicts_hold_for_one_set_of_filters(lasting):
    lasting.confirmation._remote = False
    lasting.confirmation.take([Reply(DIGEST, Answer(known=True))])
    assert lasting.confirmation._answer(DIGEST) == Answer(known=True)
    lasting.confirmation.judge_by(2)
    assert lasting.confirmation._answer(DIGEST) is None


def test_the_digest_that_the_service_knows_best_is_asked_for_first(lasting):
    digests = [Digest("md5", "cd" * 16), Digest("sha256", "ef" * 32), DIGEST]
    hits = tuple(FilterHit(one, "baseline", "v1") for one in digests)
    lasting.catalog.put_candidate(
        lasting.scan, b"/srv", lasting.directory, FOUND._replace(hits=hits)
    )
    lasting.confirmation.ask_more()
    for count in (1, 2, 3):
        assert len(lasting.asker.asked) == count, "one after the other: each is one more request"
        lasting.confirmation.take([(lasting.asker.asked[-1], Answer(known=False))])
    assert [one.algorithm for one in lasting.asker.asked] == ["sha1", "sha256", "md5"]
    assert lasting.found.false_positives == 1


def test_one_notice_tells_a_scan_that_nothing_is_answered(lasting):
    lasting.confirmation._lasting = False
    for number in (1, 2):
        lasting.find(b"%d" % number, Digest("sha1", f"{number:040}"))
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(one, NoAnswer("no route")) for one in lasting.asker.asked])
    assert lasting.told.notices == ["no verdict, candidates are kept: no route"]
    assert lasting.confirmation.failed == 2
    assert lasting.confirmation.answered == 0
    assert lasting.confirmation.ask_again() is True
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(one, Answer(known=False)) for one in lasting.asker.asked[2:]])
    assert lasting.confirmation.answered == 2
    assert lasting.confirmation.ask_again() is False


def test_a_scan_takes_up_only_candidates_of_its_own_service(lasting):
    lasting.catalog.service = ("other", True)
    lasting.find(b"theirs")
    lasting.catalog.service = ("s", True)
    lasting.find(b"ours")
    lasting.confirmation._scan, _ = lasting.catalog.begin_scan([b"/mnt"], complete=False)
    lasting.confirmation.begin([b"/mnt"])
    assert lasting.found.candidates == 1
    assert lasting.confirmation.ask_more(walking=True) == 1


@pytest.mark.parametrize("is_lasting", [False, True])
def test_a_scan_counts_the_candidates_of_earlier_scans_when_it_asks_for_them(lasting, is_lasting):
    lasting.confirmation._lasting = is_lasting
    lasting.find(b"before")
    lasting.scan, _ = lasting.catalog.begin_scan([b"/srv"], complete=False)
    lasting.confirmation._scan = lasting.scan
    lasting.find(b"now")  # the code that finds a candidate counts it, too
    assert lasting.confirmation.ask_more() == 2
    assert lasting.found.candidates == (0 if is_lasting else 1)


def test_a_bounded_number_of_candidates_is_under_way(lasting, monkeypatch):
    monkeypatch.setattr(confirmation, "_IN_FLIGHT", 2)
    for number in range(3):
        lasting.find(b"%d" % number, Digest("sha1", f"{number:040}"))
    assert lasting.confirmation.has_room
    assert lasting.confirmation.ask_more() == 2
    assert not lasting.confirmation.has_room
    assert lasting.confirmation.ask_more() == 0
    lasting.confirmation.take([(one, Answer(known=False)) for one in lasting.asker.asked])
    assert lasting.confirmation.more
    assert lasting.confirmation.ask_more() == 1
    assert not lasting.confirmation.more
    assert len(lasting.asker.asked) == 3


def test_a_candidate_is_in_the_catalog_before_its_digest_leaves(lasting):
    seen = []
    lasting.asker.ask = lambda _digest: seen.append(overview(lasting.catalog.path).pending)
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    assert seen == [1]


def test_a_false_positive_stays_in_the_catalog_as_a_file(lasting):
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    lasting.confirmation.take([(DIGEST, Answer(known=False))])
    count = lasting.catalog._connection.execute("SELECT count(*) FROM file").fetchone()
    assert count == (1,)


def test_a_new_set_of_filters_asks_again(lasting):
    lasting.meet()
    lasting.find(b"y")
    lasting.confirmation.judge_by(2)
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST]


def test_a_forgotten_verdict_of_a_local_list_is_asked_for_too(lasting):
    lasting.confirmation._remote = False
    lasting.meet()
    lasting.find(b"y")
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == []
    lasting.confirmation.forget([DIGEST])
    lasting.find(b"z")
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST]


def test_no_verdict_of_a_file_is_taken_for_the_file_in_its_place(lasting):
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    other = Digest("sha1", "cd" * 20)
    lasting.find(b"x", other, inode=6)
    assert lasting.confirmation.more is False
    lasting.confirmation.take([(DIGEST, Answer(known=True))])
    assert lasting.actor.count == 0
    assert lasting.confirmation.more is True
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST, other]


def test_no_false_positive_is_counted_for_the_file_in_its_place(lasting):
    lasting.find(b"x")
    lasting.confirmation.ask_more()
    lasting.find(b"x", Digest("sha1", "cd" * 20), inode=6)
    lasting.confirmation.take([(DIGEST, Answer(known=False))])
    assert lasting.found.false_positives == 0
    assert len(list(lasting.catalog.pending())) == 1


def test_after_refused_credentials_nothing_more_is_asked(lasting):
    for number in (1, 2):
        lasting.find(b"%d" % number, Digest("sha1", f"{number:040}"))
    lasting.confirmation.ask_more()
    first, second = lasting.asker.asked
    lasting.confirmation.take([(first, NoAnswer("HTTP 500"))])
    assert lasting.confirmation.refused is None
    refusal = NoAnswer("wrong password", is_last=True)
    lasting.confirmation.take([(second, refusal)])
    assert lasting.confirmation.refused == refusal
    lasting.find(b"3", Digest("sha1", f"{3:040}"))
    lasting.confirmation.ask_more()
    assert len(lasting.asker.asked) == 2
    assert {why for _, why in lasting.catalog.pending()} == {"HTTP 500", "wrong password"}
    assert lasting.confirmation.ask_again() is False


def test_remembered_answers_do_not_pile_up(lasting):
    lasting.confirmation._remote = False
    for number in range(4097):
        digest = Digest("sha1", f"{number:040}")
        lasting.confirmation.take([(digest, Answer(known=False))])
        assert lasting.confirmation._answer(digest) == Answer(known=False)
    assert len(lasting.confirmation._answers) <= 4096


def test_a_digest_whose_verdict_is_forgotten_is_asked_for_at_once(lasting):
    lasting.meet()
    assert lasting.confirmation.more is False
    lasting.confirmation.forget([DIGEST])
    assert lasting.confirmation.more is True
    lasting.find(b"y")
    lasting.confirmation.ask_more()
    assert lasting.asker.asked == [DIGEST]
