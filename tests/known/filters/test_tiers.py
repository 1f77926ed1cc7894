"""Tiers: made only where every digest has what they tell by, and never the cause of a miss."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from tiered import listed, tiered

from hashscan import durable
from hashscan.errors import DigestListError, FilterError, StateError, UsageError
from hashscan.known.filters.bit_file import metadata_path
from hashscan.known.filters.build import build
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.metadata import FilterMetadata, TierMetadata, dump, parse
from hashscan.known.filters.tiers import TIER_ERROR_RATE, tier_path
from hashscan.model import HEAD_LENGTH, filterset_of, head_key, size_key
from hashscan.scan.screening import Screen


def contents_of(count, seed=1):
    return [os.urandom(number * 37 % 9000 + 1) for number in range(seed, seed + count)]


def made(tmp_path, text, **options):
    source = tmp_path / "list"
    source.write_text(text)
    output = str(tmp_path / "f")
    report = build([str(source)], output, jobs=1, **options)
    return load(output), report


# What a list must have


def test_a_list_with_all_of_it_gives_both_tiers(tmp_path):
    contents = contents_of(300)
    one = load(tiered(tmp_path / "f", contents, error_rate=TIER_ERROR_RATE))
    assert one.tiers.sizes.metadata.digests == len({len(content) for content in contents})
    assert one.tiers.heads.metadata.digests == 300
    assert one.tiers_unused == ()
    for content in contents:
        assert size_key(len(content)) in one.tiers.sizes
        assert head_key(content[:HEAD_LENGTH]) in one.tiers.heads
    unknown = [os.urandom(5000) for _ in range(4000)]
    passed = sum(head_key(content[:HEAD_LENGTH]) in one.tiers.heads for content in unknown)
    assert passed < 4000 / 256 * 3
    passed = sum(size_key(size) in one.tiers.sizes for size in range(20_000, 24_000))
    assert passed < 4000 / 256 * 3


def test_one_digest_that_lacks_them_turns_tiers_off(tmp_path):
    contents = contents_of(50)
    one = load(tiered(tmp_path / "f", contents[:-1], without=contents[-1:]))
    assert one.tiers == (None, None)
    assert one.tiers_unused == ()


def test_another_list_may_give_what_one_lacks(tmp_path):
    contents = contents_of(20)
    first = listed(tmp_path / "a", contents, columns=("sha1",))
    second = listed(tmp_path / "b", contents, columns=("sha1", "size"))
    report = build([first, second], str(tmp_path / "f"), jobs=1)
    one = load(str(tmp_path / "f"))
    assert one.tiers.sizes is not None
    assert one.tiers.heads is None
    assert report.tiers.lacking == {"heads": 20}


def test_sizes_that_contradict_each_other_all_count(tmp_path):
    digest = "ab" * 20
    one, report = made(tmp_path, f"sha1,size\n{digest},100\n{digest},200\n{'cd' * 20},300\n")
    assert report.tiers.size_range == (100, 300)
    assert "1 digests have several, and each counts" in report.tiers.told()[0].text
    assert all(size_key(size) in one.tiers.sizes for size in (100, 200, 300))


@pytest.mark.parametrize("size", ["0", ""])
def test_a_size_of_nothing_is_none(tmp_path, size):
    one, report = made(tmp_path, f"sha1,size\n{'ab' * 20},{size}\n{'cd' * 20},300\n")
    assert one.tiers.sizes is None
    assert report.tiers.lacking["sizes"] == 1


def test_what_does_not_count_as_known_needs_no_size(tmp_path):
    text = f"sha1,size,category\n{'ab' * 20},100,csam\n{'cd' * 20},,non-pertinent\n"
    one, _ = made(tmp_path, text)
    assert one.tiers.sizes.metadata.digests == 1


def test_the_digest_of_empty_content_needs_none(tmp_path):
    empty = hashlib.sha1(b"").hexdigest()
    one, _ = made(tmp_path, f"sha1,size\n{empty},0\n{'cd' * 20},300\n")
    assert one.tiers.sizes is not None


@pytest.mark.parametrize(
    "header", ["size", "filesize", "Size_in_Bytes", "content-size", "length (bytes)"]
)
def test_columns_that_are_sizes_in_bytes(tmp_path, header):
    one, _ = made(tmp_path, f"sha1,{header}\n{'ab' * 20},100\n")
    assert one.tiers.sizes is not None


@pytest.mark.parametrize("header", ["length", "size_kb", "duration", "filelength"])
def test_columns_that_may_be_anything_else(tmp_path, header):
    one, _ = made(tmp_path, f"sha1,{header}\n{'ab' * 20},100\n")
    assert one.tiers.sizes is None


@pytest.mark.parametrize(
    "header",
    ["size,size_in_bytes", "FileSize,MediaSize", "size,size", "size,Physical Size",
     "Logical Size,size", "size,size kb", "size in,bytes"],
)  # fmt: skip
def test_of_several_columns_none_is_the_size(tmp_path, header):
    one, report = made(tmp_path, f"sha1,{header}\n{'ab' * 20},1,5000\n")
    assert one.tiers.sizes is None
    assert "2 columns may be the size" in report.lists[0].advice()[0]


def test_of_several_keys_of_a_first_block_none_is_taken(tmp_path):
    text = f"sha1,xxh3-4096,xxh3_128_4096\n{'ab' * 20},{'01' * 16},{'02' * 16}\n"
    one, _ = made(tmp_path, text)
    assert one.tiers.heads is None


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('"MediaSize": 5, "mediasize": 6', "a name is here twice"),
        ('"MediaSize": 5, "Size": 6', "MediaSize and Size"),
        (
            '"AlternativeHashes": [{"HashName": "XXH3-4096", "HashValue": "'
            + "01" * 16
            + '"}, {"HashName": "xxh3-4096", "HashValue": "'
            + "02" * 16
            + '"}]',
            "stands here twice",
        ),
    ],
)
def test_a_record_that_contradicts_itself_is_invalid(tmp_path, more, what):
    text = f'{{"value": [{{"MediaID": 1, "SHA1": "{"AB" * 20}", "Category": 1, {more}}}]}}'
    with pytest.raises(DigestListError, match=what):
        made(tmp_path, text)
    if "a name" not in what:  # then nobody knows which digest is meant either
        one, report = made(tmp_path, text, skip_invalid=True)
        assert "ab" * 20 in one
        assert one.tiers == (None, None)
        assert report.lists[0].bad_keys == 1


def test_how_many_lack_what_is_told(tmp_path):
    _, report = made(tmp_path, f"sha1,size\n{'ab' * 20},1\n{'cd' * 20},\n")
    (told,) = report.tiers.told()
    assert told.text == "sizes: none, for 1 of 2 digests lack them"


@pytest.mark.parametrize("size", ["abc", "-5", "12.5", '"20,000"', "1e5", str(1 << 64)])
def test_a_size_that_is_none_costs_no_digest(tmp_path, size):
    text = f"sha1,size\n{'ab' * 20},{size}\n{'cd' * 20},5\n"
    with pytest.raises(DigestListError, match="the size is no number of bytes"):
        made(tmp_path, text)
    one, report = made(tmp_path, text, skip_invalid=True)
    assert "ab" * 20 in one
    assert one.tiers.sizes is None
    assert "1 rows have a size, or a key" in report.lists[0].advice()[0]


def test_a_key_that_is_none_costs_no_digest(tmp_path):
    text = f"sha1,xxh3-4096\n{'ab' * 20},x\n{'cd' * 20},{'01' * 16}\n"
    one, report = made(tmp_path, text, skip_invalid=True)
    assert "ab" * 20 in one
    assert one.tiers.heads is None
    assert report.lists[0].bad_keys == 1


def test_vics_and_hashdeep_have_sizes(tmp_path):
    vics = (
        '{"value": [{"MediaID": 1, "MD5": "%s", "SHA1": "%s", "MediaSize": 77, "Category": 1,'
        ' "AlternativeHashes": [{"HashName": "XXH3-4096", "HashValue": "%s"}]}]}'
    )
    one, _ = made(tmp_path, vics % ("AB" * 16, "CD" * 20, "EF" * 16))
    assert size_key(77) in one.tiers.sizes
    assert bytes.fromhex("ef" * 16) in one.tiers.heads
    deep = f"%%%% HASHDEEP-1.0\n%%%% size,md5,sha1,filename\n88,{'ab' * 16},{'cd' * 20},/x,y\n"
    one, _ = made(tmp_path, deep, force=True)
    assert size_key(88) in one.tiers.sizes
    assert one.tiers.heads is None


@pytest.mark.parametrize("key", ["ab" * 15, "zz" * 16, "ab" * 20, "-"])
def test_a_key_that_is_none_is_an_invalid_line(tmp_path, key):
    text = f"sha1,xxh3-4096\n{'ab' * 20},{key}\n"
    with pytest.raises(DigestListError, match="xxh3-4096 has no 32 hexadecimal digits"):
        made(tmp_path, text)


def test_the_key_is_what_xxh128sum_prints():
    # Of the algorithm's own test vectors (xxHash 0.8, XXH3 128 bits, no seed): empty input.
    assert head_key(b"").hex() == "99aa06d3014798d86001c324468d497f"


@settings(max_examples=25, deadline=None)
@given(
    known=st.lists(st.binary(min_size=1, max_size=9000), min_size=1, max_size=20),
    tails=st.lists(st.binary(max_size=50), max_size=5),
)
def test_no_known_content_is_ever_ruled_out(tmp_path_factory, known, tails):
    one = load(tiered(tmp_path_factory.mktemp("tiers") / "f", known))
    screen = Screen([one])
    for content in known:
        assert not screen.rules_out_size(len(content))
        assert not screen.rules_out(len(content), head_key(content[:HEAD_LENGTH]))
        for tail in tails:
            # A file that begins like a known one is looked into, whatever follows.
            begins_alike = (content[:HEAD_LENGTH] + tail)[: min(len(content), HEAD_LENGTH)]
            assert not screen.rules_out(len(content), head_key(begins_alike))


# What lies beside a filter


@pytest.fixture
def pair(tmp_path):
    return tiered(tmp_path / "f", contents_of(40))


@pytest.mark.parametrize("name", ["sizes", "heads"])
@pytest.mark.parametrize("suffix", ["", ".json"])
def test_a_damaged_tier_is_left_out_and_told(pair, name, suffix):
    path = Path(tier_path(pair, name) + suffix)
    content = bytearray(path.read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        content[place] ^= 4
        path.write_bytes(content)
        one = load(pair)
        assert getattr(one.tiers, name) is None
        (told,) = one.tiers_unused
        assert name in told
        assert "more files are read" in told
        content[place] ^= 4
    path.write_bytes(content)
    assert load(pair).tiers_unused == ()


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_half_a_tier_is_none(pair, suffix):
    os.unlink(tier_path(pair, "sizes") + suffix)
    one = load(pair)
    assert one.tiers.sizes is None
    assert len(one.tiers_unused) == 1
    assert one.tiers.heads is not None


def test_the_tier_of_another_filter_is_not_used(tmp_path, pair):
    (tmp_path / "other").mkdir()
    other = tiered(tmp_path / "other" / "f", contents_of(40, seed=500))
    for suffix in ("", ".json"):
        shutil.copy(tier_path(other, "sizes") + suffix, tier_path(pair, "sizes") + suffix)
    one = load(pair)
    assert one.tiers.sizes is None
    assert "belongs to another filter" in one.tiers_unused[0]


def test_one_tier_cannot_stand_for_the_other(pair):
    for suffix in ("", ".json"):
        shutil.copy(tier_path(pair, "heads") + suffix, tier_path(pair, "sizes") + suffix)
    assert load(pair).tiers.sizes is None


@pytest.mark.parametrize("what", ["directory", "link", "fifo"])
def test_what_is_no_file_is_no_tier(pair, what, tmp_path):
    path = tier_path(pair, "sizes")
    os.rename(path, tmp_path / "away")
    if what == "directory":
        os.mkdir(path)
    elif what == "link":
        os.symlink(tmp_path / "away", path)
    else:
        os.mkfifo(path)
    assert load(pair).tiers.sizes is None


def test_a_tier_is_no_filter(pair):
    with pytest.raises(FilterError):
        load(tier_path(pair, "sizes"))


def test_metadata_of_one_kind_is_not_read_as_the_other(pair):
    for path, kind in ((pair, TierMetadata), (tier_path(pair, "sizes"), FilterMetadata)):
        with pytest.raises(FilterError):
            parse(Path(metadata_path(path)).read_bytes(), "x", kind)
    one = load(pair)
    assert parse(dump(one.tiers.sizes.metadata), "x", TierMetadata) == one.tiers.sizes.metadata


@settings(max_examples=examples(50), deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_beside_it_make_a_tier(tmp_path_factory, content):
    directory = tmp_path_factory.mktemp("fuzz")
    path = tiered(directory / "f", [b"x" * 100])
    Path(metadata_path(tier_path(path, "sizes"))).write_bytes(content)
    one = load(path)
    assert one.tiers.sizes is None
    assert len(one.tiers_unused) == 1


def test_a_filter_that_is_made_again_without_sizes_has_no_old_tier(tmp_path, pair):
    source = listed(tmp_path / "plain", contents_of(40), columns=("sha1",))
    build([source], pair, force=True, jobs=1)
    assert sorted(os.listdir(tmp_path)) == ["f", "f.csv", "f.json", "plain"]


def test_tiers_can_be_left_out(tmp_path):
    source = listed(tmp_path / "list", contents_of(10))
    report = build([source], str(tmp_path / "f"), tiers=False, jobs=1)
    assert load(str(tmp_path / "f")).tiers == (None, None)
    assert report.tiers.told() == []


def test_a_file_of_somebody_else_in_a_tiers_place_is_not_replaced(tmp_path):
    source = listed(tmp_path / "list", contents_of(10))
    (tmp_path / "f.sizes").write_text("mine")
    with pytest.raises(UsageError, match=r"f\.sizes: exists"):
        build([source], str(tmp_path / "f"), jobs=1)
    assert (tmp_path / "f.sizes").read_text() == "mine"


def test_a_build_that_cannot_take_its_place_leaves_nothing(tmp_path, monkeypatch, pair):
    source = listed(tmp_path / "plain", contents_of(3), columns=("sha1",))
    real = durable.rename

    def refuses(one, other):
        if other == pair:
            raise PermissionError(1, "Operation not permitted", other)
        real(one, other)

    monkeypatch.setattr("hashscan.known.filters.build.rename", refuses)
    with pytest.raises(StateError, match=r"/f: the filter cannot be written: Operation not"):
        build([source], pair, force=True, jobs=1)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert load(pair).metadata.digests == 40, "the one before is still there"


def test_a_kill_at_any_rename_leaves_no_tier_with_another_filter(tmp_path, pair, monkeypatch):
    """Whatever is read in between, or after a kill: tiers of the set before, or none."""
    before = _keys(load(pair))
    source = listed(tmp_path / "new", contents_of(40, seed=300))
    real = durable.rename
    calls = []

    def killed_at(number, directory):
        calls.clear()

        def dies(one, other):
            if os.path.dirname(other) == directory:
                calls.append(other)
                if len(calls) == number:
                    raise KeyboardInterrupt
            real(one, other)

        monkeypatch.setattr("hashscan.known.filters.build.rename", dies)

    for number in range(1, 8):
        place = tmp_path / f"copy{number}"
        place.mkdir()
        for name in os.listdir(tmp_path):
            if name.startswith("f") and (tmp_path / name).is_file():
                shutil.copy(tmp_path / name, place / name)
        killed_at(number, str(place))
        if number == 7:
            build([source], str(place / "f"), force=True, jobs=1)
            break
        with pytest.raises(KeyboardInterrupt):
            build([source], str(place / "f"), force=True, jobs=1)
        monkeypatch.setattr("hashscan.known.filters.build.rename", real)
        if number == 6:  # the filter is new, its metadata are not
            with pytest.raises(FilterError):
                load(str(place / "f"))
        else:
            assert _keys(load(str(place / "f"))) <= before
    assert len(calls) == 6
    assert len(_keys(load(str(place / "f")))) == 2


def _keys(one):
    return {tier.metadata.sha256 for tier in one.tiers if tier is not None}


def test_other_tiers_are_another_set_of_filters(tmp_path, pair):
    one = load(pair)
    name = filterset_of([one])
    assert one.tiers.sizes.version in name
    os.unlink(tier_path(pair, "sizes"))
    assert filterset_of([load(pair)]) != name
