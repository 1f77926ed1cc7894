"""``hashscan scan`` as a command: exit codes, streams, and its state."""

import os

import ready
from scanning import sha1


def scan(place, *words):
    return ready.hashscan(
        "scan", place / "v", "--known", place / "list", "--state", place / "s", *words
    )


def test_exit_codes_of_a_scan(place):
    done = scan(place)
    assert done.returncode == 1
    assert b"MATCH " + os.fsencode(place / "v" / "bad") in done.stdout
    assert done.stderr == b""
    (place / "v" / "bad").unlink()
    assert scan(place).returncode == 0


def test_a_state_directory_that_is_none_is_refused(place):
    done = ready.hashscan("scan", place / "v", "--known", place / "list", "--state", place / "v")
    assert done.returncode == 2
    assert b"holds other files" in done.stderr
    assert (place / "v").stat().st_mode & 0o777 != 0o700


def test_a_filter_that_lacks_digests_of_the_lists_is_told(place):
    (place / "other").write_text(sha1(b"another") + "\n")
    assert ready.hashscan("filter", "build", place / "other", "-o", place / "f").returncode == 0
    (place / "config").write_text(
        f"service: {{kind: local, known: ['{place}/list']}}\nfilter: {{source: '{place}/f'}}\n"
    )
    done = ready.hashscan("--config", place / "config", "scan", place / "v", "--state", place / "s")
    assert b"1 of the 1 digests of the lists are not in the filter" in done.stderr


def test_the_state_is_private(place):
    scan(place)
    for found in (place / "s").rglob("*"):
        assert found.stat().st_mode & 0o077 == 0, found
    assert (place / "s").stat().st_mode & 0o777 == 0o700


def test_verbose_says_what_is_used(place):
    done = ready.hashscan(
        "-v", "scan", place / "v", "--known", place / "list", "--state", place / "s"
    )
    for word in (b"local:", b"1 digests", b"worker processes", os.fsencode(place / "s")):
        assert word in done.stderr


def test_quiet_says_nothing_when_there_is_nothing(place):
    (place / "v" / "bad").unlink()
    done = ready.hashscan(
        "-q", "scan", place / "v", "--known", place / "list", "--state", place / "s"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
