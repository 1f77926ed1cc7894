"""Many names of one inode, a store that others change too, and a kill before it was told."""

import os
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import pytest
from isolating import all_records, confirmed, in_memory, recovered

from hashscan.fs.private import QUARANTINE_MARK, is_quarantine
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.manage import purge, same_inode, verify
from hashscan.quarantine.records import new_id
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def counted(monkeypatch):
    """Counts the calls that look at files; returns a function that says how many since."""
    count = 0

    def counting(call):
        def called(*args, **kwargs):
            nonlocal count
            count += 1
            return call(*args, **kwargs)

        return called

    for name in ("stat", "open", "listdir", "scandir"):
        monkeypatch.setattr(os, name, counting(getattr(os, name)))

    def since():
        nonlocal count
        before, count = count, 0
        return before

    return since


def linked(volume, names, content=b"known content"):
    (volume / names[0]).write_bytes(content)
    for name in names[1:]:
        os.link(volume / names[0], volume / name)
    return {name: confirmed(volume, name) for name in names}


def test_each_of_many_names_costs_the_same(counted):
    with in_memory() as directory:
        volume = directory / "volume"
        volume.mkdir()
        names = [str(number) for number in range(120)]
        matches = linked(volume, names)
        quarantine = Quarantine.open(os.fsencode(directory / "store"))
        costs = []
        for left, name in reversed(list(enumerate(names))):
            counted()
            acted = quarantine.act(matches[name])
            costs.append(counted())
            assert (acted.action, acted.remaining_links) == ("quarantined", left)
        assert costs[-1] <= costs[5], costs
        # ... and each name that is gone, once the records were read
        counted()
        costs = []
        for name in names[:20]:
            gone = replace(matches[name].candidate, path=b"gone-" + name.encode())
            assert quarantine.act(replace(matches[name], candidate=gone)).problem == "vanished"
            costs.append(counted())
        assert max(costs[1:]) <= 20 < costs[0]
        quarantine.close()


def test_restores_of_many_names_do_not_read_all_records_each_time(volume, memory, counted):
    if os.stat(volume).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    names = [str(number) for number in range(30)]
    matches = linked(volume, names)
    quarantine = Quarantine.open(os.fsencode(memory / "store"))
    for number in range(100):
        (volume / "x").write_bytes(b"other content %d" % number)
        assert quarantine.act(confirmed(volume, "x")).action == "quarantined"
    ids = [quarantine.act(matches[name]).quarantine_id for name in names]
    quarantine.close()
    with recovered(memory / "store") as store, store.lock():
        costs = []
        for one in ids:
            counted()
            restore(store, one)
            costs.append(counted())
    assert costs[-1] <= costs[3] < 100 < costs[0], costs
    assert {os.stat(volume / name).st_ino for name in names} == {os.stat(volume / "0").st_ino}


def test_what_another_process_did_meanwhile_counts(volume, tmp_path):
    matches = linked(volume, ["a", "b", "c", "d"])
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    ids = [quarantine.act(matches[name]).quarantine_id for name in ("a", "b")]
    with Store.open(os.fsencode(tmp_path / "store")) as other, other.lock():
        restore(other, ids[0])
    assert quarantine.act(matches["c"]).remaining_links == 2  # a and d
    with Store.open(os.fsencode(tmp_path / "store")) as other, other.lock():
        purge(other, ids[1])
    # b is no name any more: c and d in the store, a outside
    assert quarantine.act(matches["d"]).remaining_links == 1
    quarantine.close()


def test_the_index_is_right_after_any_history(volume, tmp_path):
    """As kept by the writes, and as read afresh."""
    matches = linked(volume, ["a", "b", "c"])
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    store = quarantine._store
    identity = matches["a"].candidate.identity
    store.index.contents(identity)
    store.index.at(b"")

    def right():
        with Store.open(os.fsencode(tmp_path / "store")) as fresh:
            assert store.index.contents(identity) == fresh.index.contents(identity)
            assert sorted(store.index.names(identity)) == sorted(fresh.index.names(identity))
            for match in matches.values():
                path = match.candidate.full_path
                assert store.index.at(path) == fresh.index.at(path)
            return len(fresh.index.contents(identity)), len(fresh.index.names(identity))

    ids = {}
    for number, (name, match) in enumerate(matches.items(), 1):
        ids[name] = quarantine.act(match).quarantine_id
        assert right() == (number, number)
    (volume / "a").mkdir()
    with store.lock():
        with pytest.raises(Exception, match="another file has the name"):
            restore(store, ids["a"])
        assert right() == (3, 3)
        restore(store, ids["b"])
        assert right() == (2, 3)
        purge(store, ids["c"])
        assert right() == (1, 3)
    (volume / "c").write_bytes(b"another")
    assert quarantine.act(matches["c"]).action == "reported"
    assert right() == (1, 3)
    quarantine.close()


def test_a_full_disk_cannot_make_the_index_old(volume, tmp_path, monkeypatch):
    """Another process holds the lock and finds no space to say so."""
    matches = linked(volume, ["a", "b", "c"])
    quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
    first = quarantine.act(matches["a"]).quarantine_id
    quarantine.act(matches["b"])
    real = os.pwrite
    with Store.open(os.fsencode(tmp_path / "store")) as other:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with other.lock():
            restore(other, first)
        monkeypatch.setattr(os, "pwrite", real)
    assert quarantine.act(matches["c"]).remaining_links == 1
    quarantine.close()


