"""Judging the catalog anew goes on whatever waits for its writers."""

from types import SimpleNamespace

from hashscan.daemon.judging import Judging


def test_files_that_somebody_keeps_open_do_not_stop_it():
    looking = SimpleNamespace(queued=0, backlog=50_000)
    judging = Judging(None, looking, (), None, lambda: None)
    judging._process = SimpleNamespace(connections=["its connection"])
    assert judging.connections == ["its connection"]
    looking.queued = 50_000
    assert judging.connections == []
