"""What the publisher removes, when, and by which clock."""

import os
import time
from pathlib import Path

from publishing import all_files
from tuf.api.metadata import Metadata

from hashscan.publisher import repository


def test_old_files_go_after_a_day_and_named_ones_stay(publisher, digests):
    for number in range(1, 5):
        publisher.add(digests[number:])
    everything = set(all_files(publisher.path))
    long_ago = time.time() - 3 * repository.KEEP
    for path in everything:
        os.utime(path, (long_ago, long_ago))
    publisher.let_time_pass(3 * repository.KEEP)
    publisher.refresh()
    left = {path.name for path in all_files(publisher.path)}
    assert "1.root.json" in left
    # Of targets and snapshots the newest two stay, for an agent that is half way; of roots all.
    for role in ("targets", "snapshot"):
        newest = int(publisher.newest(role).partition(".")[0])
        kept = {name for name in left if name.endswith(f".{role}.json")}
        assert kept == {f"{number}.{role}.json" for number in (newest - 1, newest)}
        if role == "targets":
            for number in (newest - 1, newest):
                signed = Metadata.from_bytes(publisher.read(f"{number}.targets.json")).signed
                for path, target in signed.targets.items():
                    assert f"{target.hashes['sha256']}.{path.split('/')[1]}" in left
    assert len(all_files(publisher.path)) < len(everything)


def test_what_was_just_replaced_stays_for_who_is_half_way(publisher, digests):
    old = set(Path(publisher.path, "targets").rglob("*filter.zst"))
    long_ago = time.time() - 3 * repository.KEEP
    for path in old:
        os.utime(path, (long_ago, long_ago))
    publisher.let_time_pass(3 * repository.KEEP)
    publisher.add(digests[1:])
    publisher.add(digests[2:])
    publisher.add(digests[3:])
    assert all(path.exists() for path in old)
