"""Matches that are allowed: told and never moved; and where nobody can say, nothing is moved."""

import errno
import hashlib
import os

import pytest
from scanning import Knows, Scanner, settle, sha1

from hashscan.fs.reading import identity_in, stamp_of
from hashscan.jobs.allowed_matches import Allowing
from hashscan.known.allow import open_allow_list
from hashscan.model import (
    ALGORITHMS,
    Acted,
    Candidate,
    Confirmed,
    Digest,
    FileDigests,
    FilterHit,
)


class Moves:
    """An actor that takes note of what it was given; stands for the quarantine."""

    def __init__(self):
        self.paths = []

    def act(self, match):
        self.paths.append(match.candidate.path)
        return Acted("quarantined", quarantine_id="id")


@pytest.fixture
def moves():
    return Moves()


@pytest.fixture
def allowing(tmp_path, moves):
    made = []

    def make(contents, algorithm="sha1"):
        path = tmp_path / "allow.txt"
        path.write_text(
            "".join(hashlib.new(algorithm, content).hexdigest() + "\n" for content in contents)
        )
        made.append(
            open_allow_list(
                [str(path)], str(tmp_path / "filters"), algorithms=(), on_notice=lambda _: None
            )
        )
        return Allowing(made[-1], moves)

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scans_tell_and_never_move(volume, state, allowing, moves, algorithm):
    """Whether the list holds what the filter was asked for, or something else."""
    for name in ("good", "bad", "false"):
        (volume / name).write_bytes(name.encode())
    os.link(volume / "good", volume / "good too")
    scanner = Scanner(state, {sha1(b"good"), sha1(b"bad"), sha1(b"false")})
    scanner.confirmer = lambda: Knows({sha1(b"good"), sha1(b"bad")})
    scanner.actor = allowing([b"good", b"false"], algorithm)
    for _ in range(2):
        settle(volume)
        summary = scanner.scan(volume)
        told = {event.match.candidate.path: event.acted for event in scanner.told.matches}
        assert set(told) == {b"good", b"good too", b"bad"}
        for name in (b"good", b"good too"):
            assert told[name].action == "allowed"
            assert told[name].problem is None
            assert "allow.txt" in told[name].message
        assert told[b"bad"].action == "quarantined"
        assert summary.false_positives == 1
        assert (summary.matches, summary.allowed, summary.held) == (3, 2, 0)
        assert summary.quarantined == 1
    assert moves.paths == [b"bad", b"bad"]


def test_a_list_that_changes_holds_from_the_next_scan_on(volume, state, allowing, moves):
    (volume / "f").write_bytes(b"f")
    settle(volume)
    scanner = Scanner(state, {sha1(b"f")})
    scanner.actor = allowing([b"f"])
    assert scanner.scan(volume).allowed == 1
    scanner.actor = allowing([b"g"])
    summary = scanner.scan(volume)
    assert (summary.unchanged, summary.allowed, summary.quarantined) == (1, 0, 1)


# The file is hashed again where a digest is missing; a customer may do anything meanwhile.


def match_of(volume, path, content, *, algorithms=("md5",)):
    """A match as a scan found it: the file as it is now, and the digests of ``content``."""
    status = os.lstat(os.path.join(os.fsencode(volume), path))
    digests = FileDigests(**{name: hashlib.new(name, content).digest() for name in algorithms})
    hit = FilterHit(Digest("md5", hashlib.md5(content).hexdigest()), "baseline", "v1")
    candidate = Candidate(
        os.fsencode(volume), path, identity_in(status), stamp_of(status), digests, 1, 0, (hit,)
    )
    return Confirmed(candidate, hit, "baseline", "test", "2026-01-01T00:00:00Z")


@pytest.fixture
def match(volume):
    (volume / "site" / "a").mkdir(parents=True)
    (volume / "site" / "a" / "f").write_bytes(b"content")
    return match_of(volume, b"site/a/f", b"content")


