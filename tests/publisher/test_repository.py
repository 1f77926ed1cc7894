"""Errors of the disk of a publisher and of an agent: each names its place and the way out."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, raising

from hashscan.errors import FilterError, LockedError, StateError, UsageError
from hashscan.known.filters.filter_file import load
from hashscan.known.sync import apply, client
from hashscan.known.sync.fetcher import DiskError
from hashscan.publisher import publish, targets, versions
from hashscan.publisher.repository import explained, open_repository


@pytest.mark.parametrize("path", [None, "/repository/metadata"])
def test_an_error_of_the_disk_names_its_place_and_what_stays(path):
    with pytest.raises(StateError) as caught, explained("/repository"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    assert str(caught.value).startswith(
        f"{path or '/repository'}: the repository cannot be written: No space left on device; "
        "agents see what was published before"
    )


def test_other_errors_are_as_they_were():
    with pytest.raises(LockedError, match="held"), explained("/repository"):
        raise LockedError("held")


def test_a_directory_without_all_metadata_is_no_repository(publisher):
    pin = publisher.read("1.root.json")
    assert open_repository(publisher.path, pin).timestamp.signed.version >= 1
    os.unlink(os.path.join(publisher.path, "metadata", "timestamp.json"))
    with pytest.raises(UsageError) as caught:
        open_repository(publisher.path, pin)
    assert str(caught.value).startswith(
        f"{publisher.path}/metadata/timestamp.json: No such file or directory; is "
        f"{publisher.path} a repository?"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [("file", "is no directory; name a new one"), ("x" * 300, "File name too long; name another")],
)
def test_a_repository_that_cannot_be_made(tmp_path, name, why):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        publish.init(str(tmp_path / name), str(tmp_path / "keys"))
    assert str(caught.value).startswith(f"{tmp_path / name}: {why}")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_a_disk_that_fails_during_a_sync_stops_it(agent, monkeypatch):
    def fails(_self):
        raise DiskError(OSError(errno.ENOSPC, "No space left on device", "/state/partial/x"))

    monkeypatch.setattr(client._Sync, "run", fails)
    with pytest.raises(StateError, match="/state/partial/x: the filters cannot be synced: No spa"):
        agent.sync()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_in_use_is_linked_or_copied(agent, tmp_path, monkeypatch, links):
    agent.sync()
    base = agent.filter()
    if not links:
        break_os(monkeypatch, apply, link=raising(errno.EPERM))
    wanted = SimpleNamespace(custom=SimpleNamespace(metadata=base.metadata))
    path = tmp_path / "again.filter"
    maker = object.__new__(apply.Maker)
    assert maker.make("baseline", None, wanted, base, str(path)) is None
    assert load(str(path)).metadata == base.metadata
    assert os.path.samefile(path, base.path) is links


def test_a_published_file_that_cannot_be_unpacked_is_damaged(publisher, tmp_path, monkeypatch):
    def fails(*_):
        raise FilterError("cannot be unpacked")

    monkeypatch.setattr(targets.packing, "unpack", fails)
    repository = open_repository(publisher.path, publisher.read("1.root.json"))
    with pytest.raises(FilterError) as caught:
        targets.unpacked(repository, "baseline", "filter", str(tmp_path / "new"))
    assert "is not the file that was published (cannot be unpacked)" in str(caught.value)


def test_a_published_filter_that_cannot_be_used_is_damaged(publisher, tmp_path, monkeypatch):
    def fails(_path):
        raise FilterError("odd bits")

    monkeypatch.setattr(versions, "load", fails)
    repository = open_repository(publisher.path, publisher.read("1.root.json"))
    with pytest.raises(FilterError) as caught:
        versions._Current.open(repository, "baseline", str(tmp_path))
    assert "is not the file that was published (odd bits)" in str(caught.value)
    assert versions._Current.open(repository, "none", str(tmp_path)) is None
