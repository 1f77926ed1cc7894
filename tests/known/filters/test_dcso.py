"""DCSO filters: what the field's writers make is read, and everything else is refused."""

import gzip
import hashlib
import io
import os
import random
import struct
import time
import zlib

import pytest
from bitarray import bitarray
from dcso_writer import changed, dcso, places, powers_of_two
from examples import examples
from faulty import open_descriptors
from filter_faults import thrown
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashscan.errors import ExitCode, FilterError
from hashscan.known.filters import dcso as module
from hashscan.known.filters.dcso import DcsoFile, Header, load_dcso
from hashscan.known.filters.open_filter import kind_of_filter, open_filter
from hashscan.known.filters.writer import FilterWriter
from hashscan.model import EMPTY_DIGESTS, FileDigests, Filter, Tiers, hits

DIGESTS = [hashlib.sha1(b"file %d" % n).hexdigest() for n in range(2000)]
UPPER = [one.upper() for one in DIGESTS]
WHOLE = dcso(UPPER, n=5000)
OTHERS = [hashlib.sha1(b"other %d" % n).hexdigest() for n in range(2000)]


def load(path, content=None, *, category="baseline", algorithms=("sha1",), **options):
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    return load_dcso(str(path), category=category, algorithms=algorithms, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "known.bloom"


def refused(path, content=None, **options):
    with pytest.raises(FilterError) as caught:
        load(path, content, **options)
    message = str(caught.value)
    assert caught.value.exit_code == ExitCode.FILTER
    assert str(path) in message
    assert "; " in message
    return message


def test_the_places_are_those_of_the_go_implementation(path):
    # bloom_test.go, TestFingerprinting
    expected = [20311, 36825, 412501, 835777, 658914, 853361, 307361]
    assert list(places(b"bar", 7, 958505)) == expected
    header = Header(1, 100000, 0.01, 7, 958505, 1)
    bits = bitarray(958505 + 23, endian="little")
    bits.setall(0)
    for place in expected:
        bits[place] = 1
    made = module.DcsoMetadata(1, 100000, 0.01, 0.0, 0, "", False)
    one = DcsoFile("", header, bits, made, category="a", algorithms=("md5",))
    assert "bar" in one
    for place in expected:
        bits[place] = 0
        assert "bar" not in one
        bits[place] = 1


@pytest.mark.parametrize(
    ("spell", "sha256"),
    [
        (str.upper, "231abfdf3b5cfe6a521c47d045af644c483d0a0a4c6183698326b0ad969e7cde"),
        (str.lower, "fc6a9673e8822985979403066bf1ce0e44b8f511c3c13b6f6fded826f5daf2c8"),
    ],
)
def test_the_files_of_poppy_and_flor_are_read(path, spell, sha256):
    # What poppy-py 0.2.1 and flor 1.1.3 write for these digests, byte for byte.
    content = dcso(map(spell, DIGESTS), n=5000)
    assert hashlib.sha256(content).hexdigest() == sha256
    one = load(path, content)
    assert all(digest in one for digest in DIGESTS)
    assert sum(digest in one for digest in OTHERS) <= 4
    assert one.metadata.sha256 == sha256
    assert (one.metadata.digests, one.metadata.capacity) == (2000, 5000)
    assert one.metadata.error_rate == 1e-4


def test_what_is_not_said_comes_from_the_caller(path):
    one: Filter = load(path, WHOLE, category="csam", algorithms=("sha256", "md5"))
    assert (one.category, one.algorithms) == ("csam", {"md5", "sha256"})
    # Another choice of algorithms is another filter: all files are judged again.
    assert one.version == f"{hashlib.sha256(WHOLE).hexdigest()[:16]}+md5+sha256"
    assert (one.tiers, one.tiers_unused) == (Tiers(), ())
    os.utime(path, (1e9, 1e9))
    assert load(path).metadata.created == "2001-09-09T01:46:40.000Z"


def test_only_digests_of_its_algorithms_are_asked_for(path):
    one = load(path, WHOLE)
    raw = bytes.fromhex(DIGESTS[0])
    (hit,) = hits([one], FileDigests(sha1=raw))
    assert (hit.digest.hex, hit.filter_version) == (DIGESTS[0], one.version)
    assert hits([load(path, algorithms=("md5",))], FileDigests(sha1=raw)) == ()


def test_empty_content_never_hits(path):
    empty = [digest.hex for digest in EMPTY_DIGESTS]
    one = load(path, dcso([*UPPER, *empty, *map(str.upper, empty)]))
    assert not any(digest in one for digest in empty)
    assert DIGESTS[0] in one


def packed(content):
    """Gzip in several members, as pigz and cat make it."""
    return gzip.compress(content[:1000]) + gzip.compress(content[1000:])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, packed])
