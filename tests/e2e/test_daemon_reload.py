"""What a running daemon makes of configurations and lists that change under it."""

import os
import signal
import time

import pytest
from running_daemon import Daemon, sha1

KNOWN = [os.urandom(2000) for _ in range(3)]


def is_moved(daemon, name, content):
    path = daemon.volume / name
    path.write_bytes(content)
    daemon.wait(lambda: not path.exists())


@pytest.mark.parametrize("what", ["filter", "allow", "known"])
def test_a_configuration_whose_files_cannot_be_used_is_refused(tmp_path, what):
    with Daemon(tmp_path, known=KNOWN[:1]) as daemon:
        damaged = tmp_path / "damaged"
        damaged.write_bytes(b"neither a filter nor a list\n")
        good = daemon.config.read_text()
        daemon.start()
        wrong = {
            "filter": good + f"filter: {{source: {damaged}}}\n",
            "allow": good + f"allow: [{damaged}]\n",
            "known": good.replace(str(daemon.list), str(damaged)),
        }[what]
        daemon.config.write_text(wrong)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: daemon.logged("reload refused, the old configuration stays"))
        is_moved(daemon, "x", KNOWN[0])
        assert not daemon.logged("nothing is scanned: "), daemon.told()
        assert len(daemon.summaries) == 1
        daemon.config.write_text(good)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: daemon.logged("was read anew"))
        is_moved(daemon, "x", KNOWN[0])
        assert daemon.end() == 0


def test_verdicts_follow_the_lists_where_a_filter_is_given_too(tmp_path):
    with Daemon(tmp_path, known=KNOWN) as daemon:
        made = daemon.hashscan("filter", "build", daemon.list, "-o", tmp_path / "filter.bloom")
        assert made.returncode == 0, made
        daemon.list.write_text(sha1(KNOWN[0]) + "\n")
        daemon.extra = f"filter: {{source: {tmp_path}/filter.bloom, refresh: 1s}}"
        daemon.write_config()
        second = daemon.volume / "second"
        second.write_bytes(KNOWN[1])
        daemon.start()
        is_moved(daemon, "first", KNOWN[0])
        assert second.exists(), "the filter holds it, the list does not know it"
        # the first is withdrawn, the second is new
        daemon.list.write_text(sha1(KNOWN[1]) + "\n")
        daemon.wait(lambda: not second.exists())
        first = daemon.volume / "first"
        first.write_bytes(KNOWN[0])
        is_moved(daemon, "third", KNOWN[1])
        time.sleep(1)
        assert first.exists()
        assert len(daemon.summaries) == 1, "no scan was needed"
        assert daemon.end() == 0


def test_a_volume_that_is_not_there_yet_does_not_keep_the_others_waiting(tmp_path):
    missing = tmp_path / "missing"
    with Daemon(tmp_path, known=KNOWN, volume_extra=f"}}, {{path: {missing}") as daemon:
        daemon.start()
        is_moved(daemon, "x", KNOWN[0])
        told = daemon.hashscan("status")
        assert told.returncode == 70, told.stdout
        assert f"{missing}: not scanned: it cannot be opened: No such file" in told.stdout
        missing.mkdir()
        path = missing / "x"
        path.write_bytes(KNOWN[0])
        daemon.wait(lambda: not path.exists(), 50)
        path.write_bytes(KNOWN[0])
        daemon.wait(lambda: not path.exists(), 20)
        daemon.wait(lambda: daemon.hashscan("status").returncode == 0)
        assert daemon.end() == 0


def test_filters_of_a_new_repository_are_fetched_before_the_old_ones_are_left(tmp_path):
    with Daemon(tmp_path, known=KNOWN[:1]) as daemon:
        good = daemon.config.read_text()
        daemon.start()
        root = tmp_path / "root.json"
        root.write_text("{}")
        daemon.config.write_text(
            good + f"filter: {{source: 'http://127.0.0.1:9/', root: {root}}}\n"
        )
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: daemon.logged("are fetched first"))
        daemon.wait(lambda: daemon.logged("reload refused"))
        is_moved(daemon, "x", KNOWN[0])
        assert not daemon.logged("nothing is scanned: ")
        assert daemon.end() == 0


def test_what_the_watch_finds_and_nobody_may_move_is_counted_by_status(tmp_path):
    with Daemon(tmp_path, watch="inotify", known=KNOWN) as daemon:
        quiet = daemon.config.read_text()
        daemon.config.write_text(quiet.replace("action: quarantine", "action: report"))
        daemon.start()
        told = daemon.hashscan("status")
        assert told.returncode == 0
        assert "reported    none; matches are not moved" in told.stdout
        for number, content in enumerate(KNOWN[:2]):
            (daemon.volume / f"f{number}").write_bytes(content)
        daemon.wait(lambda: len(daemon.matches) == 2)
        daemon.wait(lambda: daemon.hashscan("status").returncode == 1)
        told = daemon.hashscan("status").stdout
        assert "2 matches not moved, because quarantine.action is 'report'" in told
        assert len(daemon.summaries) == 1, "no scan was needed"
        (daemon.volume / "f0").unlink()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: len(daemon.summaries) == 2)
        daemon.wait(lambda: "1 match not moved" in daemon.hashscan("status").stdout)
        daemon.config.write_text(quiet)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: not (daemon.volume / "f1").exists())
        daemon.wait(lambda: daemon.hashscan("status").returncode == 0)
        assert daemon.end() == 0


def test_status_tells_of_a_configuration_that_the_daemon_has_not_read(tmp_path):
    with Daemon(tmp_path, watch="inotify", known=KNOWN) as daemon:
        daemon.start()
        daemon.wait_accounted()
        daemon.wait(lambda: daemon.hashscan("status").returncode == 0)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("action: quarantine", "action: report"))
        told = daemon.hashscan("status")
        assert told.returncode == 3, told.stdout
        assert "the running daemon does not use this configuration" in told.stdout
        assert "matches are not moved" not in told.stdout, "this daemon moves them"
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait(lambda: daemon.logged("the configuration was read anew"))
        daemon.wait(lambda: daemon.hashscan("status").returncode == 0)
        assert "matches are not moved" in daemon.hashscan("status").stdout
        daemon.list.rename(tmp_path / "elsewhere")
        told = daemon.hashscan("status")
        assert told.returncode == 5, told.stdout
        assert f"{daemon.list}: no such file or directory" in told.stdout
        assert daemon.end() == 0
