"""The exporter's process: it collects while somebody asks, writes the textfile, and says what fails."""

import os
import socket
import stat
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from left_state import Place
from promtool import samples

from hashscan.config.loader import load
from hashscan.errors import ConfigError, MachineError
from hashscan.metrics import exporter as module
from hashscan.metrics.exporter import bound, export
from hashscan.metrics.processes import usage_of
from hashscan.processes import Child


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Exporter:
    """An exporter in a process of its own."""

    def __init__(self, directory):
        self.place = Place(directory)
        self.port = free_port()
        self.textfile = directory / "h.prom"
        self.process = None
        self.told = []

    def start(self, *, textfile=False, more=""):
        places = f"textfile: {self.textfile}" if textfile else f'listen: "127.0.0.1:{self.port}"'
        self.place.extra = f"metrics: {{{places}{more}}}\n"
        self.place.write()
        self.process = Child(lambda pipe: export(self.place.settings, pipe.send))
        self.ours = self.process.connection
        return self

    def scrape(self, **headers):
        until = time.monotonic() + 60
        while True:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/metrics", headers=headers
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return samples(answer.read().decode())
            except urllib.error.HTTPError:
                raise
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)

    def until(self, condition):
        until = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.05)

    def read(self):
        return samples(self.textfile.read_text()) if self.textfile.exists() else {}

    def close(self):
        if self.process is not None:
            self.process.end()
        self.place.close()


@pytest.fixture
def exporter(tmp_path, monkeypatch):
    for name, value in (("EVERY", 0.1), ("SHARE", 0.5), ("TEXTFILE_EVERY", 0.2)):
        monkeypatch.setattr(module, name, value)
    made = Exporter(tmp_path)
    made.place.scanned()
    yield made
    made.close()


def test_scrapes_show_what_changes(exporter):
    exporter.start()
    assert exporter.scrape()["healthy"] == 1
    exporter.place.candidate(2000.0)
    exporter.until(lambda: exporter.scrape()["healthy"] == 0)
    found = exporter.scrape()
    assert found["pending_candidates"] == 1
    assert found["status_exit_code"] == exporter.place.run().returncode == 6


def test_the_configuration_of_this_moment_counts(exporter):
    exporter.start()
    assert exporter.scrape()["healthy"] == 1
    text = exporter.place.config.read_text()
    exporter.place.config.write_text("nonsense: 1\n")
    exporter.until(lambda: exporter.scrape()["status_exit_code"] == 2)
    assert exporter.place.run().returncode == 2
    exporter.place.config.write_text(text)
    exporter.until(lambda: exporter.scrape()["status_exit_code"] == 0)


def test_nothing_is_collected_for_nobody(exporter):
    exporter.start()

    def is_there():
        with suppress(OSError), socket.create_connection(("127.0.0.1", exporter.port), timeout=60):
            return True

    exporter.until(is_there)
    idle = usage_of(exporter.process.pid)[0].cpu
    time.sleep(0.5)
    assert usage_of(exporter.process.pid)[0].cpu - idle <= 0.05
    assert exporter.scrape()["healthy"] == 1


def test_the_textfile(exporter):
    exporter.start(textfile=True)
    exporter.until(lambda: exporter.read().get("healthy") == 1)
    assert stat.S_IMODE(os.stat(exporter.textfile).st_mode) == 0o644
    first = exporter.read()["collected_timestamp_seconds"]
    exporter.until(lambda: exporter.read()["collected_timestamp_seconds"] > first)
    leftovers = set(os.listdir(exporter.textfile.parent)) - {"volume", "known.txt", "state"}
    assert leftovers == {"config.yaml", "h.prom"}


def test_a_textfile_that_cannot_be_written_is_reported(exporter):
    exporter.textfile = exporter.textfile.parent / "missing" / "h.prom"
    exporter.start(textfile=True)
    assert exporter.ours.poll(15)
    message = exporter.ours.recv()
    assert f"{exporter.textfile}: the metrics cannot be written: no such file" in message.lower()
    exporter.textfile.parent.mkdir()
    exporter.until(lambda: exporter.read().get("healthy") == 1)


def test_a_token_file(exporter):
    token = exporter.place.directory / "token"
    token.write_text("sesame\n")
    token.chmod(0o600)
    exporter.start(more=f", token_file: {token}")
    assert exporter.scrape(Authorization="Bearer sesame")["healthy"] == 1
    with pytest.raises(urllib.error.HTTPError, match="401"):
        exporter.scrape()
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="may be used by others"):
        load(str(exporter.place.config))
    with pytest.raises(ConfigError, match="may be used by others"):
        export(exporter.place.settings, print)


def test_a_port_that_is_taken():
    port = free_port()
    with bound(f"127.0.0.1:{port}") as one:
        one.listen()
        with pytest.raises(
            MachineError, match=f"metrics.listen: localhost:{port}: .*in use.*ss -l"
        ):
            bound(f"localhost:{port}")


def test_ipv6():
    with bound(f"[::1]:{free_port()}") as one:
        assert one.family == socket.AF_INET6


def test_the_first_textfile_waits_for_the_status_of_a_daemon_that_has_just_started(
    exporter, monkeypatch
):
    monkeypatch.setattr(module, "EVERY", 1.0)
    began = time.time()
    exporter.start(textfile=True)
    exporter.until(exporter.textfile.exists)
    assert exporter.textfile.stat().st_mtime - began >= 1.0