def test_gzipped_and_with_free_data(path, pack):
    for data in (b"", b'{"version": 1}', os.urandom(100_000)):
        one = load(path, pack(WHOLE + data))
        assert all(digest in one for digest in DIGESTS[:50])
        assert one.metadata.gzipped == (pack is not bytes)
        assert one.metadata.length == path.stat().st_size
        assert one.metadata.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(1, 400),
    st.floats(0.05, 1),
    st.floats(1e-9, 0.1),
    st.randoms(use_true_random=False),
)
@example(1, 1.0, 1e-12, random.Random(1))
@example(3, 0.003, 1e-6, random.Random(1))
def test_no_honest_filter_is_refused(tmp_path, count, share, p, rng):
    keys = {rng.randbytes(20).hex() for _ in range(count)}
    n = max(count, int(count / share))
    content = dcso(sorted(keys), n=n, p=p)
    m = struct.unpack_from("<Q", content, 32)[0]
    if module._is_near_power_of_two(m):
        assert "power of two" in refused(tmp_path / "f", content)
    else:
        one = load(tmp_path / "f", content)
        assert all(key in one for key in keys)


# What is refused


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"flags": 0}, "no DCSO filter"),
        ({"flags": 3}, "no DCSO filter"),
        ({"flags": 0x101}, "no DCSO filter"),
        ({"flags": 0x0102}, "poppy's format 2"),
        ({"n": 0}, "impossible"),
        ({"n": 2**63}, "impossible"),
        ({"n": 4999}, "contradicts itself"),
        ({"p": 0.0}, "impossible"),
        ({"p": float("nan")}, "impossible"),
        ({"p": float("inf")}, "impossible"),
        ({"p": -1e-4}, "impossible"),
        ({"p": 0.9}, "impossible"),
        ({"p": 1e-5}, "contradicts itself"),
        ({"k": 0}, "contradicts itself"),
        ({"k": 15}, "contradicts itself"),
        ({"k": 2**64 - 1}, "contradicts itself"),
        ({"m": 0}, "contradicts itself"),
        ({"m": 1}, "contradicts itself"),
        ({"m": 2**64 - 1}, "more than the 4.0 GiB"),
        ({"m": 2**35}, "more than the 4.0 GiB"),
        ({"m": 2**34}, "contradicts itself"),
        ({"count": 0}, "it is empty, overfull or damaged"),
        ({"count": 5001}, "it is empty, overfull or damaged"),
        ({"count": 2**64 - 1}, "it is empty, overfull or damaged"),
        ({"count": 1500}, "of its bits are set, where its 1500 digests would set"),
        ({"count": 2500}, "of its bits are set, where its 2500 digests would set"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_lies(path, fields, why, pack):
    message = refused(path, pack(changed(WHOLE, **fields)))
    if pack is gzip.compress and fields.get("flags") in {0, 3}:
        why = "no DCSO filter in its gzip (a digest list must be unpacked: gunzip)"
    assert why in message


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_wrong_lengths(path, pack):
    assert "too short" in refused(path, pack(WHOLE[:47])) or pack is gzip.compress
    assert "instead of" in refused(path, pack(WHOLE[:-1]))
    assert "bytes" in refused(path, pack(WHOLE + bytes(module.DATA_LIMIT + 1)))
    refused(path, pack(b""))


def test_an_empty_file(path):
    assert "too short" in refused(path, b"")


@pytest.mark.parametrize("exponent", [18, 20])
def test_a_power_of_two_hits_too_often_and_is_refused(path, exponent):
    content = dcso(UPPER[:10], **powers_of_two(exponent))
    assert "issue 19" in refused(path, content)


def test_which_numbers_of_bits_are_nearly_a_power_of_two():
    near = (2**20, 3 << 20, 255 << 8, 257 << 8, 2**20 + 1, 958505, 28755, 8, 9, 24)
    assert [module._is_near_power_of_two(m) for m in near] == [
        True, True, True, False, False, False, False, True, False, False,
    ]  # fmt: skip


def large():
    """A filter of many pages, quickly: its bits by chance, as many as its digests would set."""
    n, p = 200_000, 0.01
    m = module.formula_bits(n, p)
    k = module.formula_hashes(n, m)
    rng = random.Random(3)
    bits = bytearray(8 * -(-m // 64))
    count = 150_000
    for _ in range(count * k):
        place = rng.randrange(m)
        bits[place >> 3] |= 1 << (place & 7)
    return module._HEADER.pack(1, n, p, k, m, count) + bytes(bits)


@pytest.fixture(scope="module")
def many_pages():
    return large()


def test_the_fill_is_the_share_of_all_bits(path, many_pages):
    one = load(path, many_pages)
    bits = int.from_bytes(many_pages[module._HEADER.size :], "little")
    length = module._HEADER.unpack(many_pages[: module._HEADER.size])[4]
    assert one.fill == bits.bit_count() / length


def test_a_page_that_is_lost_is_seen(path, many_pages):
    assert load(path, many_pages).fill > 0.3
    rng = random.Random(4)
    for patch in (bytes(4096), b"\xff" * 4096, b"<html>" * 700, bytes(8192)):
        content = bytearray(many_pages)
        start = rng.randrange(48, len(content) - 9000)
        content[start : start + len(patch)] = patch
        message = refused(path, bytes(content))
        assert "is damaged near byte" in message
        assert abs(int(message.split("near byte ")[1].split(":")[0]) - start) <= 4096 * 2


def test_all_zeros_and_all_ones(path):
    zeros = WHOLE[:48] + bytes(len(WHOLE) - 48)
    assert "0.00% of its bits" in refused(path, zeros)
    assert "bits set behind" in refused(path, WHOLE[:48] + b"\xff" * (len(WHOLE) - 48))


def test_bits_behind_the_last_one(path):
    assert "behind its last one" in refused(path, WHOLE[:-1] + b"\x80")


def test_hits_that_nobody_put_in(path, monkeypatch):
    """Bits whose number is right, but which are hit too often: a flaw that is not foreseen."""
    monkeypatch.setattr(module, "_is_near_power_of_two", lambda _: False)
    geometry = powers_of_two(18)
    rng = random.Random(5)
    content = dcso([rng.randbytes(20).hex() for _ in range(geometry["n"])], **geometry)
    assert "that nobody put in hit" in refused(path, content)


# Gzip


def test_gzip_that_is_cut_or_damaged(path):
    whole = gzip.compress(WHOLE)
    for length in (2, 10, 11, 100, len(whole) // 2, len(whole) - 9, len(whole) - 4, len(whole) - 1):
        refused(path, whole[:length])
    damaged = bytearray(whole)
    damaged[-6] ^= 1  # the checksum
    assert "CRC" in refused(path, bytes(damaged))
    assert "cannot be read" in refused(path, whole + b"no gzip")


def bomb(header, size):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as file:
        file.write(header)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return out.getvalue()


def test_a_gzip_bomb_is_not_unpacked(path, monkeypatch):
    asked = 0
    real = gzip.GzipFile.read

    def read(self, size=-1):
        nonlocal asked
        data = real(self, size)
        asked += len(data)
        return data

    content = bomb(WHOLE[:48], 200 << 20)
    monkeypatch.setattr(gzip.GzipFile, "read", read)
    assert "expands to more than the 12032 bytes" in refused(path, content)
    assert asked < 20 << 20
    asked = 0
    n = 10**9
    m = module.formula_bits(n, 1e-4)
    header = module._HEADER.pack(1, n, 1e-4, module.formula_hashes(n, m), m, 1)
    assert "would expand to more than" in refused(path, bomb(header, 1 << 20))
    assert asked < 1 << 20


# Who may change it, where it lies, how old it is


def test_a_file_that_is_overwritten_changes_nothing(path):
    path.write_bytes(WHOLE)
    for mode in (0o600, 0o660, 0o606):
        path.chmod(mode)
        one = load(path)
        with path.open("r+b") as file:
            file.seek(48)
            file.write(bytes(len(WHOLE) - 48))
        assert DIGESTS[0] in one
        with path.open("r+b") as file:
            file.write(WHOLE)


def test_age(path):
    path.write_bytes(WHOLE)
    now = time.time()
    os.utime(path, (now - 10 * 86400,) * 2)
    assert "modified 10.0 days ago, 7.0 are allowed" in refused(path, max_age=7 * 86400.0)
    assert load(path, max_age=11 * 86400.0).metadata.created_seconds == pytest.approx(
        now - 10 * 86400
    )
    os.utime(path, (now + 3 * 86400,) * 2)
    assert "clock" in refused(path)
    os.utime(path, (0, 0), follow_symlinks=True)
    assert load(path).metadata.created == "1970-01-01T00:00:00.000Z"


def test_no_link_no_fifo_no_directory_nothing(path, tmp_path):
    path.write_bytes(WHOLE)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert "symbolic links" in refused(link)
    os.mkfifo(tmp_path / "fifo")
    assert "no regular file" in refused(tmp_path / "fifo")
    assert "no regular file" in refused(tmp_path)
    assert "No such file" in refused(tmp_path / "none")
    with pytest.raises(FilterError, match="null"):
        load_dcso("a\0b", category="a", algorithms=["md5"])


def test_a_child_process_asks_the_same_memory(path):
    one = load(path, gzip.compress(WHOLE))
    pid = os.fork()
    if not pid:
        os._exit(0 if DIGESTS[5] in one and OTHERS[5] not in one else 1)
    assert os.waitpid(pid, 0)[1] == 0


# Recognised by its first bytes


def test_each_kind_is_recognised(tmp_path):
    def write(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    writer = FilterWriter(capacity=100)
    writer.add(DIGESTS[:50])
    own = str(tmp_path / "own")
    writer.write(own, category="baseline", algorithms=["sha1"])
    assert kind_of_filter(own) == "hashscan"
    assert kind_of_filter(write("dcso", WHOLE)) == "dcso"
    assert kind_of_filter(write("gz", gzip.compress(WHOLE))) == "dcso"
    assert kind_of_filter(write("poppy2", struct.pack("<QQd", 2 | 1 << 8, 1000, 0.01))) == "dcso"
    lists = [b"", b"a", "\n".join(DIGESTS).encode(), DIGESTS[0].encode("utf-16")]
    lists += [DIGESTS[0].encode("utf-16-le"), b'{"value": []}', b"%%%% HASHDEEP-1.0\n"]
    for content in lists:
        assert kind_of_filter(write("list", content)) == "other"
    assert isinstance(open_filter(str(tmp_path / "dcso")), DcsoFile)
    found = open_filter(str(tmp_path / "gz"), category="x", algorithms=["sha1"])
    assert (found.category, found.algorithms) == ("x", {"sha1"})
    assert DIGESTS[0] in open_filter(own)
    for name in ("list", "poppy2", "none"):
        with pytest.raises(FilterError, match=str(tmp_path / name)):
            open_filter(str(tmp_path / name))


# Anything


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_anything_is_read_or_refused(tmp_path, data):
    """No header, no bytes lead to anything but a filter that holds its digests, or a refusal."""
    content = bytearray(WHOLE)
    kind = data.draw(st.sampled_from(["words", "bytes", "cut", "random"]))
    if kind == "words":
        word = st.integers(0, 2**64 - 1) | st.integers(0, 70_000)
        for index in data.draw(st.sets(st.integers(0, 5), min_size=1)):
            struct.pack_into("<Q", content, 8 * index, data.draw(word))
    elif kind == "bytes":
        for place in data.draw(st.sets(st.integers(0, len(content) - 1), max_size=9)):
            content[place] = data.draw(st.integers(0, 255))
    elif kind == "cut":
        del content[data.draw(st.integers(0, len(content))) :]
    else:
        content = bytearray(data.draw(st.binary(max_size=300)))
        if data.draw(st.booleans()):
            content[:8] = struct.pack("<Q", 1)
    stored = bytes(content)
    if data.draw(st.booleans()):
        stored = bytearray(zlib.compress(stored, wbits=31))
        for place in data.draw(st.sets(st.integers(0, len(stored) - 1), max_size=2)):
            stored[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "f"
    path.write_bytes(stored)
    try:
        one = open_filter(str(path))
    except FilterError:
        return
    assert isinstance(one, DcsoFile)
    # A few changed bytes of bits cannot be seen, and hide as many digests at most.
    assert sum(digest in one for digest in DIGESTS) > 1800
    assert sum(digest in one for digest in OTHERS) < 20


def test_a_dcso_filter_that_does_not_fit_into_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "f.bloom"
    path.write_bytes(dcso(["1"]))
    monkeypatch.setattr(module, "content_of", thrown(MemoryError()))
    before = open_descriptors()
    with pytest.raises(FilterError, match="does not fit into the memory"):
        module.load_dcso(str(path), category="c", algorithms=["sha1"], max_age=None)
    assert open_descriptors() == before
