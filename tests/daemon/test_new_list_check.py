"""hashscan.daemon.new_list_check: filters that are checked while the daemon works on."""

from types import SimpleNamespace

import pytest

from hashscan.daemon import new_list_check
from hashscan.daemon.new_list_check import NewLists


class Check:
    """Stands for the processes that judge the catalog."""

    def __init__(self, _settings, _state, _catalog, known, _notice):
        self.known, self.connections, self.closed, self.ends = known, ["one"], 0, False

    def take(self, ready):
        return self.ends and "one" in ready

    def close(self):
        self.closed += 1


@pytest.fixture
def lists(monkeypatch):
    made = []
    monkeypatch.setattr(
        new_list_check, "ListCheck", lambda *given: made.append(Check(*given)) or made[-1]
    )
    monkeypatch.setattr(
        new_list_check, "needs_check", lambda _settings, _catalog, known: known != "seen"
    )
    one = NewLists(None, None, None, SimpleNamespace(notice=None))
    one.made = made
    return one


def test_a_set_that_was_checked_before_needs_no_check(lists):
    assert lists.begin("seen") is False
    assert (lists.known, lists.connections, lists.take(["one"])) == (None, [], None)
    assert lists.made == []


def test_a_set_can_be_used_when_its_check_has_ended(lists):
    assert lists.begin("new") is True
    assert (lists.known, lists.connections) == ("new", ["one"])
    assert lists.take(["one"]) is None
    assert lists.known == "new"
    lists.made[0].ends = True
    assert lists.take(["another"]) is None
    assert lists.take(["one"]) == "new"
    assert (lists.known, lists.connections, lists.made[0].closed) == (None, [], 1)
    assert lists.take(["one"]) is None


@pytest.mark.parametrize(("after", "known"), [("newer", "newer"), ("seen", None)])
def test_the_newest_set_counts(lists, after, known):
    lists.begin("new")
    lists.begin(after)
    assert (lists.made[0].closed, lists.known) == (1, known)


def test_the_end_of_the_session_ends_the_check(lists):
    lists.begin("new")
    lists.end()
    lists.end()
    assert (lists.made[0].closed, lists.known) == (1, None)
