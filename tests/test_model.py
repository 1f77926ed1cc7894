"""The words that all rooms share: digests, names, counts, and hits in filters."""

import hashlib
from types import SimpleNamespace

import pytest
import xxhash

from hashscan.model import (
    EMPTY_DIGESTS,
    Digest,
    FileDigests,
    FilterHit,
    Summary,
    Tiers,
    category_name,
    filterset_of,
    head_key,
    hits,
    join,
    size_key,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" CSAM ", "csam"),
        ("child abuse / 1", "child-abuse-1"),
        ("--a__b.c--", "a__b.c"),
        ("É", "é"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("", None),
        (" /!- ", None),
    ],
)
def test_the_name_of_a_category(text, name):
    assert category_name(text) == name


def test_digests_that_were_computed():
    digests = FileDigests(md5=b"\x0a" * 16, sha256=b"\xff" * 32)
    assert digests.as_dict() == {"md5": "0a" * 16, "sha256": "ff" * 32}
    assert digests.each() == (Digest("md5", "0a" * 16), Digest("sha256", "ff" * 32))
    assert (digests.hex("md5"), digests.hex("sha1")) == ("0a" * 16, None)


def test_digests_of_empty_content():
    expected = {(name, hashlib.new(name).hexdigest()) for name in ("md5", "sha1", "sha256")}
    assert expected == EMPTY_DIGESTS


@pytest.mark.parametrize(
    ("volume", "path", "whole"),
    [
        (b"/v", b"a/b", b"/v/a/b"),
        (b"/v/", b"a", b"/v/a"),
        (b"/", b"a", b"/a"),
        (b"/", b"", b"/"),
        (b"/v", b"", b"/v"),
    ],
)
def test_a_path_below_a_volume(volume, path, whole):
    assert join(volume, path) == whole


def test_the_counts_of_a_scan_add_up():
    counts = Summary(hashed=1, unchanged=2, skipped={"fifo": 3, "loop": 4}, problems=5)
    assert counts.files == 15
    assert Summary(matches=9, allowed=2, restored=3).undecided == 4
    first, second = Summary(), Summary()
    first.skipped["fifo"] = 1
    assert second.files == 0


def filter_of(category, digests, algorithms=("md5", "sha1"), version="1", tiers=Tiers()):  # noqa: B008
    class Held(set):
        pass

    held = Held(digests)
    held.category, held.version = category, version
    held.algorithms, held.tiers = frozenset(algorithms), tiers
    return held


def test_a_filter_is_asked_for_its_own_algorithms_only():
    digests = FileDigests(md5=b"\x01" * 16, sha1=b"\x02" * 20)
    md5, sha1 = digests.each()
    both = {md5.hex, sha1.hex}
    filters = [
        filter_of("a", both),
        filter_of("b", both, ["sha1"], "2"),
        filter_of("c", both, ["sha256"]),
        filter_of("d", set()),
    ]
    assert hits(filters, digests) == (
        FilterHit(md5, "a", "1"),
        FilterHit(sha1, "a", "1"),
        FilterHit(sha1, "b", "2"),
    )
    assert hits(filters, FileDigests()) == ()


def test_another_set_of_filters_has_another_id():
    sizes, heads = SimpleNamespace(version="7"), SimpleNamespace(version="8")
    tiers = [Tiers(), Tiers(sizes), Tiers(None, sizes), Tiers(sizes, heads), Tiers(heads, sizes)]
    filters = [filter_of("b", (), version=version, tiers=one) for one in tiers for version in "12"]
    assert len({filterset_of([one]) for one in filters}) == 10
    other = filter_of("a", ())
    assert filterset_of([filters[0], other]) == filterset_of([other, filters[0]]) == "a=1 b=1"
    assert filterset_of([]) == ""
    assert [one.names for one in tiers[:3]] == [(), ("sizes",), ("heads",)]


def test_keys_of_tiers_have_sixteen_bytes():
    assert size_key(258) == b"\0" * 14 + b"\1\2"
    content = b"content"
    assert head_key(memoryview(content)) == xxhash.xxh3_128(content).digest()
