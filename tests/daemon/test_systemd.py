"""hashscan.daemon.systemd: real datagrams."""

import os
import secrets
import socket

import pytest

from hashscan.daemon.systemd import ServiceManager


@pytest.fixture
def make():
    made = []

    def _make():
        made.append(ServiceManager())
        return made[-1]

    yield _make
    for one in made:
        one.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    name = secrets.token_hex(8)
    address = str(tmp_path / "n") if request.param == "path" else f"@hashscan-test-{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        one.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield one


def test_what_it_says(make, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = make()
    assert notifier.watchdog_interval == 15.0
    assert "NOTIFY_SOCKET" not in os.environ
    notifier.ready("it works")
    assert manager.recv(999) == b"READY=1\nSTATUS=it works"
    notifier.status("forged\nREADY=0\n\nMAINPID=1")
    assert manager.recv(999) == b"STATUS=forged READY=0 MAINPID=1"
    notifier.status("x" * 1000)
    assert manager.recv(999) == b"STATUS=" + b"x" * 400
    notifier.reloading()
    assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notifier.watchdog()
    assert manager.recv(999) == b"WATCHDOG=1"
    notifier.stopping()
    assert manager.recv(999) == b"STOPPING=1"


def test_a_watchdog_of_another_process_is_not_ours(make, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert make().watchdog_interval is None


def test_a_full_or_vanished_socket_is_no_reason_to_end(make, manager):
    notifier = make()
    for _ in range(10_000):
        notifier.watchdog()
    manager.close()
    notifier.status("still here")


@pytest.mark.parametrize("value", ["", "nonsense", "vsock:1:2"])
def test_without_a_service_manager_nothing_is_told(make, value, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", value)
    monkeypatch.setenv("WATCHDOG_USEC", "x")
    notifier = make()
    assert notifier.watchdog_interval is None
    notifier.ready("nobody hears")
