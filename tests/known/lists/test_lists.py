"""Digest lists of every kind, well-formed and not."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import tracemalloc

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashscan.errors import DigestListError, ExitCode
from hashscan.known.lists.reader import Lists
from hashscan.model import ALGORITHM_BY_LENGTH, EMPTY_DIGESTS

# The same in each of the processes that share the tests: they are part of the tests' names.
_random = random.Random(2)
MD5, MD5_B = (_random.randbytes(16).hex() for _ in range(2))
SHA1, SHA1_B = (_random.randbytes(20).hex() for _ in range(2))
SHA256 = _random.randbytes(32).hex()
EMPTY = {digest.algorithm: digest.hex for digest in EMPTY_DIGESTS}


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes, name: str = "list") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def digests(path: str) -> list[tuple[str, str]]:
    return [(entry.algorithm, entry.hex) for entry in Lists([path])]


def refused(path: str) -> DigestListError:
    with pytest.raises(DigestListError) as caught:
        list(Lists([path]))
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value


ALL = [("md5", MD5), ("sha1", SHA1), ("sha256", SHA256)]


@pytest.mark.parametrize(
    "content",
    [
        f"{MD5}\n{SHA1}\n{SHA256}\n",
        f"{MD5}\n{SHA1}\n{SHA256}",  # no newline at the end
        f"\n  {MD5.upper()}\r\n# a comment\r\n\r\n{SHA1.title()}\t\r\n{SHA256.upper()}\r\n",
        f"{MD5}  a file\n{SHA1} *binary\n{SHA256}  {SHA256}\n",
        f"\\{MD5}  a\\nb\n\\{SHA1} *c\\\\d\n{SHA256}\ttabbed\n",
        f"MD5 (a) = {MD5}\n\\SHA1 (b) = c) = {SHA1}\nSHA256 (x (1).jpg) = {SHA256}\n",
        f"MD5(a)= {MD5}\nSHA1(b)= {SHA1.upper()}\nSHA2-256(c)= {SHA256}\n",
        f"{MD5}\nSHA1 (b) = {SHA1}\n%%%% HASHDEEP-1.0\n%%%% size,sha256,filename\n3,{SHA256},x,y\n",
        f"md5\n{MD5}\n",
        f"\ufeff{MD5}\n\ufeff{SHA1}\n{SHA256}\n",
        f"\ufeff{MD5}\r\n{SHA1}\r\n{SHA256}\r\n".encode("utf-16"),
        f"\ufeff{MD5}\n{SHA1}\n{SHA256}\n".encode("utf-16-be"),
        f"{MD5}\n{SHA1}\n{SHA256}\n".encode("utf-16-le"),
        f"{MD5}  ".encode() + b"\xff\xfe name\n" + f"{SHA1}\n{SHA256}\n".encode(),
    ],
)
def test_lines(written, content):
    expected = ALL if content != f"md5\n{MD5}\n" else ALL[:1]
    assert digests(written(content)) == expected


def test_what_the_real_tools_print(written, tmp_path):
    import subprocess

    names = ["a b", "new\nline", "back\\slash", "*star"]
    contents = [os.urandom(9) for _ in names]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    for tool, algorithm in (("md5sum", "md5"), ("sha1sum", "sha1"), ("sha256sum", "sha256")):
        for option in ("--text", "--binary", "--tag"):
            printed = subprocess.run(
                [tool, option, *names], cwd=tmp_path, capture_output=True, check=True
            ).stdout
            expected = [
                (algorithm, hashlib.new(algorithm, content).hexdigest()) for content in contents
            ]
            assert digests(written(printed)) == expected, option


def test_hashdeep(written):
    path = written(
        "%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /x\n## $ hashdeep\n##\n"
        f"12,{MD5},{SHA256},/a,b,c\n0,{MD5_B},{SHA256},/zero\n"
        f"%%%% size,sha1,filename\n7,{SHA1},/x\n"
    )
    source = Lists([path])
    found = [(e.algorithm, e.hex, e.size, e.line) for e in source]
    assert found == [
        ("md5", MD5, 12, 6),
        ("sha256", SHA256, 12, 6),
        ("md5", MD5_B, 0, 7),
        ("sha256", SHA256, 0, 7),
        ("sha1", SHA1, 7, 9),
    ]
    assert source.reports[0].kind == "hashdeep"
    assert (source.reports[0].empty, source.reports[0].zero_size) == (0, 2)


def test_hashdeep_with_other_digests_only_is_refused(written):
    path = written("%%%% HASHDEEP-1.0\n%%%% size,tiger,filename\n1,abc,x\n")
    assert ":2: this hashdeep header names neither" in str(refused(path))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(written, delimiter):
    rows = [
        ["ID", "SHA-1", "Category", "MD5 Hash", "File Size", '"File, Name"'],
        ["1", SHA1.upper(), "Baseline", MD5, "5", '"a;\tb, ""c""\nd"'],
        ["2", "", "Cat 2 / b", MD5_B.upper(), "", "x"],
        ["3", SHA1_B, "", "", "9", "y"],
        ["4", "", "", "", "", "only a PhotoDNA"],
    ]
    path = written("\n".join(delimiter.join(row) for row in rows))
    source = Lists([path], only_categories=["baseline", "cat 2 b"])
    assert [tuple(entry)[:5] for entry in source] == [
        ("sha1", SHA1, "baseline", 5, 2),
        ("md5", MD5, "baseline", 5, 2),
        ("md5", MD5_B, "cat-2-b", None, 4),
        ("sha1", SHA1_B, None, 9, 5),
    ]
    assert source.reports[0].kind == "csv"
    assert source.reports[0].without_digest == 1


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (f"{MD5}\nnonsense\n", 2, "no digest"),
        (f"{MD5}\n{SHA1[:-1]}\n", 2, "39 hexadecimal digits are no md5"),
        (f"{MD5}\n{SHA256}{SHA256}  a\n", 2, "128 hexadecimal digits"),
        (f"{MD5}\nMD5 (a) = {SHA1}\n", 2, "no digest"),
        (f"{MD5}\n{SHA1}\0\n", None, "is binary"),
        (f"{MD5}\n{SHA1},{MD5}\n", 2, "columns without a header"),
        (f"{MD5}\n{'a' * 70000}\n", 2, "the line is longer"),
        (f"md5,sha1\n{MD5},{MD5_B}\n", 2, "sha1 has 32 hexadecimal digits instead of 40"),
        (f"md5,size\n{MD5},-1\n", 2, "the size is no number"),
        (f"md5,size\n{MD5},1e3\n", 2, "the size is no number"),
        (f"md5,size\n{MD5},{'9' * 5000}\n", 2, "the size is no number"),
        (f"md5,category\n{MD5},{'x' * 65}\n", 2, "the category is no name"),
        (f"name,md5\na,b,{MD5}\n", 2, "3 columns, but the header names 2"),
        (f"name,md5\n{MD5}\n", 2, "1 columns, but the header names 2"),
        (f'name,md5\n"a,{MD5}\nb,{MD5_B}\n', 2, "the quotes of this row do not close"),
        (f'name,md5\n"a"b,{MD5}\n', 2, "the quotes of this row do not close"),
        (f"md5,MD5 hash\n{MD5},{MD5_B}\n", 1, "the header names the column md5 twice"),
        (f"%%%% size,md5,filename\n5,{MD5}\n", 2, "neither 3 columns of hashdeep nor a digest"),
        (f"{MD5}\n{{{SHA1}}}\n", 2, "no digest"),
    ],
)
def test_an_invalid_line_is_told_with_its_number_and_without_its_content(
    written, content, line, what
):
    path = written(content)
    message = str(refused(path))
    assert (f"{path}:{line}: " if line else f"{path}: ") + what in message
    for secret in (MD5, MD5_B, SHA1, SHA256):
        assert secret[:12] not in message


def test_everything_wrong_is_told_at_once(written, tmp_path):
    good = written(MD5, "good")
    first = written(f"x\n{MD5}\ny\n", "first")
    second = written(f"md5\n{SHA1}\n", "second")
    error_of = Lists([first, good, str(tmp_path / "missing"), second, str(tmp_path)])
    with pytest.raises(DigestListError) as caught:
        list(error_of)
    assert [finding.where for finding in caught.value.findings] == [
        f"{first}:1",
        f"{first}:3",
        str(tmp_path / "missing"),
        f"{second}:2",
        str(tmp_path),
    ]


def test_many_errors_are_counted_and_few_are_kept(written):
    source = Lists([written(b"zz\n" * 100_000)])
    with pytest.raises(DigestListError) as caught:
        list(source)
    assert len(source.reports[0].findings) == 20
    assert len(caught.value.findings) == 21
    assert "100000 errors" in str(caught.value)
    assert "and 99980 more" in str(caught.value)


def test_skip_invalid_counts(written):
    path = written(f"{MD5}\nx\n{'b' * 70000}\n{SHA1}\n")
    source = Lists([path], skip_invalid=True)
    assert [entry.hex for entry in source] == [MD5, SHA1]
    assert source.reports[0].invalid == 2


def test_skip_invalid_counts_every_line_that_a_stray_quote_swallows(written):
    rows = "".join(f"n,{os.urandom(16).hex()}\n" for _ in range(5000))
    source = Lists([written(f'name,md5\nx,{MD5}\n"open,{MD5_B}\n{rows}')], skip_invalid=True)
    taken = len(list(source))
    assert source.reports[0].invalid + taken == 5002
    assert taken > 1000  # the module ends the field; the rest is read


@pytest.mark.parametrize("upper", [False, True])
def test_digests_of_empty_content_are_left_out_and_counted(written, upper):
    empty = [value.upper() if upper else value for value in EMPTY.values()]
    source = Lists([written("\n".join([*empty, MD5]))])
    assert [entry.hex for entry in source] == [MD5]
    assert source.reports[0].empty == 3
    assert source.reports[0].told() == "3 digests of empty content"


@pytest.mark.parametrize("content", ["", "\n\n# nothing\n", EMPTY["md5"], "md5,name\n,a\n", "[]"])
def test_a_list_without_digests_is_an_error(written, content):
    assert "holds no digests" in str(refused(written(content)))


@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (str(fifo), str(tmp_path), "/dev/zero"):
        assert "is no regular file" in str(refused(path))
    assert "cannot be opened: No such file" in str(refused(str(tmp_path / "none")))
    assert "cannot be opened" in str(refused("a\0b"))


def test_names_in_messages_are_escaped(tmp_path):
    path = tmp_path / "a\nb"
    path.write_text("x\n")
    assert "a\\nb:1: no digest" in str(refused(str(path)))


def test_long_lists_are_read_in_flat_memory(written):
    path = written("".join(f"{os.urandom(20).hex()}  name\n" for _ in range(30_000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in Lists([path])) == 30_000
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_list_that_grows_while_it_is_read_comes_to_an_end(written):
    path = written(f"{SHA1}\n" * 5000)

    def grow(_count: int) -> None:
        with open(path, "a") as file:
            file.write(f"{SHA1}\n" * 5000)

    with pytest.raises(DigestListError, match="changed while it was read"):
        list(Lists([path], skip_invalid=True, on_bytes=grow))


PIECES = st.sampled_from(
    [
        MD5.encode(),
        SHA1.upper().encode(),
        b"\n",
        b"\r\n",
        b",",
        b'"',
        b"md5,size,category\n",
        b"%%%% size,md5,filename\n",
        b"SHA1 (a) = ",
        b'{"value":[{"Media":[',
        b'{"MD5":"',
        b'"}',
        b"]}]}",
        b"\\",
        b"#",
        b"\xff\xfe",
        b"\0",
        b"[[",
        b"1e999",
    ]
)


@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=30).map(b"".join)), st.booleans()
)
def test_any_bytes_give_entries_or_the_one_error(written, content, skip):
    entries = []
    try:
        entries += Lists([written(content)], skip_invalid=skip)
    except DigestListError:
        return
    assert entries
    for entry in entries:
        assert ALGORITHM_BY_LENGTH[len(entry.hex)] == entry.algorithm
        assert entry.hex == bytes.fromhex(entry.hex).hex()
        assert entry.line >= 1


def test_a_list_that_cannot_be_read_to_its_end_is_none(tmp_path, monkeypatch):
    path = tmp_path / "list"
    path.write_text(f"{'ab' * 20}\n" * 50_000)
    readv, calls = os.readv, []

    def fails_later(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return readv(*arguments)

    monkeypatch.setattr(os, "readv", fails_later)
    with pytest.raises(DigestListError) as error:
        list(Lists([str(path)]))
    (finding,) = error.value.findings
    assert finding.where == str(path)
    assert finding.what == "cannot be read to its end: Input/output error"
