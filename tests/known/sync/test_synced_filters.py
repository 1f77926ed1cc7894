"""Syncing: what is in use, what is kept, and what a kill or a full disk leaves of it."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dying import Dying
from file_server import flip, status, truncate
from publishing import Agent, FileServer, random_digests

from hashscan.errors import ExitCode, Fault, FilterError, LockedError, StateError
from hashscan.known.sync.repository_settings import sync_offset
from hashscan.known.sync.synced_filters import KeptPlace
from hashscan.known.sync.trust import wanted
from hashscan.state import Lock


def states(report):
    return [(one.state, one.way) for one in report.categories]


def fetched_targets(server):
    return [path for path in server.requests if path.startswith("/targets/")]


# -- patches and whole files --------------------------------------------------------------------


def test_whole_at_first_then_patches(agent, publisher, server, digests):
    assert states(agent.sync()) == [("updated", "whole")]
    for change in (digests[:-1], digests[3:] + random_digests(2), digests):
        publisher.add(change)
        assert states(agent.sync()) == [("updated", "patch")]
        assert agent.bytes == publisher.published
        assert all(digest in agent.filter() for digest in change)
    server.requests.clear()
    report = agent.sync()
    assert states(report) == [("current", None)]
    assert fetched_targets(server) == []
    assert 0 < report.fetched < 1000  # a root that is not there, and the timestamp


def test_a_patch_leaps_over_missed_versions(agent, publisher, digests):
    agent.sync()
    for number in range(1, 6):
        publisher.add(digests[number:] + random_digests(1))
    assert states(agent.sync()) == [("updated", "patch")]
    assert agent.bytes == publisher.published


def test_who_missed_too_many_versions_fetches_the_whole(agent, publisher, digests):
    agent.sync()
    for number in range(1, 5):
        publisher.add(digests[number:], patches=2)
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_a_filter_made_anew_is_fetched_whole(agent, publisher, digests):
    agent.sync()
    added = publisher.add(digests + random_digests(200))
    assert added.anew
    assert added.patches == ()
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_withdrawn_digests_do_not_hit_any_more(agent, publisher, digests):
    agent.sync()
    publisher.add(digests[100:])
    agent.sync()
    assert not any(digest in agent.filter() for digest in digests[:100])


@pytest.mark.parametrize("fault", [flip, truncate()])
def test_a_bad_patch_is_replaced_by_the_whole_file(fault, agent, publisher, server, digests):
    agent.sync()
    publisher.add(digests[5:])
    server.fault("patch-from", fault)
    assert states(agent.sync()) == [("updated", "whole")]
    assert any("patch" in notice for notice in agent.notices)
    assert agent.bytes == publisher.published


def test_a_damaged_filter_is_not_used_and_fetched_again(agent, publisher):
    agent.sync()
    path = agent.filter().path
    content = bytearray(Path(path).read_bytes())
    content[100] ^= 1
    Path(path).write_bytes(content)
    with pytest.raises(FilterError, match=r"damaged.*hashscan sync"):
        agent.filter()
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b"\xff" * 99])
def test_a_damaged_pointer_is_no_filter_and_mended(content, agent, publisher):
    agent.sync()
    place = KeptPlace(agent.source, agent.state)
    Path(place.directory, "current.json").write_bytes(content)
    with pytest.raises(FilterError, match=r"never fetched.*hashscan sync"):
        agent.filter()
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


@pytest.mark.parametrize("verified", ["NaN", "Infinity", '"1"', "null"])
def test_a_time_that_is_no_number_is_a_damaged_pointer(verified, agent):
    agent.sync()
    path = Path(KeptPlace(agent.source, agent.state).directory, "current.json")
    path.write_text(re.sub(r'(?<="verified": )[0-9.]+', verified, path.read_text()))
    with pytest.raises(FilterError, match="never fetched"):
        agent.filter(max_age=60)


def test_another_filter_in_place_of_the_one_in_use_is_not_used(agent, publisher, digests):
    agent.sync()
    path = agent.filter().path
    publisher.add(digests[1:])
    second = Agent(Path(agent.state, "second"), agent.source.url, publisher.root)
    second.sync()
    for end in ("", ".json"):
        shutil.copyfile(second.filter().path + end, path + end)
    with pytest.raises(FilterError, match=r"is another filter than was synced.*hashscan sync"):
        agent.filter()
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    assert agent.bytes == publisher.published


def test_the_previous_version_is_kept_and_older_ones_are_not(agent, publisher, digests):
    paths = []
    for number in range(4):
        publisher.add(digests[number:])
        agent.sync()
        paths.append(agent.filter().path)
    assert [os.path.exists(path) for path in paths] == [False, False, True, True]


def test_several_categories_each_with_its_own_filter(tmp_path, publisher, server, digests):
    others = random_digests(50)
    publisher.add(others, category="other")
    both = Agent(tmp_path / "both", server.url, publisher.root, ("baseline", "other"))
    assert states(both.sync()) == [("updated", "whole")] * 2
    from hashscan.known.sync.synced_filters import open_kept

    first, second = (one.loaded for one in open_kept(both.source, both.state, max_age=60))
    assert (first.category, second.category) == ("baseline", "other")
    assert digests[0] in first
    assert digests[0] not in second
    assert others[0] in second


def test_one_category_that_fails_does_not_hold_up_the_other(tmp_path, publisher, server):
    publisher.add(random_digests(50), category="other")
    both = Agent(tmp_path / "both", server.url, publisher.root, ("baseline", "other"))
    server.fault("/targets/baseline/", flip)
    report = both.sync()
    assert [one.state for one in report.categories] == ["refused", "updated"]
    assert report.exit_code == ExitCode.FILTER
    server.heal()
    assert [one.state for one in both.sync().categories] == ["updated", "current"]


# -- age ------------------------------------------------------------------------------------------


def aged(agent, seconds):
    place = KeptPlace(agent.source, agent.state)
    path = Path(place.directory, "current.json")
    content = json.loads(path.read_text())
    for entry in content["categories"].values():
        entry["verified"] -= seconds
    path.write_text(json.dumps(content))


def test_a_filter_in_use_stays_until_max_age(agent, server):
    agent.sync()
    aged(agent, 3600)
    server.fault("", flip)
    assert agent.sync().exit_code != ExitCode.NOTHING_FOUND
    assert agent.filter(max_age=3700)
    with pytest.raises(FilterError, match=r"last verified 60 min ago.*hashscan sync"):
        agent.filter(max_age=3500)
    server.heal()
    agent.sync()
    assert agent.filter(max_age=60)


def test_a_verification_in_the_future_is_a_wrong_clock(agent):
    agent.sync()
    aged(agent, -3 * 86400)
    with pytest.raises(FilterError, match="timedatectl"):
        agent.filter()
    agent.sync()
    assert agent.filter()


def test_another_pin_does_not_use_what_the_old_one_verified(tmp_path, agent, publisher):
    agent.sync()
    with open(publisher.root, "rb") as file:
        content = json.load(file)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content, indent=3))  # the same keys; but who knows?
    with pytest.raises(FilterError, match="never fetched"):
        agent.with_(root=str(other)).filter()
    with pytest.raises(FilterError, match="pinned root cannot be read"):
        agent.with_(root=str(tmp_path / "none")).filter()


# -- the way ----------------------------------------------------------------------------------------


def test_basic_authentication(agent, server):
    import base64

    server.credentials = "Basic " + base64.b64encode(b"me:s3cret-word").decode()
    report = agent.sync()
    assert "refuses the credentials" in report.categories[0].message
    agent.with_(username="me", password="s3cret-word")
    assert states(agent.sync()) == [("updated", "whole")]
    assert "s3cret-word" not in repr(agent.source)
    server.credentials = "Basic other"
    agent.sync()
    assert "s3cret-word" not in str(agent.sync()) + str(agent.notices)


def test_without_a_user_nobody_looks_into_netrc(tmp_path, monkeypatch, agent, server):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret-word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    agent.sync()
    assert all("Authorization" not in headers for headers in server.sent.values())


def test_a_proxy_is_used(agent, server):
    """An HTTP proxy gets the whole URL; this server takes the path of it and answers."""
    url = agent.source.url
    agent.with_(url="http://filters.example", proxy=url)
    agent.sync()
    assert server.requests[0] == "http://filters.example/metadata/2.root.json"


def test_a_download_that_broke_off_goes_on(agent, publisher, server):
    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    report = agent.sync()
    assert report.categories[0].state == "unreachable"
    server.requests.clear()
    report = agent.sync()
    assert states(report) == [("updated", "whole")]
    (path,) = fetched_targets(server)
    assert server.sent[path]["Range"].startswith("bytes=")
    assert report.fetched < 0.5 * len(publisher.published[0])
    assert agent.bytes == publisher.published
    assert os.listdir(os.path.join(KeptPlace(agent.source, agent.state).directory, "partial")) == []


def test_what_broke_off_does_not_pile_up(agent, publisher, server):
    """A mirror that cuts off every version must not fill the disk with their parts."""
    agent.sync()
    for _ in range(3):
        publisher.add(random_digests(5_000))
        server.fault("filter.zst", truncate(0.7))
        assert agent.sync().categories[0].state == "unreachable"
        partial = os.path.join(KeptPlace(agent.source, agent.state).directory, "partial")
        assert len(os.listdir(partial)) == 1


def test_a_part_of_a_download_is_kept_until_all_is_up_to_date(agent):
    agent.sync()
    place = KeptPlace(agent.source, agent.state)
    partial = Path(place.directory, "partial")
    (named, *_) = wanted(place)
    for name in (named, "0" * 64):
        (partial / name).write_bytes(b"part")
    # Another category that cannot be had: the next sync may go on with the part.
    agent.with_(categories=("baseline", "none")).sync()
    assert [one.name for one in partial.iterdir()] == [named]
    agent.with_(categories=("baseline",)).sync()
    assert list(partial.iterdir()) == []


def test_a_password_for_this_machine_does_not_go_to_a_proxy(agent, server, monkeypatch):
    with FileServer(os.devnull) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        agent.with_(username="me", password="s3cret-word").sync()
        assert proxy.requests == []
        assert server.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_repository_on_this_machine_does_not_go_to_a_proxy(
    agent, server, monkeypatch, host, scheme
):
    with FileServer(os.devnull) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("http", scheme))
        monkeypatch.delenv("no_proxy", raising=False)
        agent.with_(url=server.url.replace("127.0.0.1", host))
        (one,) = agent.sync().categories
        assert proxy.requests == []
        assert "proxy" not in one.message
        if host in {"127.0.0.1", "localhost"}:  # the server listens on that address only
            assert one.state == "updated", one.message


def test_a_socks_proxy_is_named(agent, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5h://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    agent.with_(url="http://filters.example")
    (one,) = agent.sync().categories
    assert one.state == "unreachable"
    assert "SOCKS" in one.message
    assert "no_proxy" in one.message


def test_a_category_of_any_letters(tmp_path, publisher, server, digests):
    publisher.add(digests, category="größe.x_1-ж")
    one = Agent(tmp_path / "other", server.url, publisher.root, ("größe.x_1-ж",))
    assert states(one.sync()) == [("updated", "whole")]
    publisher.add(digests[1:], category="größe.x_1-ж")
    assert states(one.sync()) == [("updated", "patch")]


_REFUSED = status(416)


@pytest.mark.parametrize(
    "part",
    [
        _REFUSED,
        status(206, Content_Range="bytes 4-9/10"),
        status(206, Content_Range="bytes 0-9/10"),
        status(206, Content_Range="all"),
        status(206),
    ],
)
def test_a_download_that_cannot_be_continued(part, agent, publisher, server):
    """A server that refuses a part is asked for the whole; another part is not used."""
    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    agent.sync()
    server.fault("filter.zst", part, times=1)
    (one,) = agent.sync().categories
    if part is not _REFUSED:
        assert (one.state, one.fault) == ("unreachable", Fault.ANSWER)
        assert "another part than was asked for" in one.message
        assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_a_server_without_ranges_serves_the_whole(agent, publisher, server):
    publisher.add(random_digests(20_000))
    server.ranges = False
    server.fault("filter.zst", truncate(0.7), times=1)
    agent.sync()
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_a_wrong_part_is_thrown_away(agent, publisher, server):
    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    agent.sync()
    partial = Path(KeptPlace(agent.source, agent.state).directory, "partial")
    (part,) = partial.iterdir()
    content = bytearray(part.read_bytes())
    content[5] ^= 1
    part.write_bytes(content)
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


# -- kills, disks, locks --------------------------------------------------------------------------

SYNC = """
import sys
from hashscan.known.sync.client import sync
from hashscan.known.sync.repository_settings import RepositorySource
sys.exit(sync(RepositorySource(sys.argv[1], sys.argv[2], ("baseline",)), sys.argv[3]).exit_code)
"""
LONG = bool(os.environ.get("HASHSCAN_LONG"))
#: A process that is killed at fsync leaves the files that it leaves at the next of the other calls.
CALLS = ("fsync," if LONG else "") + "replace,link,mkdir,unlink,remove,rmdir,symlink"


def test_killed_at_any_instant_the_filter_is_the_old_or_the_new_one(agent, publisher, digests):
    agent.sync()
    with Dying(SYNC, CALLS) as script:
        for step, instant in enumerate(script.instants()):
            before = agent.bytes
            publisher.add([*digests[step % 7 :], os.urandom(20).hex()])
            script.run(instant, agent.source.url, agent.source.root, agent.state)
            assert agent.bytes in (before, publisher.published), instant
            assert agent.sync().exit_code == ExitCode.NOTHING_FOUND, instant
            assert agent.bytes == publisher.published, instant
            place = KeptPlace(agent.source, agent.state).directory
            assert not [name for name in os.listdir(place) if name.startswith(".")], instant
            assert len(os.listdir(os.path.join(place, "filters", "baseline"))) <= 2, instant
            assert not [n for n in os.listdir(os.path.join(place, "trust")) if n.startswith("tmp")]
    assert step > 6


def test_a_full_disk_leaves_the_filter_in_use(agent, publisher):
    """RLIMIT_FSIZE stands for the full disk: the same errors from write and truncate."""
    agent.sync()
    publisher.add(random_digests(50_000))
    before = agent.bytes
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from hashscan.errors import HashscanError\n"
        "from hashscan.known.sync.client import sync\n"
        "from hashscan.known.sync.repository_settings import RepositorySource\n"
        "for limit in sys.stdin:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))\n"
        "    try: sync(RepositorySource(sys.argv[1], sys.argv[2], ('baseline',)), sys.argv[3])\n"
        "    except HashscanError as error: print(type(error).__name__, error, flush=True)\n"
        "    else: print('no error', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, agent.source.url, agent.source.root, agent.state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for limit in (100, 1500, 50_000, 150_000):
            print(limit, file=process.stdin, flush=True)
            told = process.stdout.readline()
            assert told.startswith("StateError"), told
            assert "Make room" in told
            assert agent.bytes == before
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_a_directory_that_cannot_be_made(tmp_path, agent):
    (tmp_path / "file").write_text("")
    agent.state = str(tmp_path / "file")
    with pytest.raises(StateError, match="Not a directory"):
        agent.sync()


def test_one_sync_at_a_time(agent):
    agent.sync()
    directory = KeptPlace(agent.source, agent.state).directory
    script = (
        "import sys, time; from hashscan.state import Lock\n"
        "with Lock(sys.argv[1]): print('held', flush=True); time.sleep(60)\n"
    )
    lock = os.path.join(directory, "lock")
    with subprocess.Popen([sys.executable, "-c", script, lock], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=str(holder.pid)):
            agent.sync()
        assert agent.filter()  # reading waits for nobody
        holder.kill()
    with Lock(lock):
        pass


# -- a fleet ------------------------------------------------------------------------------------


def test_a_fleet_is_spread_evenly_and_each_host_keeps_its_moment():
    hosts = [f"web{number}.example" for number in range(10_000)]
    assert [sync_offset(host, 3600) for host in hosts] == [
        sync_offset(host, 3600) for host in hosts
    ]
    minutes = [0] * 60
    for host in hosts:
        offset = sync_offset(host, 3600)
        assert 0 <= offset < 3600
        minutes[int(offset // 60)] += 1
    assert min(minutes) > 100  # 167 on average; 5 standard deviations
    assert max(minutes) < 235


def test_the_random_module_has_no_part_in_it():
    random.seed(1)
    first = sync_offset("host", 100)
    time.sleep(0)
    random.seed(2)
    assert sync_offset("host", 100) == first
