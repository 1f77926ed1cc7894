"""The daemon and the intake with the rights of their units and no others: they are enough."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from running_daemon import Daemon

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "hashscan.service"
KNOWN = os.urandom(2000)
_NO_WRITE_AND_EXECUTE = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)\n"  # PR_SET_MDWE, inherited; Linux 6.3 and later
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


def confined(*, unit=UNIT, without=()):
    (line,) = [
        one for one in unit.read_text().splitlines() if one.startswith("CapabilityBoundingSet=")
    ]
    rights = [one.removeprefix("CAP_").lower() for one in line.partition("=")[2].split()]
    kept = ",".join(f"+{one}" for one in rights if one not in without)
    return ["setpriv", "--no-new-privs", "--bounding-set", f"-all,{kept}",
            sys.executable, "-c", _NO_WRITE_AND_EXECUTE]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
@pytest.mark.parametrize("watch", ["fanotify", "inotify"])
def test_a_customers_private_file_is_found_moved_and_restored(tmp_path, watch):
    os.chmod(tmp_path, 0o755)
    with Daemon(tmp_path, watch=watch, known=[KNOWN]) as daemon:
        home = daemon.volume / "customer"
        home.mkdir()
        os.chown(home, 12345, 12345)
        home.chmod(0o700)
        daemon.wrap = confined(without={"sys_admin"} if watch == "inotify" else ())
        daemon.start()
        path = home / "private"
        path.write_bytes(KNOWN)
        path.chmod(0o600)
        os.utime(path, (1, 2))
        os.setxattr(path, "user.note", b"kept")
        os.chown(path, 12345, 54321)
        daemon.wait(lambda: not path.exists())
        daemon.wait(daemon.quarantined)
        daemon.wait(lambda: daemon.facts()["volumes"][0]["backend"] != "starting")
        (volume,) = daemon.facts()["volumes"]
        assert (volume["backend"], volume["unwatched"]) == (watch, 0), volume
        identity = daemon.quarantined()[0]["quarantine_id"]
        restored = subprocess.run(
            [*daemon.wrap, sys.executable, "-m", "hashscan", "--config", str(daemon.config),
             "quarantine", "restore", identity],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert restored.returncode == 0, restored
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 54321, 0o600)
        assert os.getxattr(path, "user.note") == b"kept"
        assert path.read_bytes() == KNOWN
        assert daemon.end() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_the_intake_stores_a_report_and_sees_a_customers_file(tmp_path):
    os.chmod(tmp_path, 0o755)
    root = tmp_path / "customer"
    root.mkdir()
    (root / "private").touch(mode=0o600)
    os.chown(root / "private", 12345, 12345)
    root.chmod(0o700)
    os.chown(root, 12345, 12345)
    config = tmp_path / "config.yaml"
    config.write_text(f"state: {tmp_path}/state\nsites: [{{host: a.example, root: '{root}'}}]\n")
    hashscan = [sys.executable, "-m", "hashscan", "--config", str(config), "notice"]
    token = subprocess.run(
        [*hashscan, "token", "add", "hotline"], capture_output=True, check=True
    ).stdout.strip()
    path = tmp_path / "socket"
    rights = confined(unit=UNIT.with_name("hashscan-notices.service"))
    command = [*rights, *hashscan, "serve", "--listen", f"unix:{path}", "--socket-group", "daemon"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert b" listens on the socket " in process.stderr.readline()
            status = path.stat()
            assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (1, 0o660)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(
                    b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n"
                    b"Authorization: Bearer %s\r\n\r\nurls=http://a" % token
                )
                answer = b""
                while b'"data"' not in answer:
                    answer += sock.recv(4096)
                assert answer.startswith(b"HTTP/1.1 201")
                sock.sendall(
                    b"GET /api/v1/online?url=http://a.example/private HTTP/1.1\r\nHost: x\r\n"
                    b"Connection: close\r\nAuthorization: Bearer %s\r\n\r\n" % token
                )
                answer = b""
                while more := sock.recv(4096):
                    answer += more
                assert answer.endswith(b"\r\n\r\nonline")
        finally:
            process.terminate()
    assert process.returncode == 0
