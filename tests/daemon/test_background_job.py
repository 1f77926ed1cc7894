"""hashscan.daemon.background_job: a job's result, or why there is none."""

import errno
import os
import signal

import pytest
from faulty import raising

from hashscan.daemon import background_job as module
from hashscan.daemon.background_job import Background, Failure, Repeated
from hashscan.errors import FilterError, HashscanError


def raises(error):
    raise error


@pytest.mark.parametrize(
    ("job", "result"),
    [
        (lambda: [1, 2], [1, 2]),
        (lambda: raises(FilterError("no filter")), Failure("FilterError", "no filter")),
        (lambda: raises(KeyError("x")), Failure("Exception", "KeyError: 'x'")),
    ],
)
def test_the_result_or_the_kind_of_failure(job, result):
    assert Background(job).take() == result


def test_a_process_that_dies_is_a_failure():
    failure = Background(lambda: os.kill(os.getpid(), signal.SIGKILL)).take()
    assert failure.kind == "HashscanError"
    assert "the process that did it died (exit status -9)" in failure.message


def test_it_steps_aside_and_survives_what_a_terminal_sends_to_all():
    def job():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return os.getpriority(os.PRIO_PROCESS, 0)

    assert Background(job).take() == 19


def test_a_repeated_job_keeps_its_state_and_ends_with_its_connection():
    orders = []

    def job(order):
        orders.append(order)
        if order == "fail":
            raise FilterError("no filter")
        return len(orders), os.getpid(), os.getpriority(os.PRIO_PROCESS, 0)

    one = Repeated(job)
    try:
        process = one.process_id
        assert one.give("first")
        assert one.take() == (1, process, 19)
        assert one.give("fail")
        assert one.take() == Failure("FilterError", "no filter")
        assert one.give("third")
        assert one.take() == (3, process, 19)
        assert orders == [], "the job runs in a process of its own"
    finally:
        one.close()
    assert not os.path.exists(f"/proc/{process}")


def test_a_repeated_job_whose_process_ended_takes_no_order():
    one = Repeated(os._exit)
    try:
        assert one.give(3)
        assert "exit status 3" in one.take().message
        assert not one.give(0)
    finally:
        one.close()


@pytest.mark.parametrize("make", [Background, Repeated])
def test_a_limit_of_the_machine_is_no_process(monkeypatch, make):
    monkeypatch.setattr(module, "Child", raising(errno.EAGAIN))
    with pytest.raises(HashscanError, match="the machine lets no"):
        make(list)
    monkeypatch.setattr(module, "Child", raising(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        make(list)
