"""A volume that vanishes during a scan: the command line, and the daemon."""

import json
import os
import subprocess

import pytest
from commandline import hashscan, needs_root, started, until
from running_daemon import Daemon

FILES = 300


@pytest.fixture
def mounted(tmp_path):
    """Mount a file system whose scan takes a few seconds; its files survive an unmount."""
    kept = tmp_path / "kept"
    kept.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", kept], check=True)
    for number in range(FILES):
        (kept / f"d{number}" / "e").mkdir(parents=True)
        (kept / f"d{number}" / "e" / "f").write_bytes(b"%d" % number)
    places = []

    def mount(where):
        places.append(where)
        subprocess.run(["mount", "--bind", kept, where], check=True)

    yield mount
    for where in (*places, kept):
        subprocess.run(["umount", "-l", where], check=False, capture_output=True)


def last_whole(config, volume):
    ran = hashscan("--config", config, "status", "--json")
    return json.loads(ran.out)["last_whole_scans"].get(str(volume))


@needs_root
def test_the_command_line(tmp_path, mounted):
    volume, other, config = tmp_path / "volume", tmp_path / "other", tmp_path / "config.yaml"
    volume.mkdir()
    other.mkdir()
    (other / "f").write_bytes(b"harmless")
    (tmp_path / "known").write_text("0" * 40 + "\n")
    mounted(volume)
    config.write_text(
        f"state: {tmp_path}/state\n"
        f"volumes: [{{path: {volume}}}, {{path: {other}}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/known]}}\n"
        "scan: {max_files: 150, jobs: 2}\n"
    )
    command = ["--config", config, "scan", "--json"]
    with started(*command) as scan:
        until(lambda: _files_known(tmp_path / "state"), 60, "it scans")
        assert scan.poll() is None, scan.communicate()
        subprocess.run(["umount", "-l", volume], check=True)
        output, _ = scan.communicate(timeout=60)
    events = [json.loads(line) for line in output.splitlines()]
    assert scan.returncode == 3
    (problem,) = (one for one in events if one["event"] == "problem")
    assert (problem["path"], problem["reason"]) == (str(volume), "not-there")
    assert (events[-1]["problems"], events[-1]["interrupted"]) == (1, False)
    assert last_whole(config, volume) is None
    assert last_whole(config, other)["problems"] == 1
    mounted(volume)
    config.write_text(config.read_text().replace("max_files: 150, ", ""))
    ran = hashscan(*command)
    assert ran.code == 0, ran
    assert ran.summary["files"] == FILES + 1
    assert last_whole(config, volume)["files"] == FILES + 1


def _files_known(state):
    import sqlite3

    for name in os.listdir(state) if state.is_dir() else ():
        if name.endswith(".sqlite3"):
            try:
                with sqlite3.connect(f"file:{state / name}?mode=ro", uri=True) as catalog:
                    return catalog.execute("SELECT count(*) FROM file").fetchone()[0]
            except sqlite3.Error:
                return 0
    return 0


@needs_root
@pytest.mark.parametrize("watch", ["inotify", "off"])
def test_the_daemon(tmp_path, mounted, watch):
    with Daemon(
        tmp_path,
        watch=watch,
        extra="scan: {pause_above_io_pressure: none, max_files: 150, jobs: 2}",
    ) as daemon:
        mounted(daemon.volume)
        daemon.start(until=None)
        daemon.wait(lambda: daemon.logged("scan (start)") and len(daemon.rows()) > 0)
        subprocess.run(["umount", "-l", daemon.volume], check=True)
        daemon.wait(lambda: daemon.logged("not mounted"))
        known = len(daemon.rows())
        assert 0 < known < FILES
        assert last_whole(daemon.config, daemon.volume) is None
        mounted(daemon.volume)
        until(lambda: last_whole(daemon.config, daemon.volume), 60, "it is whole", pause=0.2)
        assert len(daemon.rows()) == FILES
        assert daemon.end() == 0
