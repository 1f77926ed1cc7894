"""Lists whose lines hold more than one digest: every digest is taken, or the list is refused."""

from __future__ import annotations

import os
import random
import subprocess

import pytest
from examples import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashscan.errors import DigestListError
from hashscan.known.lists.reader import Lists

_random = random.Random(5)
MD5, MD5_B = (_random.randbytes(16).hex() for _ in range(2))
SHA1, SHA1_B, SHA1_C = (_random.randbytes(20).hex() for _ in range(3))
SHA256 = _random.randbytes(32).hex()


@pytest.fixture
def read(tmp_path):
    """The digests of a list with this content, and its report."""

    def read(content: str | bytes, **options):
        path = tmp_path / "list"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
        )
        source = Lists([str(path)], **options)
        return [entry.hex for entry in source], source.reports[0]

    return read


THREE = [SHA1, SHA1_B, SHA1_C]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\r\r\n", "\n\r"])
def test_every_line_end(read, end, encoding):
    for text in (
        end.join(f"{one}  name {n}" for n, one in enumerate(THREE)) + end,
        end.join(THREE),
        end.join([f"# a comment with {MD5}", *THREE]),
        end.join(["%%%% HASHDEEP-1.0", "%%%% size,sha1,filename", *(f"5,{d},n" for d in THREE)]),
        end.join(["sha1,name", *(f"{d},n" for d in THREE)]),
        end.join(["[", *(f'"{d}",' for d in THREE[:2]), f'"{SHA1_C}"]']),
    ):
        assert read(text.encode(encoding))[0] == THREE


def test_mixed_line_ends(read):
    assert read(f"{SHA1}  a\r{SHA1_B}  b\n{SHA1_C}  c\r\n{MD5}\r")[0] == [*THREE, MD5]


def test_the_number_of_a_line_counts_bare_carriage_returns(read):
    with pytest.raises(DigestListError, match=r"list:3: no digest"):
        read(f"{SHA1}  a\r{SHA1_B}\rx\r")


@pytest.mark.parametrize(
    "line",
    [
        f"{SHA1} {MD5}",
        f"{SHA1}  {MD5}",
        f"{SHA1}\t{MD5}",
        f"{SHA1}   {MD5}   {SHA256}",
        f"{SHA1}\t/srv/a.jpg\t{MD5}",
        f"{SHA1}  a  {MD5}",
        f"{SHA1}, {MD5}",
        f"{SHA1} , {MD5}",
        f"{SHA1};{MD5}",
        f"{SHA1} | {MD5}",
        f"{SHA1} {MD5}/{SHA256}",
        f"{SHA1} {MD5}-{SHA256}",
        f"{SHA1} {MD5}.{SHA256}",
        f"{SHA1} 0x{MD5}",
        f"{SHA1} md5:{MD5}",
        f'"{SHA1}" "{MD5}"',
        f"'{SHA1}', '{MD5}'",
        f"{SHA1}  a\v{SHA1_B}  b",
        f"{SHA1}  a\f{SHA1_B}  b",
        f"{SHA1}  a\x1e{SHA1_B}  b",
        f"{SHA1}  a\x85{SHA1_B}  b",
        f"{SHA1}  a\u2028{SHA1_B}  b",
        f"{SHA1}  a\u2029{SHA1_B}  b",
        f"{SHA1}  a\ufeff{SHA1_B}  b",
        f"{SHA1}  a\u200b{SHA1_B}  b",
        f"{SHA1} *a\v{SHA1_B} *b",
        f"{SHA1} *{MD5}\v{SHA1_B} *b",
        f"{SHA1}\u2028{SHA1_B}",
        f"{SHA1}\u00a0{SHA1_B}",
        f"SHA1 (a) = {SHA1} SHA1 (b) = {SHA1_B}",
        f"SHA1 (a) = {SHA1}\vSHA1 (b) = {SHA1_B}",
        f"SHA1(a)= {SHA1}\u2028SHA1(b)= {SHA1_B}",
        f"# made today\v{SHA1}\v{SHA1_B}",
        f"# made today\u2028{SHA1}\u2028{SHA1_B}",
        f"# made today\udc85{SHA1}",
        f"%%%% HASHDEEP-1.0\v%%%% size,sha1,filename\v5,{SHA1},x",
    ],
)
def test_what_would_be_lost_is_an_error_with_its_line(read, line):
    for content in (f"{SHA256}\n{line}\n{SHA1_C}  c\n", f"\n{line}\n"):
        with pytest.raises(DigestListError, match=r"list:2: ") as caught:
            read(content)
        assert SHA1[:12] not in str(caught.value)
    taken, report = read(f"{SHA256}\n{line}\n{SHA1_C}  c\n", skip_invalid=True)
    assert (taken, report.invalid) == ([SHA256, SHA1_C], 1)


