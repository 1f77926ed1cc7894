"""A daemon whose clock and service manager are the test's."""

import io
from types import SimpleNamespace

import pytest
from daemon_loop import Notifier

from hashscan.config.loader import load
from hashscan.daemon import daemon as module
from hashscan.daemon.daemon import Daemon
from hashscan.daemon.log import Log
from hashscan.state import State


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    one.time = lambda: one.now + 1e9
    monkeypatch.setattr(module, "time", one)
    return one


@pytest.fixture
def make(tmp_path, out, monkeypatch):
    """Make a daemon whose configuration has more of a section."""
    for name in ("root.json", "known.txt"):
        (tmp_path / name).write_text(f"{'0' * 40}\n")
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(module, "ServiceManager", Notifier)

    def made(filter_=f"filter: {{source: 'http://127.0.0.1:9/', root: {tmp_path}/root.json}}\n"):
        config = tmp_path / "config.yaml"
        config.write_text(
            f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/volume}}]\n"
            f"service: {{kind: local, known: [{tmp_path}/known.txt]}}\n"
            f"{filter_}quarantine: {{action: report, retention: none}}\n"
        )
        settings = load(str(config))
        return Daemon(settings, State(settings.state), lambda: settings, Log(out, out))

    return made


@pytest.fixture
def daemon(clock, make):
    return make()


@pytest.fixture
def refreshed(daemon, monkeypatch):
    found = []
    monkeypatch.setattr(daemon, "_refresh_known", lambda *kind: found.append(kind))
    return found
