"""The daemon with a service over sockets, and with filters that come, expire and are wrong."""

import hashlib
import os
import signal
import time

import pytest
from daemon_files import gone
from file_server import FileServer, status
from publishing import Publisher
from running_daemon import Daemon
from service_of_lists import LateService

KNOWN = [os.urandom(2000) for _ in range(6)]


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def service(tmp_path):
    one = LateService(tmp_path, KNOWN[:3])
    yield one
    one.close()


@pytest.fixture
def daemon(tmp_path, service):
    with Daemon(tmp_path, service=service.section) as one:
        yield one


def test_candidates_wait_for_a_service_that_is_away(daemon, service):
    daemon.start(until=None)
    paths = [daemon.volume / f"k{number}" for number in range(3)]
    for path, content in zip(paths, KNOWN, strict=False):
        path.write_bytes(content)
    (daemon.volume / "other").write_bytes(b"other")
    daemon.wait(lambda: daemon.logged("candidates are kept"))
    daemon.wait(lambda: daemon.facts().get("pending", {}).get("candidates") == 3, 15)
    assert all(path.exists() for path in paths)
    told = daemon.hashscan("status").stdout
    assert "3 candidates without a verdict" in told
    assert "asked again in" in told
    daemon.end(signal.SIGKILL)  # and they survive that
    daemon.start(until=None)
    service.start()
    gone(daemon, *paths)
    daemon.wait(lambda: daemon.facts().get("pid") == daemon.process.pid)
    assert daemon.end() == 0


def test_a_new_filter_judges_what_was_hashed_without_reading_it(daemon, service):
    service.start()
    for number in range(300):
        (daemon.volume / f"f{number}").write_bytes(b"%d" % number)
    late = daemon.volume / "late"
    late.write_bytes(KNOWN[4])
    changed = daemon.volume / "changed"
    changed.write_bytes(KNOWN[5])
    daemon.start()
    daemon.wait(lambda: daemon.facts().get("scan", 1) is None)
    assert late.exists()
    times = {path: os.stat(path).st_atime_ns for path in daemon.volume.iterdir()}
    service.load([*KNOWN[:3], KNOWN[4], b"7"])
    daemon.wait(lambda: daemon.logged("another set of filters is used"))
    gone(daemon, late, daemon.volume / "f7")
    daemon.wait(lambda: daemon.logged("were judged again without being read"))
    daemon.wait(lambda: daemon.facts().get("rejudged", 0) >= 300, 15)
    assert daemon.facts()["hashed"] == 0, "nothing was read but what was moved"
    assert sum(one["hashed"] for one in daemon.summaries) == 302
    assert {path: os.stat(path).st_atime_ns for path in daemon.volume.iterdir()} == {
        path: at for path, at in times.items() if path.exists()
    }
    assert changed.exists()
    # and it stays so after the next start
    assert daemon.end() == 0
    daemon.events.clear()
    daemon.start()
    assert daemon.summaries[0]["hashed"] == 0
    assert daemon.end() == 0


def test_what_came_between_two_new_filters_is_judged_by_the_second(daemon, service):
    service.load(KNOWN)  # the service knows all of them from the start, ...
    service.load(KNOWN[:3], service=False)  # ... the filter does not
    service.start()
    daemon.start()
    daemon.wait(lambda: daemon.facts().get("scan", 1) is None)
    known = KNOWN[:3]
    for number, content in enumerate(KNOWN[3:6]):
        path = daemon.volume / f"came{number}"
        path.write_bytes(content)
        daemon.wait_accounted()
        known = [*known, content]
        service.load(known, service=False)
        gone(daemon, path)
    assert len(daemon.summaries) == 1, "by no scan"
    assert daemon.end() == 0


def test_a_candidate_of_a_new_filter_that_changed_meanwhile_is_not_taken_for_the_old_one(
    daemon, service
):
    service.start()
    path = daemon.volume / "x"
    path.write_bytes(KNOWN[4])
    daemon.start()
    daemon.end(signal.SIGTERM)
    path.write_bytes(b"harmless by now")
    service.load([*KNOWN[:3], KNOWN[4]])
    daemon.events.clear()
    daemon.start()
    time.sleep(1)
    assert path.read_bytes() == b"harmless by now"
    assert daemon.quarantined() == []
    assert daemon.end() == 0


