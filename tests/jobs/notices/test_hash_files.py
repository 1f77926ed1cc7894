"""hashscan.jobs.notices.hash_files: paths that lead to a file, to a directory, or to nothing."""

import errno
import os
from types import SimpleNamespace

import pytest
from isolating import in_mount_namespace, mount, needs_root

from hashscan.config.settings import Settings
from hashscan.jobs.notices import hash_files as files_module
from hashscan.jobs.notices.hash_files import (
    NamedFilePresence,
    NamedSpot,
    NoticeFiles,
)
from hashscan.jobs.notices.locate_files import LocatedFiles
from hashscan.jobs.volume_presence import Seen
from hashscan.notices.notice import ItemState


@pytest.fixture
def real(tmp_path):
    (tmp_path / "v").mkdir()
    root = os.fsencode(tmp_path / "v")
    settings = Settings.of(state=str(tmp_path / "s"), volumes=[{"path": str(tmp_path / "v")}])
    answers = {root: Seen(root, None)}
    one = NoticeFiles(
        settings,
        was_mounted=lambda _root: False,
        probe=lambda paths: [answers[os.fsencode(path)] for path in paths],
    )
    one.root, one.answers = root, answers
    return one


@pytest.mark.parametrize("path", [b"", b"/", b"/../x", b"/./x", b"/a/../../x"])
def test_a_path_that_is_none_of_a_file(real, path):
    assert real.spot(real.root + path) is None


def test_a_file_whose_place_cannot_be_checked_is_not_called_removed(real, monkeypatch):
    spot = NamedSpot(real.root, b"a")
    assert real.peek(spot).presence is NamedFilePresence.AWAY

    def fails(number):
        def stat(*_given, **_named):
            raise OSError(number, os.strerror(number))

        return stat

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, "stat", fails(errno.EIO))
        found = real.peek(spot)
        assert found.presence is NamedFilePresence.UNKNOWN
        assert found.why == f"{os.fsdecode(spot.full)}: Input/output error"
        patch.setattr(files_module.os, "stat", fails(errno.ENOTDIR))
        assert real.peek(spot).presence is NamedFilePresence.AWAY
    assert real.peek(spot, "elsewhere").presence is NamedFilePresence.UNKNOWN


def test_only_the_first_files_of_a_directory_are_listed(real, tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / "v" / f"{number}").touch()
    (tmp_path / "v" / "below").mkdir()
    (tmp_path / "v" / "below" / "x").touch()
    monkeypatch.setattr(files_module, "MOST_LISTED", 6)
    (tmp_path / "v" / "sub").mkdir()
    for number in range(7):
        (tmp_path / "v" / "sub" / f"{number}").touch()
    assert real.files_in(NamedSpot(real.root, b"below")) == [NamedSpot(real.root, b"below/x")]
    assert len(real.files_in(NamedSpot(real.root, b"sub"))) == 6


@pytest.mark.root
@needs_root
def test_a_mount_below_the_root_of_a_volume_is_like_a_directory(real, tmp_path):
    below = tmp_path / "v" / "below"
    below.mkdir()

    def run():
        mount("tmpfs", below, "tmpfs")
        (below / "sub").mkdir()
        (below / "sub" / "x").touch()
        assert real.files_in(NamedSpot(real.root, b"below")) == []
        assert real.files_in(NamedSpot(real.root, b"below/sub")) == [
            NamedSpot(real.root, b"below/sub/x")
        ]
        (below / ".hashscan").mkdir(0o700)
        (below / ".hashscan" / "y").touch()
        assert (
            "belongs to hashscan itself"
            in real.hash(NamedSpot(real.root, b"below/.hashscan/y")).message
        )

    in_mount_namespace(run)


def test_each_volume_is_checked_once_in_a_round():
    probed = []

    def probe(paths):
        probed.append(paths)
        answers = {
            "/a": Seen(b"/a", None, mounted=True), "/b": Seen(b"/really/b", "gone"),
            "/c": Seen(b"/c", None),
        }  # fmt: skip
        return [answers[path] for path in paths]

    settings = Settings.of(state="/state", volumes=[{"path": "/a"}, {"path": "/b"}])
    files = NoticeFiles(settings, was_mounted=lambda root: root in {b"/a", b"/c"}, probe=probe)
    assert files.volumes == (b"/a", b"/really/b")
    for _ in range(2):
        assert files.unreachable(b"/a") == ""
        assert files.unreachable(b"/really/b") == "/really/b: gone"
        assert files.unreachable(b"/c") == "/c: its file system is not mounted"
    assert probed == [["/a", "/b"], ["/c"]]
    assert files.spot(b"/b/x") == (b"/really/b", b"x")
    assert files.spot(b"/a/x/") == (b"/a", b"x")
    assert files.spot(b"/other/x") is None
    assert files.spot(b"/other/x", b"/other/") == (b"/other/", b"x")


@pytest.mark.parametrize(
    ("named", "record", "found", "state", "words"),
    [
        ([], None, None, ItemState.NOT_HERE, "no-file: why"),
        ([1], None, None, ItemState.GONE, "it was at /v/named before"),
        ([1], None, 1, ItemState.GONE, "the last scan found a file at /v/maybe, which is not"),
        ([1], 1, 1, ItemState.GONE, "quarantined before, then as id7"),
    ],
)
def test_an_item_without_a_file_is_gone_if_a_file_was_here(named, record, found, state, words):
    maybe, other = NamedSpot(b"/v", b"maybe"), NamedSpot(b"/v", b"named")
    places = object.__new__(LocatedFiles)
    places._store = SimpleNamespace(removed_before=lambda _item: None, files=lambda _item: named)
    peeked = SimpleNamespace(presence=NamedFilePresence.UNKNOWN)
    places._files = SimpleNamespace(spot_of=lambda _file: other, peek=lambda _spot: peeked)
    moved = SimpleNamespace(acted="then", id="id7") if record else None
    places._acts = SimpleNamespace(
        moved=lambda full, _notice: (full == b"/v/named" and moved) or None
    )
    places._finder = SimpleNamespace(at=lambda _root, path: found if path == b"maybe" else None)
    item = SimpleNamespace(number=1, notice="n", parsed=SimpleNamespace(digests=()))
    wanted = SimpleNamespace(maybe=[maybe], kind="", why="why")
    gone, why = places._gone(item, wanted)
    assert gone is state
    assert why.startswith(words)
    peeked.presence = NamedFilePresence.THERE
    gone, _ = places._gone(item, wanted)
    assert gone is (ItemState.GONE if named else ItemState.NOT_HERE)
