"""Syncing: what is in use, what is kept, and what a kill or a full disk leaves of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dying import Dying
from file_server import flip, truncate
from publishing import Agent, fetched_targets, random_digests, states

from hashscan.errors import ExitCode, FilterError, LockedError, StateError
from hashscan.known.sync.synced_filters import KeptPlace
from hashscan.state import Lock

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


def test_a_category_of_any_letters(tmp_path, publisher, server, digests):
    publisher.add(digests, category="größe.x_1-ж")
    one = Agent(tmp_path / "other", server.url, publisher.root, ("größe.x_1-ж",))
    assert states(one.sync()) == [("updated", "whole")]
    publisher.add(digests[1:], category="größe.x_1-ж")
    assert states(one.sync()) == [("updated", "patch")]


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
