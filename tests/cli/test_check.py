"""``hashscan check`` as a command."""

import json

import ready
from scanning import sha1


def test_check(files):
    known = ["--known", files / "list", "--state", files / "s"]
    done = ready.hashscan("check", files / "v" / "bad", files / "v" / "good", *known)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(b"KNOWN ")
    assert done.stdout.splitlines()[1].startswith(b"unknown ")
    assert ready.hashscan("check", files / "v" / "good", *known).returncode == 0
    assert ready.hashscan("check", sha1(b"bad content").upper(), *known).returncode == 1
    assert ready.hashscan("check", sha1(b"other"), *known).returncode == 0
    done = ready.hashscan("check", "0" * 64, *known)
    assert (done.returncode, b"holds no sha256" in done.stderr) == (2, True)
    done = ready.hashscan("check", "--json", files / "v" / "bad", *known)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["event"], line["verdict"], line["candidate"]) == ("check", "known", True)
    done = ready.hashscan("check", files / "v", "missing", files / "v" / "bad", *known)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"hashscan scan" in done.stderr
    assert b"missing: there is no such file" in done.stderr