def held(acted, moves, reason):
    assert (acted.action, acted.problem) == ("held", reason)
    assert "not moved" in acted.message
    assert "allow-list" in acted.message
    assert moves.paths == []


def test_hashed_again(allowing, match, moves):
    assert allowing([b"content"]).act(match).action == "allowed"
    assert moves.paths == []
    assert allowing([b"other"]).act(match).action == "quarantined"


def test_not_hashed_again_where_no_digest_is_missing(allowing, match, moves, volume):
    (volume / "site" / "a" / "f").unlink()
    assert allowing([b"content"], "md5").act(match).action == "allowed"
    assert allowing([b"other"], "md5").act(match).action == "quarantined"


def test_vanished(allowing, match, moves, volume):
    (volume / "site" / "a" / "f").unlink()
    held(allowing([b"content"]).act(match), moves, "vanished")


def test_content_changed(allowing, match, moves, volume):
    (volume / "site" / "a" / "f").write_bytes(b"CONTENT")
    held(allowing([b"content", b"CONTENT"]).act(match), moves, "changed")


def test_another_file_of_an_allowed_content_in_its_place(allowing, match, moves, volume):
    """A customer shows an innocent file at the moment of the look, and keeps the other one."""
    path = volume / "site" / "a" / "f"
    path.rename(volume / "site" / "a" / "kept")
    path.write_bytes(b"innocent")
    held(allowing([b"innocent"]).act(match), moves, "changed")


def test_a_link_in_its_place(allowing, match, moves, volume, tmp_path):
    (tmp_path / "good").write_bytes(b"content")
    path = volume / "site" / "a" / "f"
    path.unlink()
    path.symlink_to(tmp_path / "good")
    held(allowing([b"content"]).act(match), moves, "symlink")


def test_a_link_in_place_of_a_directory(allowing, match, moves, volume, tmp_path):
    (tmp_path / "a").mkdir()
    os.link(volume / "site" / "a" / "f", tmp_path / "a" / "f")  # the very inode
    (volume / "site" / "a" / "f").unlink()
    (volume / "site" / "a").rmdir()
    (volume / "site" / "a").symlink_to(tmp_path / "a")
    held(allowing([b"content"]).act(match), moves, "changed")


def test_a_fifo_in_its_place_holds_nothing_up(allowing, match, moves, volume):
    path = volume / "site" / "a" / "f"
    path.unlink()
    os.mkfifo(path)
    held(allowing([b"content"]).act(match), moves, "fifo")


def test_the_volume_is_gone(allowing, match, moves, volume):
    volume.rename(volume.with_name("elsewhere"))
    volume.symlink_to("elsewhere")
    held(allowing([b"content"]).act(match), moves, "changed")
    volume.unlink()
    held(allowing([b"content"]).act(match), moves, "vanished")


def test_other_content_under_the_same_stamp(allowing, volume, moves):
    """A shared mapping may write without a new stamp: the digests that are known must agree."""
    (volume / "f").write_bytes(b"innocent")
    match = match_of(volume, b"f", b"what was found")
    held(allowing([b"innocent"]).act(match), moves, "changed")


def test_a_path_that_cannot_be(allowing, volume, moves, match):
    import dataclasses

    for path in (b"", b"../f", b"a//b", b"a\0b"):
        candidate = dataclasses.replace(match.candidate, path=path)
        held(allowing([b"x"]).act(dataclasses.replace(match, candidate=candidate)), moves, "other")


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.EIO, "io-error"), (errno.EACCES, "denied"), (errno.ESTALE, "stale")],
)
def test_an_error_of_the_disk(allowing, match, moves, monkeypatch, number, reason):
    from hashscan.scan import hashing

    def fails(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    actor = allowing([b"content"])
    monkeypatch.setattr(hashing.Hasher, "_hash_open", fails)
    held(actor.act(match), moves, reason)


def test_an_allow_list_that_cannot_be_asked(allowing, match, moves):
    actor = allowing([b"content"], "md5")
    actor._allow.close()
    held(actor.act(match), moves, "other")
