"""hashscan.jobs.allowed_matches: a match that is allowed, passed on, or held because nobody can say."""

import os
from dataclasses import replace

import pytest
from isolating import confirmed

from hashscan.errors import ServiceError, StateError, UsageError
from hashscan.jobs import allow_build, allowed_matches
from hashscan.jobs.allow_build import build_allow_list
from hashscan.jobs.allowed_matches import Allowing
from hashscan.model import Acted, Problem, Skipped
from hashscan.scan.hashing import NotHashed


class List:
    """An allow-list: ``knows`` says yes to a file's digests; ``needs``: algorithms it must have."""

    def __init__(self, knows=lambda _digests: False, needs=()):
        self.knows, self.needs, self.asked, self.where = knows, needs, [], "why"

    def find(self, digests):
        self.asked.append(digests)
        return "/etc/allow" if self.knows(digests) else None

    def origin(self, _digests):
        return self.where

    def missing(self, digests):
        return [name for name in self.needs if getattr(digests, name) is None]


class Moves:
    def __init__(self):
        self.matches = []

    def act(self, match):
        self.matches.append(match)
        return Acted("quarantined")


@pytest.fixture
def match(tmp_path):
    (tmp_path / "x").write_bytes(b"random bytes")
    return confirmed(tmp_path, "x")


@pytest.fixture
def moves():
    return Moves()


def has_all(digests):
    return digests.sha256 is not None


def test_what_the_list_holds_by_a_digest_of_the_match_is_not_hashed(match, moves):
    allow = List(lambda _digests: True, needs=("sha256",))
    acted = Allowing(allow, moves).act(match)
    assert acted.action == "allowed"
    assert acted.message.endswith("x: stands in the allow-list /etc/allow (why)")
    assert allow.asked == [match.candidate.digests]
    allow.where = ""
    assert Allowing(allow, moves).act(match).message.endswith("the allow-list /etc/allow")
    assert moves.matches == []


def test_a_list_of_another_algorithm_sees_all_digests_of_the_file(match, moves):
    allow = List(has_all, needs=("sha256",))
    acted = Allowing(allow, moves).act(match)
    assert (acted.action, acted.message.endswith("/etc/allow (why)")) == ("allowed", True)
    assert len(allow.asked) == 2
    assert moves.matches == []
    allow = List(needs=("sha256",))
    assert Allowing(allow, moves).act(match).action == "quarantined"
    assert moves.matches == [match]
    allow = List(has_all)
    assert Allowing(allow, moves).act(match).action == "quarantined", "its digests are enough"
    assert len(allow.asked) == 1


@pytest.mark.parametrize("change", ["content", "times", "another file"])
def test_a_file_that_changed_is_held(match, moves, tmp_path, change):
    path = tmp_path / "x"
    if change == "content":
        before = path.stat()
        path.write_bytes(b"RANDOM BYTES")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "times":
        os.utime(path, (1, 1))
    else:
        path.rename(tmp_path / "y")
        path.write_bytes(b"random bytes")
    acted = Allowing(List(has_all, needs=("sha256",)), moves).act(match)
    assert (acted.action, acted.problem) == ("held", "changed")
    assert "nobody can say whether it stands in the allow-list" in acted.message
    assert "it is not the file that was found" in acted.message
    assert moves.matches == []


@pytest.mark.parametrize("part", ["identity", "stamp", "digests"])
def test_each_difference_counts(match, moves, part):
    candidate = match.candidate
    other = {
        "identity": candidate.identity._replace(inode=candidate.identity.inode + 1),
        "stamp": candidate.stamp._replace(size=5),
        "digests": candidate.digests._replace(sha1=b"x" * 20),
    }[part]
    changed = replace(match, candidate=replace(candidate, **{part: other}))
    acted = Allowing(List(has_all, needs=("sha256",)), moves).act(changed)
    assert (acted.action, acted.problem) == ("held", "changed")


