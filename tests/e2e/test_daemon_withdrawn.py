"""The daemon, a service that takes a digest back, and files that come back by themselves."""

import os

import pytest
from daemon_files import gone
from running_daemon import Daemon
from service_of_lists import LateService

from hashscan.audit.reader import read
from hashscan.service.data import load_set

KNOWN = [os.urandom(2000) for _ in range(4)]


@pytest.fixture
def service(tmp_path):
    one = LateService(tmp_path, KNOWN[:3])
    yield one
    one.close()


def known_to_service(service, contents):
    """The service's list changes, and the filter does not."""
    listed = service.directory / "service.txt"
    listed.write_text("".join(f"{_sha1(one)}\n" for one in contents))
    load_set(service.data, "known", [str(listed)])


def _sha1(content):
    import hashlib

    return hashlib.sha1(content).hexdigest()


def test_withdrawn_files_come_back_and_are_moved_again_if_the_list_takes_them_up(tmp_path, service):
    service.start()
    with Daemon(tmp_path, service=service.section) as daemon:
        daemon.config.write_text(
            daemon.config.read_text().replace(
                "action: quarantine}",
                "action: quarantine, ask_again: 1s, restore_withdrawn: auto}",
            )
        )
        daemon.values = {
            "hashscan.quarantine.withdrawn_digests.APART": 3.0, "hashscan.daemon.recheck_verdicts._NEXT_TURN": 0.1,
        }  # fmt: skip
        wrong = [daemon.volume / f"wrong{number}" for number in range(3)]
        for path in wrong:
            path.write_bytes(KNOWN[2])
            os.utime(path, ns=(10**18, 10**18 + 7))
            path.chmod(0o604)
        right = daemon.volume / "right"
        right.write_bytes(KNOWN[0])
        daemon.start()
        gone(daemon, right, *wrong)
        known_to_service(service, KNOWN[:2])
        daemon.wait(lambda: daemon.logged("withdrawn: the service does not know them any more"))
        daemon.wait(lambda: all(path.exists() for path in wrong))
        for path in wrong:
            status = path.stat()
            assert (status.st_mtime_ns, status.st_mode & 0o777) == (10**18 + 7, 0o604)
            assert path.read_bytes() == KNOWN[2]
        (event,) = [one for one in read(str(daemon.state)) if one.event == "withdrawn"]
        assert (event.facts["files"], event.who.by) == (3, "daemon")
        # The watch finds the restored files: yesterday's verdict would have them moved again.
        daemon.wait(lambda: daemon.facts().get("pending", {}).get("candidates") == 0)
        (daemon.volume / "after").write_bytes(KNOWN[1])
        gone(daemon, daemon.volume / "after")
        assert all(path.exists() for path in wrong)
        assert not right.exists()
        service.load(KNOWN)
        gone(daemon, *wrong)
        assert daemon.end() == 0
