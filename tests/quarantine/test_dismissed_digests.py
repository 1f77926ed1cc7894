"""hashscan.quarantine.dismissed_digests: the local allow-list."""

import hashlib
import json
import os
import stat
import threading
import time

import pytest

from hashscan.errors import ServiceError
from hashscan.model import Digest, FileDigests
from hashscan.quarantine import dismissed_digests as module
from hashscan.quarantine.dismissed_digests import (
    Dismissed,
    DismissedContent,
    add,
    entries_of,
    remove,
)

SHA1 = hashlib.sha1(b"stock").digest()
MD5 = hashlib.md5(b"stock").digest()
ENTRY = DismissedContent(
    (Digest("sha1", SHA1.hex()),), "H1", "root", "2026-01-01T00:00:00Z", "a stock image"
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "allow" / "dismissed.jsonl")


def test_a_digest_is_found_with_its_reason_as_soon_as_it_is_dismissed(path):
    allow, digests = Dismissed(path), FileDigests(sha1=SHA1)
    assert allow.find(digests) is None
    assert allow.origin(digests) == ""
    add(path, [ENTRY])
    assert allow.find(digests) == path
    assert allow.origin(digests) == "H1, root on 2026-01-01T00:00:00Z: a stock image"
    assert allow.find(FileDigests(sha1=b"x" * 20)) is None
    remove(path, "H1")
    assert allow.find(digests) is None


def test_a_list_that_did_not_change_is_read_once(path, monkeypatch):
    add(path, [ENTRY])
    reads = []
    monkeypatch.setattr(
        module, "entries_of", lambda name, real=entries_of: (reads.append(name), real(name))[1]
    )
    allow = Dismissed(path)
    for _ in range(3):
        assert allow.find(FileDigests(sha1=SHA1)) == path
    assert reads == [path]


def test_nobody_but_the_owner_reads_it(path):
    add(path, [ENTRY])
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_what_a_file_lacks_is_named(path):
    allow = Dismissed(path)
    allow.find(FileDigests(md5=MD5))
    assert allow.missing(FileDigests(md5=MD5)) == []
    add(path, [ENTRY])
    allow.find(FileDigests(md5=MD5))
    assert allow.missing(FileDigests(md5=MD5)) == ["sha1"]
    assert allow.missing(FileDigests(sha1=SHA1)) == []


def test_a_hold_that_is_dismissed_again_has_its_entries_once(path):
    add(path, [ENTRY])
    add(path, [ENTRY._replace(hold="H2")])
    add(path, [ENTRY._replace(reason="again")])
    assert [(one.hold, one.reason) for one in entries_of(path)] == [
        ("H2", "a stock image"), ("H1", "again")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        json.dumps(
            {"digests": {"sha1": "abcd"}, "hold": "H1", "who": "", "time": "", "reason": ""}
        ),
        json.dumps({"digests": {}, "hold": "H1", "who": "", "time": "", "reason": ""}),
        json.dumps(
            {"digests": {"sha1": SHA1.hex()}, "hold": 7, "who": "", "time": "", "reason": ""}
        ),
        json.dumps({"digests": {"sha1": 7}, "hold": "H1", "who": "", "time": "", "reason": ""}),
    ],
)
def test_a_damaged_line_means_that_nothing_can_be_said(path, line):
    add(path, [ENTRY])
    with open(path, "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ServiceError, match="line 2 is damaged"):
        Dismissed(path).find(FileDigests(sha1=SHA1))
    with pytest.raises(ServiceError, match="line 2 is damaged"):
        remove(path, "H1")


def test_a_file_that_cannot_be_read_means_that_nothing_can_be_said(tmp_path):
    (tmp_path / "allow").mkdir()
    with pytest.raises(ServiceError, match="cannot be read"):
        Dismissed(str(tmp_path / "allow")).find(FileDigests(sha1=SHA1))


def test_dismissals_at_the_same_time_lose_no_entry(path, monkeypatch):
    reading = threading.Event()

    def slowly(found):
        entries = entries_of(found)
        if not reading.is_set():
            reading.set()
            time.sleep(0.2)
        return entries

    monkeypatch.setattr(module, "entries_of", slowly)
    first = threading.Thread(target=add, args=(path, [ENTRY]))
    first.start()
    assert reading.wait(60)
    add(path, [ENTRY._replace(hold="H2")])
    first.join(60)
    assert {one.hold for one in entries_of(path)} == {"H1", "H2"}
