"""hashscan.daemon.background: a job's result, or why there is none."""

import os
import signal

import pytest

from hashscan.daemon.background import Background, Failure
from hashscan.errors import FilterError


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
