"""hashscan.known.filters: files that cannot be read, do not fit, or are of another size."""

import errno
import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from dcso_writer import dcso
from faulty import break_os, open_descriptors, raising
from pydantic import ValidationError

from hashscan.errors import FilterError, StateError, UsageError
from hashscan.known.filters import (
    bit_file,
    build,
    file_bytes,
    metadata,
    open_filter,
    packing,
    patch,
    writer,
)
from hashscan.known.filters import dcso as dcso_module
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.writer import FilterWriter


def make(path, digests=("ab" * 20,), *, capacity=400):
    writer = FilterWriter(capacity=capacity)
    writer.add(digests)
    return writer.write(str(path), category="baseline", algorithms=["sha1"])


def thrown(error):
    def throw(*_a, **_k):
        raise error

    return throw


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error"),
        (ValueError("it became shorter"), "cannot be read: it became shorter"),
        (MemoryError(), "do not fit into the memory"),
    ],
)
def test_a_filter_that_cannot_be_taken_into_memory_is_refused(tmp_path, monkeypatch, error, words):
    path = str(tmp_path / "f.filter")
    make(path)
    monkeypatch.setattr(bit_file, "content_of", thrown(error))
    before = open_descriptors()
    with pytest.raises(FilterError, match=words) as caught:
        load(path)
    assert path in str(caught.value)
    assert open_descriptors() == before


def test_metadata_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "f.filter")
    make(path)
    break_os(monkeypatch, bit_file, read=raising(errno.EIO))
    with pytest.raises(FilterError, match="cannot be read: Input/output error"):
        load(path)


@pytest.mark.parametrize(
    ("field", "value", "fine"),
    [
        ("created", "2026-01-02T03:04:05Z", True),
        ("created", "2026-01-02T03:04:05+00:00", True),
        ("created", "2026-01-02T03:04:05+01:00", False),
        ("created", "2026-01-02T03:04:05", False),
        ("algorithms", ["md5", "sha1", "sha256"], True),
        ("algorithms", ["sha1", "md5"], False),
        ("algorithms", ["sha1", "sha1"], False),
        ("algorithms", [], False),
    ],
)
def test_metadata_is_in_utc_and_in_order(tmp_path, field, value, fine):
    found = make(tmp_path / "f.filter").model_dump()
    if fine:
        assert metadata.FilterMetadata.model_validate({**found, field: value})
    else:
        with pytest.raises(ValidationError):
            metadata.FilterMetadata.model_validate({**found, field: value})


def test_the_kind_of_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"md5\n")
    assert open_filter.kind_of_filter(str(tmp_path / "f")) == "other"
    break_os(monkeypatch, open_filter, pread=raising(errno.EIO))
    with pytest.raises(FilterError, match="cannot be read: Input/output error; see the path"):
        open_filter.kind_of_filter(str(tmp_path / "f"))


def test_the_content_of_a_file_that_changes_while_it_is_read(tmp_path):
    (tmp_path / "f").write_bytes(content := os.urandom(10_000))
    with open(tmp_path / "f", "rb", buffering=0) as file:
        assert bytes(file_bytes.content_of(file.fileno(), os.stat(tmp_path / "f"))) == content
        for size, what in ((10_001, "it became shorter"), (0, "it is empty")):
            file.seek(0)
            with pytest.raises(ValueError, match=what):
                file_bytes.content_of(file.fileno(), SimpleNamespace(st_size=size))


def test_more_than_was_announced_is_never_written(monkeypatch):
    """zstd checks the length of a frame itself; this is the second lock."""
    packed = packing.pack_bytes(b"x" * 5000)
    assert packing.unpack_bytes(packed, 5000) == b"x" * 5000
    for length in (4999, 5001):
        with pytest.raises(FilterError, match=f"is no zstd frame of {length} bytes"):
            packing.unpack_bytes(packed, length)
    parameters = SimpleNamespace(content_size=4999, dict_id=0, window_size=1)
    monkeypatch.setattr(packing.zstandard, "get_frame_parameters", lambda _head: parameters)
    out = io.BytesIO()
    with pytest.raises(FilterError, match="unpacks to more than 4999 bytes"):
        packing._unpack(io.BytesIO(packed), out, 4999)
    assert out.getvalue() == b""
    parameters.content_size = 5001
    with pytest.raises(FilterError, match="is cut off"):
        packing._unpack(io.BytesIO(packed), io.BytesIO(), 5001)
    for parameters.window_size, parameters.dict_id in ((packing._WINDOW + 1, 0), (1, 5)):
        with pytest.raises(FilterError):
            packing._unpack(io.BytesIO(packed), io.BytesIO(), 5001)
    assert zstandard.ZstdError


