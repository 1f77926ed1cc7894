"""A real Prometheus scrapes a real daemon through a scan, a flood and an outage (Debian: prometheus).

The dashboard's queries then have data, the rules fire, and no client delays the daemon.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import suppress

import pytest
import ready
from running_daemon import Daemon

pytestmark = [
    pytest.mark.skipif("HASHSCAN_LONG" not in os.environ, reason="takes a minute: make test-long"),
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed (Debian: prometheus)",
    ),
]
PACKAGING = os.path.join(os.path.dirname(__file__), "..", "..", "packaging")
KNOWN = b"known, says the test"
#: Panels that have data only while something is wrong, or while a scan runs.
_PASSING = {"Complaints by reason", "Scan", "Problems in an hour"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Prometheus:
    """A Prometheus that scrapes one port each second."""

    def __init__(self, directory, target):
        self.port = free_port()
        rules = os.path.join(PACKAGING, "prometheus", "hashscan.rules.yml")
        with open(rules, encoding="utf-8") as file:
            # The rules as they are, but for the patience of people.
            text = file.read()
        lines = [line for line in text.splitlines() if not line.strip().startswith("for:")]
        (directory / "hashscan.rules.yml").write_text("\n".join(lines))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(directory / "hashscan.rules.yml")],
            "scrape_configs": [
                {"job_name": "hashscan", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
            ],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))
        with open(directory / "prometheus.log", "wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={directory}/prometheus.yml",
                    f"--storage.tsdb.path={directory}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def query(self, expression):
        words = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{words}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]["result"]

    def value(self, expression):
        with suppress(OSError):
            found = self.query(expression)
            return float(found[0]["value"][1]) if found else None

    def without_data(self):
        """The panels of the dashboard that have a query without an answer."""
        with open(os.path.join(PACKAGING, "grafana", "hashscan.json"), encoding="utf-8") as file:
            panels = json.load(file)["panels"]
        return {
            panel["title"]
            for panel in panels
            for target in panel.get("targets", ())
            if not self.query(
                target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            )
        }

    def firing(self):
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def until(self, condition, timeout=60):
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.5)

    def close(self):
        self.process.kill()
        self.process.wait()


def test_a_scan_a_flood_and_an_outage(tmp_path):
    port = free_port()
    receiver = "{name: page, kind: command, command: [/bin/true], collect: 1s}"
    extra = (
        f'metrics: {{listen: "127.0.0.1:{port}"}}\nscan: {{pause_above_io_pressure: none}}\n'
        f"notify: [{receiver}]\nfilter: {{source: {tmp_path}/known.filter}}\n"
    )
    daemon = Daemon(tmp_path, known=[KNOWN], extra=extra)
    built = ready.hashscan("filter", "build", daemon.list, "-o", tmp_path / "known.filter")
    assert built.returncode == 0, built.stderr
    (tmp_path / "notice").write_text("http://site.example/a\n")
    added = ready.hashscan("--config", daemon.config, "notice", "add", tmp_path / "notice")
    assert added.returncode == 0, added.stderr
    daemon.values = {"hashscan.metrics.exporter.EVERY": 0.5, "hashscan.metrics.exporter.SHARE": 1.0}
    for number in range(200):
        (daemon.volume / f"f{number}").write_bytes(os.urandom(2000))
    prometheus = Prometheus(tmp_path, port)
    try:
        with daemon:
            daemon.start()
            prometheus.until(lambda: prometheus.value("hashscan_scans_total") == 1)
            answered = time.monotonic()
            (daemon.volume / "bad").write_bytes(KNOWN)
            matches = 'hashscan_matches_total{action="quarantined"}'
            prometheus.until(lambda: prometheus.value(matches) == 1)
            # A flood of changes, and one of clients that say nothing.
            idle = []
            for number in range(3000):
                (daemon.volume / f"g{number}").write_bytes(os.urandom(500))
                if number % 10 == 0:
                    with suppress(OSError):
                        idle.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            hashed = 'hashscan_files_total{outcome="hashed"}'
            prometheus.until(lambda: (prometheus.value(hashed) or 0) >= 3201)
            for one in idle:
                one.close()
            seconds = int(time.monotonic() - answered)  # before, the daemon started
            each = f"min_over_time(up[{seconds}s])"
            assert prometheus.value(each) == 1, "each scrape had its answer"
            assert prometheus.value("max_over_time(scrape_duration_seconds[1m])") < 5
            assert prometheus.value("rate(hashscan_hashed_bytes_total[1m])") > 0
            assert prometheus.value("hashscan_healthy") == 1
            assert prometheus.firing() == set()
            assert prometheus.without_data() <= _PASSING
            os.rename(daemon.volume, tmp_path / "away")
            prometheus.until(lambda: "HashscanVolumeMissing" in prometheus.firing(), 120)
            assert prometheus.value("hashscan_healthy") == 0
            assert prometheus.without_data() <= _PASSING - {"Complaints by reason"}
            daemon.end()
        prometheus.until(lambda: "HashscanDown" in prometheus.firing())
    finally:
        prometheus.close()
