"""hashscan.jobs.notices.items, notice_returns: copies of named files, and files that come back."""

import hashlib
import os

import notice_machine
import pytest

from hashscan.jobs.notices import items

URL = "https://x.example/a/1.jpg"


@pytest.fixture
def machine(tmp_path):
    one = notice_machine.Machine(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("again", ["repeat", "by hand"])
def test_a_removed_item_that_is_received_again_without_its_file_keeps_its_time(machine, again):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    removed = machine.now
    machine.now += 3 * 86400
    if again == "repeat":
        machine.notice("http://X.example/a/1.jpg")
    else:
        machine.store.reopen_notice(identifier, "they say that it is there", now=machine.now)
    assert machine.states(identifier) == ["received"]
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, found.removed, found.since) == ("removed", removed, machine.now)
    assert "did not come back after the removal" in found.reason


@pytest.mark.parametrize("closed", [False, True])
def test_a_file_that_was_back_for_a_moment_was_removed_after_that(machine, closed):
    content = machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    machine.file("a/1.jpg", content)
    machine.round()
    assert machine.states(identifier) == ["received"]
    (machine.site / "a/1.jpg").unlink()
    if closed:
        machine.store.close_notice(identifier, "a mistake", now=machine.now)
        machine.notice(URL)
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, found.removed) == ("removed", machine.now)


def test_copies_move_by_the_same_rule(machine):
    content = machine.file("a/1.jpg")
    other = machine.volume / "y.example"
    other.mkdir()
    (other / "copy.jpg").write_bytes(content)
    (other / "changed.jpg").write_bytes(content)
    machine.scan()
    (other / "changed.jpg").write_bytes(b"another")
    identifier = machine.notice(URL)
    machine.round()
    found, files = machine.one(identifier)
    assert found.state == "removed"
    assert [one.name for one in other.iterdir()] == ["changed.jpg"]
    copy = files["y.example/copy.jpg"]
    assert (copy.role, copy.action, copy.away) == ("copy", "quarantined", machine.now)


def test_empty_files_are_no_copies(machine):
    """A customer empties the file that a notice names, before hashscan looks."""
    machine.file("a/1.jpg", b"")
    empty = machine.site / "__init__.py"
    machine.file("__init__.py", b"")
    machine.scan()
    identifier = machine.notice(URL)
    machine.rounds()
    assert machine.states(identifier) == ["removed"]
    machine.round(later=7200)  # a search for content that is back
    machine.rounds()
    assert (machine.states(identifier), empty.exists()) == (["removed"], True)


@pytest.mark.root
def test_a_copy_of_another_customer_stays(machine):
    """A hostile customer cannot have a rival's file moved by putting its content at his own URL."""
    content = machine.file("a/1.jpg")
    own, rival = machine.site / "own copy.jpg", machine.volume / "rival.jpg"
    for path, uid in ((machine.site / "a/1.jpg", 1001), (own, 1001), (rival, 1002)):
        path.write_bytes(content)
        os.chown(path, uid, uid)
    machine.scan()
    identifier = machine.notice(URL)
    machine.rounds()
    found, files = machine.one(identifier)
    assert (found.state, own.exists(), rival.exists()) == ("removed", False, True)
    assert "belongs to another customer, user 1002" in files["rival.jpg"].message
    events = len(machine.store.history(identifier))
    machine.round(later=7200)  # a search for content that is back
    machine.rounds()
    assert (machine.states(identifier), rival.exists()) == (["removed"], True)
    assert len(machine.store.history(identifier)) == events, "it was never away"
    # Elsewhere the content is back: an administrator decides.
    other = machine.volume / "other.jpg"
    other.write_bytes(content)
    os.chown(other, 1003, 1003)
    machine.scan()
    machine.round(later=7200)
    machine.rounds()
    assert (machine.states(identifier), other.exists()) == (["located"], True)
    # With the sender's digest there is no doubt about what the notice is about.
    certain = machine.notice(notice_machine.with_digest(URL, content))
    machine.rounds()
    assert not rival.exists()
    assert machine.states(certain) == ["removed"]


def test_a_file_that_comes_back_reopens_the_item(machine):
    content = machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    assert machine.states(identifier) == ["removed"]
    machine.round()
    assert machine.states(identifier) == ["removed"]
    machine.file("a/1.jpg", content)
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, found.reason[:6]) == ("received", "back: ")
    notice = machine.store.notice(identifier)
    assert (notice.closed, notice.deadline) == (None, machine.now + 24 * 3600.0)
    machine.round()
    assert machine.states(identifier) == ["removed"]
    assert len(machine.in_quarantine()) == 2


def test_content_that_comes_back_elsewhere_reopens_the_item(machine):
    content = machine.file("a/1.jpg")
    machine.scan()
    identifier = machine.notice(URL)
    machine.round()
    machine.file("b/other name.jpg", content)
    machine.scan()
    machine.round(later=60)
    assert machine.states(identifier) == ["removed"]  # the catalog is searched once an hour
    machine.round(later=3600)
    found, _ = machine.one(identifier)
    assert (found.state, "its content is at" in found.reason) == ("received", True)
    machine.round()
    found, files = machine.one(identifier)
    assert found.state == "removed"
    assert files["b/other name.jpg"].away == machine.now


def test_the_content_of_a_digest_that_was_gone_reopens_its_item(machine):
    content = machine.file("a/1.jpg")
    machine.notice(URL)
    machine.round()
    machine.scan()
    identifier = machine.notice(notice_machine.with_digest("https://elsewhere.test/x", content))
    machine.round()
    assert machine.states(identifier) == ["gone"]
    machine.file("b/2.jpg", content)
    machine.scan()
    machine.round(later=3700)
    found, _ = machine.one(identifier)
    assert (found.state, "its content is at" in found.reason) == ("received", True)
    machine.rounds()
    assert machine.states(identifier) == ["gone"]  # the first notice's item had it moved
    assert not (machine.site / "b/2.jpg").exists()


@pytest.mark.parametrize("by_digest", [False, True])
def test_many_copies_need_several_rounds_and_delay_no_other_item(machine, monkeypatch, by_digest):
    monkeypatch.setattr(items, "COPIES_AT_ONCE", 2)
    monkeypatch.setattr(items, "COPIES_SECONDS", -1.0)
    content = machine.file("a/1.jpg")
    for number in range(5):
        machine.file(f"copy/{number}", content)
    machine.scan()
    first = machine.notice(hashlib.sha1(content).hexdigest() if by_digest else URL)
    machine.file("a/2.jpg")
    second = machine.notice(URL.replace("1.jpg", "2.jpg"))
    machine.round()
    assert machine.states(first) == ["located"]
    assert machine.states(second) == ["removed"]
    assert machine.result.more
    machine.rounds()
    assert machine.states(first) == ["removed"]
    assert not list((machine.site / "copy").iterdir())
    assert machine.memory.copies == {}
    _, files = machine.one(first)
    roles = [file.role.value for name, file in files.items() if name.startswith("copy/")]
    assert roles == ["named" if by_digest else "copy"] * 5
