"""Every attack in TUF's list (specification, 1.5.2) against a sync over a real socket.

After each the filter in use is the one from before, and the reader is told what happened.
"""

import errno
import os
import shutil
from pathlib import Path

import pytest
from examples import pairs
from file_server import (
    FileServer,
    endless,
    flip,
    redirect,
    shorter,
    stall,
    status,
    trickle,
    truncate,
)
from publishing import Agent, Publisher, later, random_digests
from tuf.api.metadata import Metadata, MetaFile

from hashscan.errors import ExitCode, FilterError, StateError
from hashscan.known.filters.packing import pack_bytes
from hashscan.known.sync import client
from hashscan.known.sync.fetcher import DiskError
from hashscan.known.sync.layout import target_file, whole_target
from hashscan.known.sync.synced_filters import KeptPlace
from hashscan.publisher.keys import load_keys


@pytest.fixture
def refused(agent):
    """Syncs, and demands that it is refused in these words while the filter in use stays."""

    def check(words, state="refused", code=ExitCode.FILTER):
        before = agent.bytes
        report = agent.sync()
        (one,) = report.categories
        assert one.state == state, one
        assert report.exit_code == code
        assert words in one.message, one.message
        assert agent.bytes == before
        assert one.version == agent.filter().version
        assert one.digests == agent.filter().metadata.digests
        assert one.verified
        return one

    return check


@pytest.fixture
def synced(agent):
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    return agent


# -- arbitrary installation, wrong software installation --------------------------------------------


def test_arbitrary_installation_with_another_key(tmp_path, synced, publisher, server, refused):
    thief = Publisher(tmp_path / "thief").init()
    thief.add(random_digests(5))
    server.directory = thief.path
    refused("not to be trusted")


def test_arbitrary_installation_without_a_signature(synced, publisher, refused):
    publisher.add(random_digests(300))

    def nothing(signed):
        del signed

    publisher.sign("timestamp", nothing, keys=_other_keys(publisher))
    refused("not to be trusted")


def _other_keys(publisher):
    Publisher(publisher.directory / "other").init()
    return str(publisher.directory / "other" / "keys")


def test_arbitrary_installation_of_another_file(synced, publisher, server, refused):
    publisher.add(random_digests(300))
    server.fault("/targets/", flip)
    refused("is not what was signed")


def test_wrong_software_installation_of_another_target(tmp_path, agent, publisher, server, digests):
    """The mirror serves a file that was signed, but as another category."""
    publisher.add(digests[:100], category="other")
    both = Agent(tmp_path / "both", server.url, publisher.root, ("baseline", "other"))
    packed = {}
    assert both.sync().exit_code == ExitCode.NOTHING_FOUND
    for path in server.requests:
        if path.startswith("/targets/"):
            packed[path.split("/")[2]] = path
    with open(publisher.path + packed["other"], "rb") as file:
        server.replace(packed["baseline"], file.read())
    report = agent.sync()
    assert report.categories[0].state == "refused"
    with pytest.raises(FilterError, match="never fetched"):
        agent.filter()


def test_wrong_software_installation_by_a_target_of_another_name(synced, publisher, refused):
    """Signed, but its metadata says that it is something else."""
    publisher.add(random_digests(300), category="other")

    def swap(signed):
        signed.targets["baseline/filter.zst"] = signed.targets["other/filter.zst"]

    publisher.sign_targets(swap)
    refused("says that it is another target")


# -- endless data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["timestamp.json", "2.root.json", ".targets.json", "/targets/"])
def test_endless_data(name, synced, publisher, server, refused):
    publisher.add(random_digests(300))
    publisher.rotate("timestamp")
    server.fault(name, endless)
    refused("longer than it may be")


def test_a_zstd_bomb(synced, publisher, refused):
    """Signed by a publisher whose targets key was stolen: still no more than was announced."""
    bomb = pack_bytes(bytes(1 << 24))

    def arm(signed):
        target = signed.targets["baseline/filter.zst"]
        fresh = type(target).from_data(target.path, bomb, ["sha256"])
        fresh.unrecognized_fields = target.unrecognized_fields
        custom = target.unrecognized_fields["custom"]["hashscan"]["metadata"]
        custom["sha256"] = "0" * 64
        signed.targets[target.path] = fresh
        path = publisher.directory / "repository" / "targets"
        (path / target_file(fresh.path, fresh.hashes["sha256"])).write_bytes(bomb)

    publisher.sign_targets(arm)
    refused("is no zstd frame of")