def test_patches_are_for_filters_of_one_size(tmp_path):
    digests = [f"{number:040x}" for number in range(50)]
    for name, held, capacity in (
        ("a", digests[:20], 400), ("b", digests[10:], 400),
        ("c", digests[:20], 4000), ("d", digests[10:], 4000),
    ):  # fmt: skip
        make(tmp_path / name, held, capacity=capacity)
    small = patch.diff(str(tmp_path / "a"), str(tmp_path / "b"))
    large = patch.diff(str(tmp_path / "c"), str(tmp_path / "d"))
    with pytest.raises(FilterError, match="different sizes cannot be joined"):
        patch.compose(small, large)
    found = load(str(tmp_path / "c")).metadata
    with pytest.raises(FilterError, match="is for a filter of another size"):
        patch.apply(str(tmp_path / "c"), small, found, str(tmp_path / "out"))
    with pytest.raises(FilterError, match="is for a filter of another length"):
        patch.apply(str(tmp_path / "a"), small, found, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_is_recognised_by_its_inode(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    status = os.lstat(tmp_path / "a")
    assert build._is_there(str(tmp_path / "a"), status) is True
    assert build._is_there(str(tmp_path / "b"), status) is False
    assert build._is_there(str(tmp_path / "none"), status) is False


@pytest.mark.parametrize("number", [None, errno.EEXIST, errno.ENOSPC])
def test_files_that_cannot_all_get_their_names_get_none(tmp_path, monkeypatch, number):
    pairs, made = [], {}
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.new").write_text(name)
        pairs.append((str(tmp_path / f"{name}.new"), str(tmp_path / name)))
        made[pairs[-1][1]] = os.lstat(pairs[-1][0])
    if number is not None:
        fails = raising(number, build.rename_new, on=lambda _old, new: new.endswith("three"))
        monkeypatch.setattr(build, "rename_new", fails)
        with pytest.raises(UsageError if number == errno.EEXIST else OSError):
            build._take_new_place(pairs, made)
        assert sorted(os.listdir(tmp_path)) == ["three.new"]
        return
    build._take_new_place(pairs, made)
    assert sorted(os.listdir(tmp_path)) == ["one", "three", "two"]


def test_an_output_that_cannot_be_asked_for(tmp_path):
    with pytest.raises(UsageError, match="cannot be written: File name too long"):
        build.check_output(str(tmp_path / ("x" * 300)), force=False)


def test_a_filter_that_cannot_get_its_name_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "f.filter"
    monkeypatch.setattr(writer, "rename", raising(errno.ENOSPC))
    with pytest.raises(StateError) as caught:
        make(str(path))
    assert str(caught.value).startswith(
        f"{path}: the filter cannot be written: No space left on device; make room"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), None])
def test_the_message_names_the_output_and_not_the_place_beside_it(tmp_path, error):
    output = str(tmp_path / "f.filter")
    with pytest.raises(StateError) as caught, build._beside(output) as path:
        assert os.path.dirname(path) != str(tmp_path)
        raise error or StateError(f"{path}: no room")
    assert output in str(caught.value)
    assert path not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_dcso_filter_that_does_not_fit_into_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "f.bloom"
    path.write_bytes(dcso(["1"]))
    monkeypatch.setattr(dcso_module, "content_of", thrown(MemoryError()))
    before = open_descriptors()
    with pytest.raises(FilterError, match="does not fit into the memory"):
        dcso_module.load_dcso(str(path), category="c", algorithms=["sha1"], max_age=None)
    assert open_descriptors() == before


def test_two_builds_of_one_output_do_not_remove_each_others_work(tmp_path):
    output = str(tmp_path / "f.filter")
    with build._beside(output) as one:
        Path(one).touch()
        with build._beside(output) as two:
            assert os.path.dirname(one) != os.path.dirname(two)
            assert os.path.exists(one)
    assert os.listdir(tmp_path) == []
