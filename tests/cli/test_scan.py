"""``hashscan scan`` as a command: exit codes, streams, and its state."""

import os

import ready
from scanning import sha1


def scan(files, *words):
    return ready.hashscan(
        "scan", files / "v", "--known", files / "list", "--state", files / "s", *words
    )


def test_exit_codes_of_a_scan(files):
    done = scan(files)
    assert done.returncode == 1
    assert b"MATCH " + os.fsencode(files / "v" / "bad") in done.stdout
    assert done.stderr == b""
    (files / "v" / "bad").unlink()
    assert scan(files).returncode == 0


def test_a_state_directory_that_is_none_is_refused(files):
    done = ready.hashscan("scan", files / "v", "--known", files / "list", "--state", files / "v")
    assert done.returncode == 2
    assert b"holds other files" in done.stderr
    assert (files / "v").stat().st_mode & 0o777 != 0o700


def test_a_filter_that_lacks_digests_of_the_lists_is_told(files):
    (files / "other").write_text(sha1(b"another") + "\n")
    assert ready.hashscan("filter", "build", files / "other", "-o", files / "f").returncode == 0
    (files / "config").write_text(
        f"service: {{kind: local, known: ['{files}/list']}}\nfilter: {{source: '{files}/f'}}\n"
    )
    done = ready.hashscan("--config", files / "config", "scan", files / "v", "--state", files / "s")
    assert b"1 of the 1 digests of the lists are not in the filter" in done.stderr


def test_the_state_is_private(files):
    scan(files)
    for found in (files / "s").rglob("*"):
        assert found.stat().st_mode & 0o077 == 0, found
    assert (files / "s").stat().st_mode & 0o777 == 0o700


def test_verbose_says_what_is_used(files):
    done = ready.hashscan(
        "-v", "scan", files / "v", "--known", files / "list", "--state", files / "s"
    )
    for word in (b"local:", b"1 digests", b"worker processes", os.fsencode(files / "s")):
        assert word in done.stderr


def test_quiet_says_nothing_when_there_is_nothing(files):
    (files / "v" / "bad").unlink()
    done = ready.hashscan(
        "-q", "scan", files / "v", "--known", files / "list", "--state", files / "s"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