# -- slow retrieval -------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [stall, trickle])
@pytest.mark.parametrize("name", ["timestamp.json", "/targets/"])
def test_slow_retrieval(fault, name, synced, publisher, server, refused):
    publisher.add(random_digests(300))
    synced.with_(timeout=0.5)
    server.fault(name, fault)
    refused("no whole answer within", "unreachable", ExitCode.SERVICE)


# -- extraneous dependencies: none exist; delegations are not followed to other categories ----------


def test_a_category_that_does_not_exist_is_said(tmp_path, publisher, server):
    one = Agent(tmp_path / "other", server.url, publisher.root, ("missing", "baseline"))
    report = one.sync()
    assert [found.state for found in report.categories] == ["refused", "updated"]
    assert "has no category missing, only baseline" in report.categories[0].message
    assert report.exit_code == ExitCode.FILTER


# -- indefinite freeze ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_indefinite_freeze(role, synced, publisher, refused):
    def expire(signed):
        signed.expires = later(seconds=-1).replace(microsecond=0)

    if role == "root":
        publisher.sign("root", expire)
    elif role == "targets":
        publisher.sign_targets(expire)
    elif role == "snapshot":
        snapshot = publisher.sign("snapshot", expire)

        def stamp(signed):
            signed.snapshot_meta.version = snapshot.version

        publisher.sign("timestamp", stamp)
    else:
        publisher.sign("timestamp", expire)
    one = refused("has expired")
    assert "freeze" in one.message
    assert "timedatectl" in one.message


def test_a_frozen_mirror_is_found_out_in_time(synced, publisher, server):
    """The same old state, served for ever, is accepted until it expires and not longer."""
    server.directory = publisher.copy("frozen")
    publisher.add(random_digests(300))
    assert synced.sync().categories[0].state == "current"


# -- rollback -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["timestamp", "all"])
def test_rollback(role, synced, publisher, server, refused):
    old = publisher.copy("old")
    publisher.add(random_digests(300))
    assert synced.sync().categories[0].state == "updated"
    if role == "all":
        server.directory = old
    else:
        server.replace("timestamp.json", (old / "metadata" / "timestamp.json").read_bytes())
    refused("not to be trusted")


@pytest.mark.parametrize("role", ["targets", "snapshot"])
def test_rollback_of_what_a_new_timestamp_names(role, synced, publisher, refused):
    publisher.add(random_digests(300))
    assert synced.sync().categories[0].state == "updated"
    if role == "targets":
        publisher.follow(2)  # a snapshot key alone must not bring back older targets
    else:

        def stamp(signed):
            signed.snapshot_meta = MetaFile(2)

        publisher.sign("timestamp", stamp)
    refused("not to be trusted")


def test_rollback_after_the_record_of_versions_was_damaged(synced, publisher, server, refused):
    """A power cut that empties TUF's own files must not open the door to an old state."""
    old = publisher.copy("old")
    publisher.add(random_digests(300))
    assert synced.sync().categories[0].state == "updated"
    damaged = 0
    for path in Path(synced.state).rglob("trust/*.json"):
        if not path.is_symlink():
            path.write_bytes(b"")
            damaged += 1
    assert damaged == 3
    server.directory = old
    refused("rollback")
    left = {path.name for path in Path(synced.state).rglob("trust/*.json")}
    assert left == {"root.json"}, "nothing of the old state is kept"
    server.directory = publisher.path
    assert synced.sync().exit_code == ExitCode.NOTHING_FOUND


# -- fast-forward -----------------------------------------------------------------------------------


def test_fast_forward_is_undone_by_new_keys(synced, publisher):
    """Stolen online keys set the versions to the end of the world; new keys bring them back."""

    def jump(signed):
        signed.version = 2**31

    snapshot = publisher.sign("snapshot", jump, version=False)

    def stamp(signed):
        signed.version = 2**31
        signed.snapshot_meta.version = snapshot.version

    honest = publisher.read("timestamp.json")
    publisher.sign("timestamp", stamp, version=False)
    assert synced.sync().exit_code == ExitCode.NOTHING_FOUND
    (publisher.directory / "repository" / "metadata" / "timestamp.json").write_bytes(honest)
    (one,) = synced.sync().categories
    assert one.state == "refused"
    for role in ("snapshot", "timestamp"):
        publisher.rotate(role)
    publisher.add(random_digests(300))
    assert synced.sync().categories[0].state == "updated", synced.sync()
    assert synced.bytes == publisher.published


