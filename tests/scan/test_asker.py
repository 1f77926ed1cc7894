"""hashscan.scan.asker: a failure of any kind is no verdict."""

import os
import signal
import threading

import pytest

from hashscan.errors import CredentialsError, HashscanError, ServiceUnavailableError
from hashscan.model import Answer, Digest
from hashscan.scan import asker as asking

DIGESTS = [Digest("sha1", f"{number:040x}") for number in range(3)]


def replies_of(asker, count):
    found = []
    while len(found) < count:
        if asker.connection.poll(60):
            found += asker.replies()
        else:
            pytest.fail("no reply")
    return {reply.digest: reply.answer for reply in found}


class Says:
    def __init__(self, answer):
        self.answer = answer

    def confirm(self, _digest):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_every_kind_of_failure_is_no_verdict():
    for error, message, is_last in (
        (ServiceUnavailableError("away"), "away", False),
        (CredentialsError("refused"), None, True),
        (ZeroDivisionError("odd"), "ZeroDivisionError: odd", False),
    ):
        asker = asking.Asker(lambda error=error: Says(error))
        asker.ask(DIGESTS[0])
        answer = replies_of(asker, 1)[DIGESTS[0]]
        asker.close()
        assert isinstance(answer, asking.NoAnswer)
        assert answer.message == message or message is None
        assert answer.is_last is is_last
        assert (answer.fault is None) is not isinstance(error, HashscanError) or is_last


def test_a_confirmer_that_cannot_be_made_is_tried_for_each_question(tmp_path):
    marker = tmp_path / "there"

    def make():
        if not marker.exists():
            raise CredentialsError("no password")
        return Says(Answer(known=True))

    asker = asking.Asker(make)
    asker.ask(DIGESTS[0])
    answer = replies_of(asker, 1)[DIGESTS[0]]
    assert isinstance(answer, asking.NoAnswer)
    assert answer.is_last is True
    marker.touch()
    asker.ask(DIGESTS[1])
    assert replies_of(asker, 1)[DIGESTS[1]] == Answer(known=True)
    asker.close()


def test_a_confirmer_that_is_broken_is_no_verdict():
    asker = asking.Asker(lambda: {}["odd"])
    asker.ask(DIGESTS[0])
    answer = replies_of(asker, 1)[DIGESTS[0]]
    asker.close()
    assert answer == asking.NoAnswer("'odd'")


def test_another_known_set_answers_nothing_that_was_asked_of_the_one_before():
    gate = threading.Event()

    class Waits:
        def confirm(self, _digest):
            gate.wait(60)

    asker = asking.Asker(Waits)
    for digest in DIGESTS[:2]:
        asker.ask(digest)
    replies = asker.restart(lambda: Says(Answer(known=False)))
    assert {one.digest for one in replies} == set(DIGESTS[:2])
    assert all("asked again" in one.answer.message for one in replies)
    assert asker.restart() == [], "each is replied to once"
    asker.ask(DIGESTS[2])
    assert replies_of(asker, 1) == {DIGESTS[2]: Answer(known=False)}, "by the new set still"
    asker.close()


def test_each_open_question_of_a_process_that_dies_is_replied_to_and_another_process_answers():
    class Waits:
        def confirm(self, digest):
            if digest == DIGESTS[0]:
                return Answer(known=False)
            return threading.Event().wait(60)

    asker = asking.Asker(Waits)
    dead = asker._child
    asker.ask(DIGESTS[0])
    assert replies_of(asker, 1) == {DIGESTS[0]: Answer(known=False)}
    for digest in DIGESTS[1:]:
        asker.ask(digest)
    asker._make = lambda: Says(Answer(known=True))
    os.kill(dead.pid, signal.SIGKILL)
    lost = replies_of(asker, 2)
    assert set(lost) == set(DIGESTS[1:])
    assert all((one.fault, one.is_last) == (None, False) for one in lost.values())
    assert all("the process that asks the service died" in one.message for one in lost.values())
    assert dead.connection.closed
    assert dead.exit_code == -signal.SIGKILL
    asker.ask(DIGESTS[1])
    assert replies_of(asker, 1) == {DIGESTS[1]: Answer(known=True)}
    asker.close()
