"""hashscan.processes: the end of processes, whatever became of their start."""

import multiprocessing
import time

import pytest

from hashscan.processes import end, start


def test_one_that_never_started_or_ended_before_is_ended_in_silence(monkeypatch):
    context = multiprocessing.get_context("fork")
    refused = context.Process(target=time.sleep, args=(100,))

    def refuse():
        raise BlockingIOError

    with monkeypatch.context() as patch:
        patch.setattr("os.fork", refuse)
        with pytest.raises(BlockingIOError):
            start(refused)
    end(refused)
    running = context.Process(target=time.sleep, args=(100,))
    start(running)
    end(running)
    with pytest.raises(ValueError, match="closed"):
        running.is_alive()
    end(running)
