"""A real daemon takes the mails of a Maildir, and is killed meanwhile: none lost, none twice."""

import json
import os
import signal
from collections import Counter

import pytest
from running_daemon import Daemon

from hashscan.notices.reader import open_existing

LONG = bool(os.environ.get("HASHSCAN_LONG"))
COUNT, KILLS = (400, 25) if LONG else (12, 1)


def urls(daemon):
    """The URLs of all stored notices."""
    reader = open_existing(str(daemon.state / "notices.sqlite3"))
    if reader is None:
        return Counter()
    with reader:
        return Counter(
            item.parsed.value for one in reader.notices() for item in reader.items(one.id)
        )


@pytest.mark.timeout(600 if LONG else 180)
def test_mails_are_taken_once_though_the_daemon_is_killed(tmp_path):
    box = tmp_path / "Maildir"
    for name in ("new", "cur", "tmp"):
        (box / name).mkdir(parents=True)
    for number in range(COUNT):
        (box / "new" / f"{number:03}.host").write_text(
            "From: ntd@hotline.example\nSubject: notice\n"
            f"Date: Mon, 23 Nov 2026 10:00:00 +0000\n\nhttps://site.example/{number}\n"
        )
    (box / "new" / "999.lunch").write_text("Subject: lunch\n\nAt noon?\n")
    extra = f"notices: {{maildir: {box}}}\nscan: {{pause_above_io_pressure: none}}"
    with Daemon(tmp_path, watch="false", extra=extra) as daemon:
        for kill in range(KILLS):
            daemon.start(until="start")
            daemon.wait(lambda kill=kill: len(os.listdir(box / "cur")) >= 2 + kill * COUNT // 30)
            daemon.end(signal.SIGKILL)
            assert set(urls(daemon).values()) == {1}
        daemon.start(until="start")
        daemon.wait(lambda: len(os.listdir(box / "new")) == 1)
        daemon.wait(lambda: (daemon.facts().get("notices") or {}).get("waiting") == 1)
        ran = daemon.hashscan("status", "--json")
        found = json.loads(ran.stdout)
        assert found["notices"]["open"] == COUNT
        assert found["daemon"]["notices"]["examples"][0]["path"] == f"{box}/new/999.lunch"
        assert any("1 mail not understood as notices" in one["message"]
                   for one in found["complaints"])  # fmt: skip
        assert daemon.end() == 0
        assert urls(daemon) == {f"https://site.example/{number}": 1 for number in range(COUNT)}
    assert sorted(os.listdir(box / "cur")) == [f"{number:03}.host:2,S" for number in range(COUNT)]
    assert os.listdir(box / "new") == ["999.lunch"]