def test_the_other_names_of_an_inode_are_found(volume, quarantine, store_path):
    matches = linked(volume, ["a", "b", "c"])
    (volume / "x").write_bytes(b"known content")
    ids = [quarantine.act(matches[name]).quarantine_id for name in ("a", "b")]
    other = quarantine.act(confirmed(volume, "x")).quarantine_id
    with recovered(store_path) as store:
        found = {one.id: one for one in all_records(store)}
        assert [one.id for one in same_inode(store, found[ids[0]])] == [ids[1]]
        assert [one.id for one in same_inode(store, found[ids[1]])] == [ids[0]]
        assert same_inode(store, found[other]) == []
        # the same numbers, given to a new file: it never had another name
        alone = replace(found[other], id=new_id(), identity=found[ids[0]].identity)
        alone = replace(alone, metadata=replace(found[ids[0]].metadata, links=1), links=1)
        store.create(alone)
        assert [one.id for one in same_inode(store, found[ids[0]])] == [ids[1]]
        assert same_inode(store, alone) == []
        store.discard(alone.id)
        # as it was at the moment of each move, and stays so
        assert [found[one].remaining_links for one in ids] == [2, 1]


def killed_before_it_was_told(volume, store_path, name="f", content=b"known content"):
    """A match that was moved, and whose candidate the next run still has in its queue."""
    (volume / name).write_bytes(content)
    match = replace(confirmed(volume, name), detected="2026-01-02T03:04:05.678Z")
    quarantine = Quarantine.open(os.fsencode(store_path))
    acted = quarantine.act(match)
    quarantine.close()
    return match, acted.quarantine_id


@pytest.mark.parametrize("meanwhile", ["nothing", "directory removed", "name taken"])
def test_what_was_moved_before_a_kill_is_told_as_moved(volume, store_path, meanwhile):
    (volume / "d").mkdir()
    match, record_id = killed_before_it_was_told(volume, store_path, "d/f")
    if meanwhile == "directory removed":
        (volume / "d").rmdir()
    elif meanwhile == "name taken":
        (volume / "d" / "f").write_bytes(b"other content")
    quarantine = Quarantine.open(os.fsencode(store_path))
    acted = quarantine.act(match)
    assert (acted.action, acted.quarantine_id, acted.problem) == ("quarantined", record_id, None)
    assert "before the last run was killed" in acted.message
    assert len(all_records(quarantine._store)) == 1
    quarantine.close()


def test_a_match_that_was_moved_in_the_instant_in_which_it_was_found_is_reported_as_moved(
    volume, store_path
):
    match, record_id = killed_before_it_was_told(volume, store_path)
    with closing(Quarantine.open(os.fsencode(store_path))) as quarantine:
        acted = quarantine._store.load(record_id).acted
        again = quarantine.act(replace(match, detected=acted))
    assert (again.action, again.quarantine_id) == ("quarantined", record_id)


@pytest.mark.parametrize("why", ["content", "path", "inode", "later", "restored", "removed"])
def test_another_file_that_vanished_was_not_moved(volume, store_path, why):
    match, record_id = killed_before_it_was_told(volume, store_path)
    candidate = match.candidate
    if why == "content":
        sha1 = bytes(20)
        candidate = replace(candidate, digests=candidate.digests._replace(sha1=sha1))
    elif why == "path":
        candidate = replace(candidate, path=b"g")
    elif why == "inode":
        identity = candidate.identity._replace(inode=candidate.identity.inode + 1)
        candidate = replace(candidate, identity=identity)
    elif why == "later":
        match = replace(match, detected="2999-01-01T00:00:00.000Z")
    elif why == "restored":
        with recovered(store_path) as store:
            (volume / "else").mkdir()
            restore(store, record_id, to=os.fsencode(volume / "else"))
    else:
        os.unlink(store_path / record_id / "content")
    quarantine = Quarantine.open(os.fsencode(store_path))
    acted = quarantine.act(replace(match, candidate=candidate))
    assert (acted.action, acted.problem) == ("reported", "vanished"), acted
    quarantine.close()


def test_a_store_is_marked_for_the_scans_of_other_agents(tmp_path):
    path = tmp_path / "store"
    for _ in range(2):
        with Store.open(os.fsencode(path)) as store:
            assert is_quarantine(store.fd)
            assert verify(store).findings == []
        # one that an older version made
        (path / os.fsdecode(QUARANTINE_MARK)).unlink()
    with Store.open(os.fsencode(path), create=False) as store:
        assert is_quarantine(store.fd)


def test_consecutive_locks_of_one_store_keep_its_index(tmp_path):
    with Store.open(os.fsencode(tmp_path / "store")) as store:
        holders = []
        for _ in range(3):
            with store.lock():
                holders.append((tmp_path / "store" / "lock").read_bytes())
        assert all(one == other for one, other in pairwise(holders))
        assert int(holders[0].split()[0]) == os.getpid()