def test_a_file_that_is_gone_is_held_and_so_is_one_that_cannot_be_hashed(match, moves, monkeypatch):
    allow = Allowing(List(has_all, needs=("sha256",)), moves)
    monkeypatch.setattr(allowed_matches, "hash_below", lambda *_: NotHashed(Skipped.SOCKET))
    acted = allow.act(match)
    assert (acted.action, acted.problem) == ("held", "socket")
    assert acted.message.endswith("socket: it is no file any more that can be hashed")
    monkeypatch.setattr(
        allowed_matches, "hash_below", lambda *_: NotHashed(Problem.DENIED, "no rights")
    )
    assert allow.act(match).message.endswith("denied: no rights")
    assert moves.matches == []


def test_a_list_that_cannot_say_holds_the_match(match, moves):
    def knows(_digests):
        raise ServiceError("the filter is gone")

    acted = Allowing(List(knows), moves).act(match)
    assert (acted.action, acted.problem) == ("held", "other")
    assert acted.message.endswith("the allow-list: the filter is gone")
    assert moves.matches == []


# allow build


def test_no_list_without_a_file(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "empty").touch()
    with pytest.raises(UsageError, match="no input has a file for the allow-list"):
        build_allow_list([str(tmp_path / "tree")], str(tmp_path / "list"))
    assert not (tmp_path / "list").exists()


def tree(tmp_path):
    (tmp_path / "tree" / "below").mkdir(parents=True)
    for name in ("a", "below/b"):
        (tmp_path / "tree" / name).write_bytes(os.urandom(200))
    return [str(tmp_path / "tree")], str(tmp_path / "list")


def test_another_file_system_in_a_tree_is_left_out_and_named(tmp_path, monkeypatch):
    given, output = tree(tmp_path)
    opens = allow_build.open_directory

    def crosses(top, path):
        if path:
            raise allow_build.CrossesMountError
        return opens(top, path)

    monkeypatch.setattr(allow_build, "open_directory", crosses)
    built = build_allow_list(given, output)
    assert (built.contents, built.left_out["other-filesystem"]) == (1, 1)
    assert f"{given[0]}: below: left out: other-filesystem" in built.remarks


def test_a_tree_that_cannot_be_read_leaves_no_list(tmp_path, monkeypatch):
    given, output = tree(tmp_path)

    def fails(*_given):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(allow_build, "open_directory", fails)
    with pytest.raises(UsageError, match="tree: cannot be read: Input/output error"):
        build_allow_list(given, output)
    assert not os.path.exists(output)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (NotHashed(Problem.DENIED, "no rights"), "cannot be read: no rights"),
        (NotHashed(Problem.NOT_THERE), "cannot be read: not-there"),
    ],
)
def test_a_file_that_cannot_be_hashed_leaves_no_list(tmp_path, monkeypatch, found, words):
    given, output = tree(tmp_path)
    monkeypatch.setattr(allow_build.Hasher, "hash", lambda *_: found)
    with pytest.raises(UsageError, match=words):
        build_allow_list(given, output)
    monkeypatch.setattr(allow_build.Hasher, "hash", lambda *_: NotHashed(Skipped.SOCKET))
    with pytest.raises(UsageError, match="see what was left out"):
        build_allow_list(given, output)


@pytest.mark.parametrize("force", [False, True])
def test_a_list_that_cannot_be_written_is_an_error_of_the_machine(tmp_path, monkeypatch, force):
    given, output = tree(tmp_path)

    def fails(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(allow_build, "new_file", fails)
    with pytest.raises(StateError, match="list: the allow-list cannot be written: No space"):
        build_allow_list(given, output, force=force)


def test_no_room_for_sorting_is_an_error_of_the_machine(tmp_path, monkeypatch):
    given, output = tree(tmp_path)

    def fails(*_given, **_named):
        raise allow_build.sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(allow_build, "_write", fails)
    with pytest.raises(StateError, match=r"list: no room .* disk is full; make room .*TMPDIR"):
        build_allow_list(given, output)