@pytest.mark.parametrize(
    ("row", "header"),
    [
        (f"5,{MD5},{SHA1},/a", "%%%% size,md5,filename"),
        (f"5,{MD5},/a\v6,{MD5_B},/b", "%%%% size,md5,filename"),
    ],
)
def test_a_row_of_hashdeep_with_more_than_its_header_says(read, row, header):
    with pytest.raises(DigestListError, match=r"list:3: more than one digest"):
        read(f"%%%% HASHDEEP-1.0\n{header}\n{row}\n")


@pytest.mark.parametrize(
    "name",
    [
        f"./{MD5}",
        f"{MD5}.jpg",
        f"store/{MD5[:2]}/{MD5}",
        f"{MD5}/a.jpg",
        f"img_{MD5}.jpg",
        f"a-{MD5}-b",
        f"x{MD5}",
        SHA1,  # the file's own digest
        "a, b; c",
        "\u2028",
        "a\tb",
    ],
)
def test_a_name_may_hold_a_digest(read, name):
    for line in (
        f"{SHA1}  {name}",
        f"{SHA1} *{name}",
        f"SHA1 ({name}) = {SHA1}",
        f"SHA1({name})= {SHA1}",
    ):
        assert read(f"{line}\n{SHA1_B}\n")[0] == [SHA1, SHA1_B]


def test_files_that_are_named_by_a_digest(read, tmp_path):
    """The tools mark a name beyond doubt with ``--tag`` and ``--binary``, and not otherwise."""
    (tmp_path / MD5).write_bytes(b"abc")
    (digest,) = read("a9993e364706816aba3e25717850c26c9cd0d89d")[0]
    for option, fine in (("--tag", True), ("--binary", True), ("--text", False)):
        printed = subprocess.run(
            ["sha1sum", option, MD5], cwd=tmp_path, capture_output=True, check=True
        ).stdout
        if fine:
            assert read(printed)[0] == [digest]
        else:
            with pytest.raises(DigestListError, match="sha1sum --tag"):
                read(printed)
    assert read(f"%%%% size,sha1,filename\n3,{digest},{MD5}\n")[0] == [digest]


def test_nul_ends(read):
    """``sha1sum --zero``, also beyond the part of a list that decides whether it is text."""
    filler = "".join(f"{os.urandom(20).hex()}  name\n" for _ in range(2000))
    for content in (f"{SHA1}  a\0{SHA1_B}  b\0", f"{filler}{SHA1}  a\0{SHA1_B}  b\0\n"):
        with pytest.raises(DigestListError):
            read(content)


def test_two_encodings_in_one_list(read):
    """A shell for Windows makes such a list when it appends to another program's list."""
    filler = "".join(f"{os.urandom(20).hex()}  name\n" for _ in range(2000))
    after = f"{SHA1}  a\r\n".encode("utf-16")
    for before in (f"{SHA1_B}  b\n", filler + f"{SHA1_B}  b\n", filler + f"{SHA1_B}  b"):
        with pytest.raises(DigestListError):
            read(before.encode() + after)
        with pytest.raises(DigestListError):
            read(before.encode("utf-16") + f"{SHA1}  a\r\n".encode())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_names_most_columns(read, delimiter):
    assert read(f"md5{delimiter}file\n{MD5}{delimiter}a.jpg\n")[0] == [MD5]


def test_a_digest_under_another_name_in_json(read):
    assert read(f'{{"FileHash": "{SHA1}", "MD5Hash": "{MD5}"}}')[0] == [SHA1, MD5]
    with pytest.raises(DigestListError, match="record 1: 'md5_old' may be a digest"):
        read(f'{{"SHA1": "{SHA1}", "MD5_old": "{MD5}"}}')
    with pytest.raises(DigestListError, match="record 1: two md5 that differ"):
        read(f'{{"MD5": "{MD5}", "Hash": "{MD5_B}"}}')


DIGESTS = st.sampled_from([MD5, SHA1, SHA256, MD5_B.upper(), SHA1_B])
BETWEEN = st.sampled_from(
    [*"\n\r\t \v\f\0,;|:=\"'\x1c\x1e\x85\u2028\u2029\ufeff\u200b", "\r\n", "  ", "  a ", "  a\r"]
)


@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example([(SHA1, "  a\r"), (SHA1_B, "  b\r")], "utf-8")
@given(
    st.lists(st.tuples(DIGESTS, BETWEEN), min_size=1, max_size=5),
    st.sampled_from(["utf-8", "utf-16", "utf-16-le"]),
)
def test_all_digests_or_an_error(read, parts, encoding):
    text = "".join(digest + between for digest, between in parts)
    try:
        taken, _ = read(text.encode(encoding))
    except DigestListError:
        return
    assert set(taken) == {digest.lower() for digest, _ in parts}
