"""The allow-list: exact for lists, all categories, every kind of file, and never half of it."""

import gzip
import hashlib
import json
import os

import pytest
from dcso_writer import changed, dcso
from faulty import open_descriptors

from hashscan.errors import (
    ConfigError,
    DigestListError,
    ExitCode,
    FilterError,
    ServiceUnavailableError,
    StateError,
    UsageError,
)
from hashscan.known import allow
from hashscan.known.allow import open_allow_list
from hashscan.known.filters.writer import FilterWriter
from hashscan.known.lists.categories import EVERY, chosen
from hashscan.model import ALGORITHMS, Digest, FileDigests

GOOD = [b"good %d" % number for number in range(40)]


def digest(algorithm, content):
    return hashlib.new(algorithm, content).hexdigest()


def digests(content, *algorithms):
    return FileDigests(
        **{name: hashlib.new(name, content).digest() for name in algorithms or ALGORITHMS}
    )


@pytest.fixture
def notices():
    return []


@pytest.fixture
def opened(tmp_path, notices):
    """Writes files and opens them as an allow-list."""
    lists = []

    def opener(*files, algorithms=("md5", "sha1")):
        paths = []
        for number, content in enumerate(files):
            path = tmp_path / f"allow-{number}"
            if isinstance(content, bytes):
                path.write_bytes(content)
                path.chmod(0o600)
            paths.append(str(path) if isinstance(content, bytes) else str(content))
        lists.append(
            open_allow_list(
                paths, str(tmp_path / "filters"), algorithms=algorithms, on_notice=notices.append
            )
        )
        return lists[-1]

    yield opener
    for one in lists:
        one.close()


def vics(*numbers):
    media = [
        {"MediaID": number, "Category": number, "SHA1": digest("sha1", GOOD[number]).upper()}
        for number in numbers
    ]
    return json.dumps({"@odata.context": "x#Media", "value": media}).encode()


def plain(algorithm="sha1", contents=GOOD):
    return "\n".join(digest(algorithm, content) for content in contents).encode()


LISTS = [
    plain(),
    plain().upper(),
    b"".join(b"%s  ./x\n" % digest("sha1", content).encode() for content in GOOD),
    b"sha1,category\n" + b"".join(b"%s,nsrl\n" % digest("sha1", c).encode() for c in GOOD),
    vics(*range(10)),
]


@pytest.mark.parametrize("content", LISTS)
def test_lists_of_every_kind(opened, content, tmp_path):
    one = opened(content)
    assert one.algorithms == {"sha1"}
    assert one.paths == (f"{tmp_path}/allow-0",)
    assert all(one.find(digests(good)) == one.paths[0] for good in GOOD[:10])
    assert one.find(digests(b"bad")) is None


def test_any_of_a_files_digests_counts_and_each_file_is_named(opened, tmp_path):
    one = opened(plain("md5", GOOD[:5]), plain("sha256", GOOD[5:10]), plain("sha1", GOOD[10:15]))
    assert one.algorithms == set(ALGORITHMS)
    for number, good in enumerate(GOOD[:15]):
        assert one.find(digests(good)) == f"{tmp_path}/allow-{number // 5}"
    assert one.find(digests(GOOD[0], "sha1", "sha256")) is None
    assert one.missing(digests(GOOD[0], "sha1")) == ["md5", "sha256"]
    assert one.missing(digests(GOOD[0])) == []


def test_every_category_is_taken_and_the_wrong_one_is_told(opened, notices):
    one = opened(vics(0, 2, 3, 4, 5))
    assert all(one.find(digests(GOOD[number])) for number in (0, 2, 3, 4, 5))
    assert not any("vics" in notice for notice in notices)
    notices.clear()
    one = opened(vics(0, 1))
    assert one.find(digests(GOOD[1]))
    for _ in range(2):  # in every scan
        assert any("category vics-1" in notice and "never moved" in notice for notice in notices)
        notices.clear()
        opened(vics(0, 1))


