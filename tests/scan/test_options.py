"""The options of a scan, and the roots of its volumes."""

import os
from dataclasses import FrozenInstanceError

import pytest

from hashscan.errors import UsageError
from hashscan.fs.volume import Volume
from hashscan.scan.options import ScanOptions, identity_of_root
from hashscan.text import shown


def test_a_volume_that_cannot_be_opened_is_named_with_the_reason(tmp_path):
    (tmp_path / "f").touch()
    for name, why in (("none\n", "No such file"), ("f", "Not a directory")):
        with pytest.raises(UsageError) as error:
            identity_of_root(os.fsencode(tmp_path / name))
        assert f"the volume {shown(os.fsencode(tmp_path / name))} cannot be opened: {why}" in str(
            error.value
        )
    assert identity_of_root(os.fsencode(tmp_path)).inode == tmp_path.stat().st_ino


def test_workers_get_all_options_by_a_fork_and_change_none():
    options = ScanOptions(
        volumes=(Volume(b"/v"),),
        jobs=1,
        filters=(),
        filterset="1",
        algorithms=frozenset({"sha1"}),
        service="s",
        remote=False,
    )
    with pytest.raises(FrozenInstanceError):
        options.full = True
    assert options.follow_mounts(b"/v")() == []
    assert (options.own, options.others, options.identities) == (frozenset(), (), {})


def test_each_scan_has_turns_of_its_own():
    given = {"jobs": 1, "filters": (), "filterset": "", "algorithms": frozenset()}
    first, second = (ScanOptions((), service="s", remote=True, **given) for _ in range(2))
    assert first.turns is not second.turns


def test_a_link_in_the_place_of_a_root_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(UsageError, match="cannot be opened"):
        identity_of_root(os.fsencode(tmp_path / "link"))
