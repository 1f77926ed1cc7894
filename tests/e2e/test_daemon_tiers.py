"""Tiers under the daemon: they come, go and change, and no known file is missed for it."""

import os
import sqlite3
import time

import pytest
from running_daemon import Daemon, sha1
from tiered import listed, tiered

KNOWN = os.urandom(7777)
FILES = 1500


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, known=[KNOWN]) as one:
        one.filter = tmp_path / "f.bloom"
        one.extra = f"filter: {{source: {one.filter}, refresh: 1s}}\nscan: {{pause_above_io_pressure: none}}"
        yield one
        assert one.end() == 0


def fill(daemon):
    for number in range(FILES):
        folder = daemon.volume / f"d{number // 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_bytes(b"%d" % number + b"x" * 5000)
    time.sleep(0.3)  # stamps that are believed


def hashed(daemon):
    with sqlite3.connect(
        f"file:{daemon.state}/catalog.sqlite3?mode=ro", uri=True, timeout=30
    ) as connection:
        query = "SELECT count(*) FROM file WHERE sha1 NOTNULL"
        return connection.execute(query).fetchone()[0]


def test_a_tier_that_goes_away_has_the_files_read_by_a_scan_with_its_brakes(daemon, tmp_path):
    fill(daemon)
    tiered(daemon.filter, [KNOWN], columns=("sha1", "size"))
    daemon.extra = daemon.extra.replace("none}", "none, max_files: 400}")
    daemon.write_config()
    daemon.start()
    assert daemon.summaries[0]["skipped"] == {"unknown-size": FILES}
    source = listed(tmp_path / "plain.csv", [KNOWN], columns=("sha1",))
    done = daemon.hashscan("filter", "build", source, "-o", daemon.filter, "--force")
    assert done.returncode == 0
    daemon.wait(lambda: daemon.logged("another set of filters is used"), 60)
    daemon.wait(lambda: hashed(daemon) > 100, 30)
    # A thousand are read at once, the others at no more than 400 a second.
    assert hashed(daemon) < FILES
    daemon.wait(lambda: daemon.logged("1,500 files were never hashed as these filters need"), 30)
    daemon.wait(lambda: hashed(daemon) == FILES, 40)
    assert not daemon.logged("1,500 files were judged again without being read")


def test_a_file_that_a_new_set_no_longer_rules_out_is_found(daemon, tmp_path):
    fill(daemon)
    other = b"%d" % 7 + b"x" * 5000
    tiered(daemon.filter, [KNOWN], columns=("sha1", "size"))
    daemon.write_config()
    daemon.start()
    assert hashed(daemon) == 0
    daemon.list.write_text("".join(f"{sha1(one)}\n" for one in (KNOWN, other)))
    source = listed(tmp_path / "more.csv", [KNOWN, other], columns=("sha1", "size", "xxh3-4096"))
    assert (
        daemon.hashscan("filter", "build", source, "-o", daemon.filter, "--force").returncode == 0
    )
    daemon.wait(lambda: not (daemon.volume / "d0" / "f7").exists(), 60)
    assert hashed(daemon) < 100, "only what begins alike is read on"


def test_a_file_that_grows_into_a_known_one_is_found_at_once(daemon):
    tiered(daemon.filter, [KNOWN])
    daemon.write_config()
    daemon.start()
    grows, shrinks = daemon.volume / "grows", daemon.volume / "shrinks"
    grows.write_bytes(KNOWN[:-1])
    shrinks.write_bytes(KNOWN + b"x")
    time.sleep(1)
    with open(grows, "ab") as file:
        file.write(KNOWN[-1:])
    with open(shrinks, "r+b") as file:
        file.truncate(len(KNOWN))
    daemon.wait(lambda: not grows.exists() and not shrinks.exists(), 40)


@pytest.mark.timeout(200)
@pytest.mark.skipif(not os.environ.get("HASHSCAN_LONG"), reason="a minute each: make test-long")
@pytest.mark.parametrize("large", [False, True])
def test_a_file_of_unknown_size_that_stays_open_is_kept_in_sight(daemon, large):
    """Also where it is one of those that are taken apart for their size, and a scan came by."""
    known = os.urandom((64 << 20) + 8000 if large else 8000)
    daemon.list.write_text(f"{sha1(known)}\n")
    tiered(daemon.filter, [known])
    daemon.write_config()
    daemon.start()
    path = daemon.volume / "f"
    with open(path, "wb") as file:
        file.write(known[:-10])
        file.flush()
        time.sleep(3)
        file.write(known[-10:])
        file.flush()
        daemon.wait(lambda: not path.exists(), timeout=140)
