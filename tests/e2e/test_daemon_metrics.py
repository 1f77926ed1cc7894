"""A real daemon's metrics, over HTTP and as a textfile; and those of one-off commands."""

import os
import signal
import socket
import stat
import urllib.request
from contextlib import suppress

import pytest
import ready
from promtool import needs_promtool, promtool, samples
from running_daemon import Daemon

KNOWN = b"known, says the test"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Exporting:
    """A daemon with metrics, and their readers."""

    def __init__(self, directory, **more):
        self.port = free_port()
        self.textfile = directory / "h.prom"
        extra = (
            f'metrics: {{listen: "127.0.0.1:{self.port}", textfile: {self.textfile}}}\n'
            "scan: {pause_above_io_pressure: none}\n"
        )
        self.daemon = Daemon(directory, known=[KNOWN], extra=extra, **more)
        self.daemon.values = {
            "hashscan.metrics.exporter.EVERY": 0.2, "hashscan.metrics.exporter.SHARE": 0.5,
            "hashscan.metrics.exporter.TEXTFILE_EVERY": 0.5, "hashscan.daemon.daemon._FACTS_AFTER": 0.2,
            "hashscan.daemon.metrics_process._AGAIN": 0.2,
        }  # fmt: skip

    def text(self):
        url = f"http://127.0.0.1:{self.port}/metrics"
        with suppress(OSError), urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read().decode()
        return ""

    def scrape(self):
        return samples(self.text())

    def read(self):
        return samples(self.textfile.read_text()) if self.textfile.exists() else {}


@pytest.fixture
def exporting(tmp_path):
    made = Exporting(tmp_path)
    with made.daemon:
        yield made


def test_the_metrics_of_a_daemon(exporting):
    one, daemon = exporting, exporting.daemon
    for number in range(5):
        (daemon.volume / f"f{number}").write_bytes(os.urandom(1000))
    daemon.start()
    daemon.wait(lambda: one.scrape().get("scans_total") == 1)
    values = one.scrape()
    assert values["healthy"] == values["daemon_running"] == 1
    assert values['volumes{state="watched"}'] == 1
    assert values['files_total{outcome="hashed"}'] == 5
    assert values["hashed_bytes_total"] == 5000
    assert values['processes{process="children"}'] > 2
    assert values['process_memory_bytes{process="children"}'] > 1 << 20
    (daemon.volume / "bad").write_bytes(KNOWN)
    daemon.wait(lambda: one.scrape().get('matches_total{action="quarantined"}') == 1)
    daemon.wait(lambda: one.scrape()['quarantine_records{state="quarantined"}'] == 1)
    values = one.scrape()
    assert values["watch_events_total"] > 0
    assert values['files_total{outcome="hashed"}'] == 6
    # A reload starts another set of processes; the counters go on.
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait(lambda: one.scrape().get("scans_total") == 2)
    assert one.scrape()['files_total{outcome="hashed"}'] == 6
    assert one.scrape()['matches_total{action="quarantined"}'] == 1
    daemon.wait(lambda: one.read().get("scans_total") == 2)
    assert stat.S_IMODE(one.textfile.stat().st_mode) == 0o644
    if needs_promtool.args[0] is False:
        assert promtool("check", "metrics", text=one.text()) == (0, "")
    assert daemon.end() == 0
    assert one.text() == "", "nobody serves them any more"


def test_a_dead_exporter_is_started_again_and_nothing_else_ends(exporting):
    one, daemon = exporting, exporting.daemon
    daemon.start()
    daemon.wait(lambda: one.scrape().get("healthy") == 1)
    for child in daemon.children():  # the one that listens
        with open(f"/proc/{child}/net/tcp") as file:
            inodes = [line.split()[9] for line in file if f":{one.port:04X} 00000000" in line]
        descriptors = f"/proc/{child}/fd"
        links = [os.readlink(f"{descriptors}/{name}") for name in os.listdir(descriptors)]
        if any(f"socket:[{inode}]" in links for inode in inodes):
            os.kill(child, signal.SIGKILL)
            break
    else:
        pytest.fail("no process listens")
    daemon.wait(lambda: daemon.logged("metrics: their process has ended"))
    daemon.wait(lambda: one.scrape().get("healthy") == 1)
    assert sum("ended" in one["message"] or "died" in one["message"] for one in daemon.logs) == 1


def test_a_taken_port_is_no_reason_to_stop(exporting):
    one, daemon = exporting, exporting.daemon
    with socket.socket() as other:
        other.bind(("127.0.0.1", one.port))
        other.listen()
        daemon.start()
        daemon.wait(lambda: daemon.logged(f"metrics.listen: 127.0.0.1:{one.port}: "))
    daemon.wait(lambda: one.scrape().get("healthy") == 1)


def test_the_textfile_of_scans_and_of_status(tmp_path):
    one = Exporting(tmp_path)
    daemon = one.daemon
    (daemon.volume / "bad").write_bytes(KNOWN)
    assert daemon.hashscan("scan", "--action", "report").returncode == 1
    values = one.read()
    assert values['last_whole_scan_files{outcome="hashed"}'] == 1
    assert values["last_whole_scan_matches"] == 1
    assert values["daemon_running"] == 0
    assert values["healthy"] == 1
    assert one.read() == values
    # The numbers of another state, or of other lists, do not take their place.
    for more in (["--state", tmp_path / "other"], ["--known", daemon.list]):
        ran = daemon.hashscan("scan", "--action", "report", daemon.volume, *more)
        assert ran.returncode == 1
    assert one.read() == values
    other = tmp_path / "cron.prom"
    ran = daemon.hashscan("status", "--textfile", other)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert samples(other.read_text())["healthy"] == 1
    daemon.list.unlink()
    assert daemon.hashscan("status", "--textfile", other).returncode == 0
    assert samples(other.read_text())["status_exit_code"] == 5
    assert daemon.hashscan("scan").returncode == 2
    daemon.config.write_text("nonsense: 1\n")
    ran = daemon.hashscan("status", "--textfile", other)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert samples(other.read_text())["status_exit_code"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--textfile", "/x/a.txt"], "must end in .prom"),
        (["--textfile", "/x/a.prom", "--json"], "without --json and --nagios"),
        (["--textfile", "/x/a.prom", "--nagios"], "without --json and --nagios"),
        (["--textfile", "/none/a.prom"], "the metrics cannot be written"),
    ],
)
def test_what_status_refuses(tmp_path, arguments, words):
    ran = ready.in_words(ready.hashscan("status", "--state", str(tmp_path), *arguments))
    assert ran.returncode == (3 if "--nagios" in arguments else 2)
    assert words in ran.stdout + ran.stderr


def test_a_textfile_that_cannot_be_written_changes_no_exit_code(tmp_path):
    one = Exporting(tmp_path)
    text = one.daemon.config.read_text().replace(f"{one.textfile}", f"{tmp_path}/none/h.prom")
    one.daemon.config.write_text(text)
    ran = one.daemon.hashscan("scan")
    assert ran.returncode == 0
    assert "metrics.textfile: " in ran.stderr
    assert "the metrics cannot be written" in ran.stderr