def test_a_wrong_filter_is_not_used_and_the_one_in_use_stays(daemon, service):
    service.start()
    daemon.start()
    service.filter.write_bytes(b"\0" * service.filter.stat().st_size)
    daemon.wait(lambda: daemon.logged("the filters in use stay"))
    path = daemon.volume / "x"
    path.write_bytes(KNOWN[0])
    gone(daemon, path)
    assert daemon.hashscan("status").returncode == 5
    assert daemon.end() == 0


def test_an_expired_filter_is_not_used_any_more(daemon, service):
    service.start()
    # noticed when it expires, not at the next look for a newer one
    text = daemon.config.read_text().replace("refresh: 1s", "refresh: 1h, max_age: 6s")
    daemon.config.write_text(text)
    service.load(KNOWN[:3])
    daemon.values = {"hashscan.daemon.daemon._TRY_AGAIN": 2.0}
    daemon.start()
    daemon.wait(lambda: daemon.logged("nothing is scanned"))
    path = daemon.volume / "x"
    path.write_bytes(KNOWN[0])
    time.sleep(1.0)
    assert path.exists()
    daemon.wait(lambda: daemon.hashscan("status").returncode == 5)
    # it is tried again now and then; the filter has to be new then
    until = time.monotonic() + 60
    while path.exists() and time.monotonic() < until:
        service.load(KNOWN[:3])
        time.sleep(1)
    assert not path.exists()
    assert daemon.end() == 0


def test_wrong_credentials_are_told_and_not_asked_for_over_and_over(daemon, service):
    service.start()
    service.password.write_text("wrong")
    daemon.start()
    path = daemon.volume / "x"
    path.write_bytes(KNOWN[0])
    daemon.wait(lambda: daemon.logged("candidates are kept"))
    time.sleep(1.0)
    assert path.exists()
    refused = daemon.logs and [one for one in daemon.logs if "kept" in one.get("message", "")]
    assert len(refused) == 1
    assert "401" in refused[0]["message"]
    service.password.write_text("a password of some length")
    daemon.process.send_signal(signal.SIGHUP)
    gone(daemon, path)
    assert daemon.end() == 0


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def test_filters_of_a_repository_are_synced_and_used(tmp_path, service):
    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add([sha1(KNOWN[0])])
    service.start()
    with FileServer(publisher.path) as server:
        section = service.section.partition("filter:")[0] + (
            f"filter: {{source: '{server.url}', root: {publisher.root}, refresh: 1s}}"
        )
        with Daemon(tmp_path, service=section) as daemon:
            first = daemon.volume / "first"
            first.write_bytes(KNOWN[0])
            second = daemon.volume / "second"
            second.write_bytes(KNOWN[1])
            daemon.start()
            gone(daemon, first)
            assert daemon.logged("nothing is scanned"), "before the first sync there is no filter"
            assert second.exists()
            publisher.add([sha1(KNOWN[0]), sha1(KNOWN[1])])
            gone(daemon, second)
            assert daemon.logged("(patch") or daemon.logged("(whole")
            server.fault("", status(500))
            daemon.wait(lambda: daemon.logged("unreachable"), 40)
            again = daemon.volume / "again"
            again.write_bytes(KNOWN[0])
            gone(daemon, again)
            daemon.wait(lambda: "unreachable" in daemon.hashscan("status").stdout)
            assert daemon.end() == 0


def test_a_list_that_changed_is_used(tmp_path):
    """With local lists and a filter file: both are looked at, and the verdicts are the new ones."""
    built = LateService(tmp_path, KNOWN[:1])
    listed = tmp_path / "local.txt"
    listed.write_text(f"{sha1(KNOWN[0])}\n")
    section = (
        f"service: {{kind: local, known: [{listed}]}}\n"
        f"filter: {{source: {built.filter}, refresh: 1s}}"
    )
    with Daemon(tmp_path, service=section) as daemon:
        for number in range(3):
            (daemon.volume / f"k{number}").write_bytes(KNOWN[number])
        daemon.start()
        gone(daemon, daemon.volume / "k0")
        listed.write_text("".join(f"{sha1(one)}\n" for one in KNOWN[:2]))
        built.load(KNOWN[:2], service=False)
        gone(daemon, daemon.volume / "k1")
        assert (daemon.volume / "k2").exists()
        assert daemon.end() == 0
    built.close()