def test_a_reader_cannot_say_every_category():
    for name in ("*", "{'*'}", "EVERY"):
        try:
            assert chosen([name]) is not EVERY
        except UsageError:
            continue
    assert chosen(frozenset({"a"})) == {"a"}


def own_filter(path, contents=GOOD, **options):
    writer = FilterWriter(capacity=1000, **options)
    writer.add(sorted(digest("sha1", content) for content in contents))
    writer.write(str(path), category="good", algorithms=["sha1"])
    return path


def test_filters_of_ours_and_dcso(opened, tmp_path, notices):
    one = opened(own_filter(tmp_path / "own"))
    assert (one.algorithms, one.find(digests(GOOD[3]))) == ({"sha1"}, str(tmp_path / "own"))
    assert one.find(digests(b"bad")) is None
    assert notices == []
    for spell in (str.upper, str.lower):
        content = dcso([spell(digest("sha1", good)) for good in GOOD], n=50_000, p=1e-4)
        for pack in (bytes, gzip.compress):
            one = opened(pack(content))
            assert one.algorithms == {"md5", "sha1"}
            assert all(one.find(digests(good)) for good in GOOD)
            assert one.find(digests(b"bad")) is None
            assert "0.0001 of all digests" in notices.pop()
    one = opened(dcso([digest("sha256", good) for good in GOOD]), algorithms=["sha256"])
    assert one.algorithms == {"sha256"}
    assert one.find(digests(GOOD[0]))
    assert not one.find(digests(GOOD[0], "sha1", "md5"))


def test_what_errs_never_is_named_before_what_may(opened, tmp_path):
    one = opened(dcso([digest("sha1", good) for good in GOOD]), plain())
    assert one.find(digests(GOOD[0])) == f"{tmp_path}/allow-1"


# Fail closed: whatever cannot be used ends the command


@pytest.mark.parametrize(
    ("content", "error", "why"),
    [
        (b"", ConfigError, "holds no digests"),
        (b"no digest\n", ConfigError, "allow-1:1: no digest"),
        (plain() + b"\nxyz\n", ConfigError, ":41"),
        (b"\xaa" * 300 + bytes(10), ConfigError, "allow-1"),
        (dcso(["a"])[:40], FilterError, "too short"),
        (dcso(["a"])[:-8], FilterError, "bytes instead of"),
        (changed(dcso(["a", "b"], n=900), count=800), FilterError, "is damaged"),
        (gzip.compress(plain()), FilterError, "gunzip"),
        (gzip.compress(dcso(["a"]))[:-3], FilterError, "cannot be read"),
    ],
    # Not by the content: gzip has the time in it, and test processes start at different seconds.
    ids=[
        "empty",
        "text",
        "second-line",
        "binary",
        "short",
        "cut",
        "count",
        "gzip-list",
        "gzip-cut",
    ],
)
def test_what_cannot_be_used(opened, content, error, why):
    with pytest.raises(error) as caught:
        opened(plain(), content)
    assert why in str(caught.value)
    assert "allow" in str(caught.value)
    assert caught.value.exit_code in {ExitCode.USAGE, ExitCode.FILTER}
    assert isinstance(caught.value, ConfigError | FilterError)