# -- malicious mirrors ------------------------------------------------------------------------------


_PREVENTING = {
    "500": (status(500), "HTTP 500"),
    "404": (status(404), "HTTP 404"),
    "401": (status(401), "refuses the credentials"),
    "503": (status(503, Retry_After="120"), "wait 120 s"),
    "cut": (truncate(), "connection broke"),
    "redirect": (redirect("http://evil.example/x"), "redirects to evil.example"),
}


@pytest.mark.parametrize(
    ("name", "how"),
    pairs(["timestamp.json", ".snapshot.json", ".targets.json", "/targets/"], [*_PREVENTING]),
)
def test_a_mirror_that_prevents_updates_is_told(name, how, synced, publisher, server, refused):
    fault, words = _PREVENTING[how]
    publisher.add(random_digests(300))
    server.fault(name, fault)
    one = refused(words, "unreachable", ExitCode.SERVICE)
    assert "://127.0.0.1" in one.message
    server.heal()
    assert synced.sync().categories[0].state == "updated"
    assert synced.bytes == publisher.published


_STRIKING = {"500": status(500), "cut": truncate(), "flip": flip, "stall": stall}


@pytest.mark.parametrize(("number", "how"), pairs(range(7), [*_STRIKING]))
def test_a_fault_at_the_nth_request(number, how, synced, publisher, server):
    """Wherever it strikes, the filter in use is the old or the new one, and the next sync works."""
    before = synced.bytes
    publisher.rotate("snapshot")
    publisher.add(random_digests(300))
    synced.with_(timeout=0.3)
    server.fault_at(number, _STRIKING[how])
    report = synced.sync()
    assert synced.bytes == (publisher.published if report.categories[0].way else before)
    synced.with_(timeout=10)
    assert synced.sync().exit_code == ExitCode.NOTHING_FOUND
    assert synced.bytes == publisher.published


def test_the_wait_that_a_server_asks_for_is_handed_on(synced, server):
    server.fault("timestamp", status(429, Retry_After="77"))
    assert synced.sync().retry_after == 77


@pytest.mark.parametrize("name", ["timestamp.json", ".snapshot.json", ".targets.json"])
def test_metadata_that_is_none(name, synced, publisher, server, refused):
    publisher.add(random_digests(300))
    for content in (b"{", b"[" * 10_000, b'{"signed": 1}', b'{"signatures": []}'):
        server.heal()
        server.replace(name, content)
        refused("not to be trusted")


@pytest.mark.parametrize("how", [shorter(), shorter(0), flip])
def test_a_wrong_length_or_hash(how, synced, publisher, server, refused):
    publisher.add(random_digests(300))
    server.fault("/targets/", how)
    refused("is not what was signed")


# -- mix and match ----------------------------------------------------------------------------------


def test_mix_and_match(synced, publisher, server, refused):
    """Targets of one moment with the snapshot of another."""
    publisher.add(random_digests(300))
    old = publisher.read(publisher.newest("targets"))
    publisher.add(random_digests(300))
    server.replace(publisher.newest("targets"), old)
    refused("not to be trusted")


# -- key compromise -----------------------------------------------------------------------------------


def test_keys_below_the_threshold_sign_nothing(tmp_path):
    """One of two targets keys, together with all online keys, is not enough."""
    publisher = Publisher(tmp_path / "publisher").init(
        counts={"targets": 2}, thresholds={"targets": 2}
    )
    publisher.add(random_digests(300))
    with FileServer(publisher.path) as server:
        agent = Agent(tmp_path / "state", server.url, publisher.root)
        assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
        before = agent.bytes
        os.unlink(os.path.join(publisher.keys, "targets-2.pem"))
        targets = _sign_with_what_is_there(publisher)
        publisher.follow(targets.version)
        (one,) = agent.sync().categories
        assert one.state == "refused"
        assert agent.bytes == before