def test_what_is_missing_or_no_file(opened, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    for name in ("none", "fifo", "directory"):
        with pytest.raises(FilterError, match=name):
            opened(plain(), tmp_path / name)


def test_an_allow_list_that_cannot_be_used_is_an_error_of_the_configuration(opened):
    for error, said in (
        (DigestListError("x", []), "allow: the allow-list cannot be used, so nothing is scanned"),
        (UsageError("x"), "allow: x"),
    ):
        with pytest.raises(ConfigError) as caught, allow._as_config_error():
            raise error
        assert str(caught.value).startswith(said)
    with pytest.raises(ConfigError, match="so nothing is scanned or moved"):
        opened(b"no digest")


def test_what_was_opened_is_closed_if_another_file_cannot_be_used(opened, tmp_path):
    opened(plain())
    before = open_descriptors()
    with pytest.raises(FilterError):
        opened(plain(), tmp_path / "none")
    assert open_descriptors() == before


def test_a_filter_without_its_metadata_or_of_other_bytes(opened, tmp_path):
    path = own_filter(tmp_path / "own")
    path.with_name("own.json").unlink()
    with pytest.raises(FilterError, match=r"own\.json"):
        opened(path)
    own_filter(path)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(FilterError, match="own"):
        opened(path)


def test_links(opened, tmp_path):
    (tmp_path / "real").write_bytes(plain())
    (tmp_path / "link").symlink_to("real")
    assert opened(tmp_path / "link").find(digests(GOOD[0]))
    own_filter(tmp_path / "own")
    (tmp_path / "own-link").symlink_to("own")
    (tmp_path / "own-link.json").symlink_to("own.json")
    with pytest.raises(FilterError, match="own-link"):
        opened(tmp_path / "own-link")


def test_an_index_is_kept_made_anew_when_the_list_changes_and_checked(opened, tmp_path, notices):
    opened(plain(contents=GOOD[:20]))
    before = set(os.listdir(tmp_path / "filters"))
    opened(plain(contents=GOOD[:20]))
    assert set(os.listdir(tmp_path / "filters")) == before
    assert not opened(plain(contents=GOOD[:20])).find(digests(GOOD[30]))
    assert opened(plain()).find(digests(GOOD[30]))
    for directory in (tmp_path / "filters").iterdir():
        if directory.is_dir():
            (directory / "index.sqlite3").write_bytes(b"damaged")
    assert opened(plain()).find(digests(GOOD[30]))
    assert any("damaged and made again" in notice for notice in notices)


def test_an_index_that_cannot_be_read_is_never_taken_for_no(opened):
    one = opened(plain())
    one.close()
    with pytest.raises(ServiceUnavailableError):
        one.find(digests(b"bad"))


def test_no_place_for_the_index(opened, tmp_path):
    (tmp_path / "filters").write_bytes(b"")
    with pytest.raises(StateError):
        opened(plain())


def test_the_origin_of_a_content_is_what_its_list_says(opened, monkeypatch):
    rows = [f"{digest('md5', GOOD[n])},{digest('sha1', GOOD[n])},,wp.zip: {n}" for n in range(3)]
    table = "\n".join([",".join(allow.BUILT_COLUMNS), *rows]) + "\n"
    built = (allow.BUILT + table).encode()
    plain = digest("sha1", GOOD[5]).encode()
    found = opened(built, plain)
    asked = []
    search = allow.origin_in
    monkeypatch.setattr(allow, "_MOST_ORIGINS", 2)
    monkeypatch.setattr(
        allow, "origin_in", lambda path, one: (asked.append(one), search(path, one))[1]
    )
    said = [found.origin(digests(GOOD[number])) for number in (0, 1, 0, 2, 0)]
    assert said == ["wp.zip: 0", "wp.zip: 1", "wp.zip: 0", "wp.zip: 2", "wp.zip: 0"]
    assert len(asked) == 4, "a few are remembered"
    assert found.origin(digests(GOOD[5])) == "", "a list that 'allow build' did not make"
    assert found.origin(digests(GOOD[6])) == "", "no list has it"


def test_each_file_of_an_allow_list_is_checked_and_nothing_is_kept(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(digest("sha1", GOOD[0]) + "\n")
    bad.write_text("no digest at all\n")
    cache = str(tmp_path / "filters")
    allow.check_allow_list([str(good)], cache, algorithms=("sha1",))
    with pytest.raises(ConfigError, match="bad"):
        allow.check_allow_list([str(good), str(bad)], cache, algorithms=("sha1",))
    assert not os.path.exists(cache)


def test_a_digest_in_the_name_of_a_file_is_not_the_files(opened, tmp_path):
    one, other = digest("sha1", GOOD[0]), digest("sha1", GOOD[1])
    path = tmp_path / "built"
    path.write_text(f"{allow.BUILT}{','.join(allow.BUILT_COLUMNS)}\n,{one},,{other}\n,{other},,b")
    assert allow.origin_in(str(path), Digest("sha1", one)) == other
    assert allow.origin_in(str(path), Digest("sha1", other)) == "b"