def _sign_with_what_is_there(publisher):
    metadata = Metadata.from_bytes(publisher.read(publisher.newest("targets")))
    metadata.signed.version += 1
    metadata.signatures.clear()
    for signer in load_keys([publisher.keys]).values():
        metadata.sign(signer, append=True)
    name = f"{metadata.signed.version}.targets.json"
    (Path(publisher.path) / "metadata" / name).write_bytes(metadata.to_bytes())
    return metadata.signed


def test_a_stolen_key_is_worth_nothing_after_its_rotation(synced, publisher, refused):
    shutil.copytree(publisher.keys, publisher.directory / "stolen")
    publisher.rotate("targets")
    assert synced.sync().exit_code == ExitCode.NOTHING_FOUND

    def nothing(signed):
        del signed

    targets = publisher.sign("targets", nothing, keys=str(publisher.directory / "stolen"))
    publisher.follow(targets.version)
    refused("not to be trusted")


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_keys_are_changed_under_way(role, synced, publisher):
    for _ in range(2):
        publisher.rotate(role)
        publisher.add(random_digests(300))
        assert synced.sync().categories[0].state == "updated"
        assert synced.bytes == publisher.published


# -- metadata without sense ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda custom: custom.pop("hashscan"),
        lambda custom: custom["hashscan"].pop("metadata"),
        lambda custom: custom["hashscan"]["metadata"].update(length=-1),
        lambda custom: custom["hashscan"]["metadata"].update(capacity=2**62),
        lambda custom: custom["hashscan"]["metadata"].update(error_rate="nan"),
        lambda custom: custom["hashscan"]["metadata"].update(error_rate=[]),
        lambda custom: custom["hashscan"]["metadata"].update(format=2),
        lambda custom: custom["hashscan"]["metadata"].update(canaries_present=[]),
        lambda custom: custom["hashscan"]["metadata"].update(more=1),
        lambda custom: custom["hashscan"].update(kind="program"),
        lambda custom: custom.update(hashscan=[]),
    ],
)
def test_a_target_without_sane_metadata(change, synced, publisher, refused):
    def spoil(signed):
        change(signed.targets[whole_target("baseline", "filter")].unrecognized_fields["custom"])

    publisher.sign_targets(spoil)
    refused("has no sane metadata")


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.update(digests=7),
        lambda metadata: metadata.update(capacity=metadata["capacity"] + 1),
        lambda metadata: metadata.update(canaries_present=["0" * 40]),
        lambda metadata: metadata.update(canaries_absent=metadata["canaries_present"]),
        lambda metadata: metadata.update(sha256="0" * 64),
        lambda metadata: metadata.update(length=metadata["length"] + 1),
    ],
)
def test_a_filter_that_is_not_what_its_signed_metadata_says(change, synced, publisher, refused):
    def spoil(signed):
        custom = signed.targets[whole_target("baseline", "filter")].unrecognized_fields["custom"]
        change(custom["hashscan"]["metadata"])

    publisher.sign_targets(spoil)
    refused("")


def test_a_disk_that_fails_during_a_sync_stops_it(agent, monkeypatch):
    def fails(_self):
        raise DiskError(OSError(errno.ENOSPC, "No space left on device", "/state/partial/x"))

    monkeypatch.setattr(client._Sync, "run", fails)
    with pytest.raises(StateError, match="/state/partial/x: the filters cannot be synced: No spa"):
        agent.sync()


def test_a_version_is_on_the_disk_before_it_is_in_use(agent, monkeypatch):
    """After a power cut, too, the pointer names a version that is there."""
    steps = []
    monkeypatch.setattr(
        client,
        "sync_directory",
        lambda path: steps.append((os.stat(path).st_ino, os.listdir(path))),
    )
    write = KeptPlace.write

    def switch(place, pointer):
        steps.extend(one.directory for one in pointer.categories.values())
        write(place, pointer)

    monkeypatch.setattr(KeptPlace, "write", switch)
    agent.sync()
    version = Path(agent.filter().path).parent
    synced = [(version.stat().st_ino, sorted(os.listdir(version)))]
    synced += [(one.parent.stat().st_ino, [one.name]) for one in (version, version.parent)]
    assert [(inode, sorted(names)) for inode, names in steps[:3]] == synced
    assert steps[3:] == [version.name]
