"""Filter files: what is written is read, and everything else is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pybloom_live import BloomFilter

from hashscan.errors import ExitCode, FilterError, StateError
from hashscan.known.filters import bit_file, filter_file
from hashscan.known.filters.bit_file import file_length, geometry
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.metadata import FilterMetadata, dump, is_category
from hashscan.known.filters.writer import FilterWriter

if TYPE_CHECKING:
    from hashscan.model import Filter

DIGESTS = [os.urandom(20).hex() for _ in range(500)]


def write(path, digests=DIGESTS, **options) -> FilterMetadata:
    writer = FilterWriter(capacity=options.pop("capacity", len(digests) + 16), **options)
    writer.add(digests)
    return writer.write(str(path), category="baseline", algorithms=["sha1"])


@pytest.fixture
def pair(tmp_path):
    path = tmp_path / "known.bloom"
    write(path)
    return path


def refused(path, **options) -> str:
    with pytest.raises(FilterError) as caught:
        load(str(path), **options)
    assert caught.value.exit_code == ExitCode.FILTER
    assert str(path) in str(caught.value)
    assert re.search(r"hashscan (filter build|sync)|newer hashscan|timedatectl", str(caught.value))
    return str(caught.value)


def forge(path, data: bytes | None = None, **changes) -> None:
    """Make a pair that fits together: what a forger, not an accident, would leave."""
    if data is not None:
        path.write_bytes(data)
    body = path.read_bytes()
    fields = json.loads((path.parent / (path.name + ".json")).read_bytes())
    fields |= {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()} | changes
    (path.parent / (path.name + ".json")).write_bytes(
        dump(FilterMetadata.model_construct(**fields))
    )


def test_what_was_put_in_hits_and_nothing_else(pair):
    one: Filter = load(str(pair))
    assert one.category == "baseline"
    assert one.algorithms == {"sha1"}
    assert all(digest in one for digest in DIGESTS)
    # At an error rate of 1e-6 two hits are as good as impossible, while one happens at times.
    assert sum(os.urandom(20).hex() in one for _ in range(2000)) < 2
    assert (pair.stat().st_mode & 0o777, pair.stat().st_size) == (0o600, file_length(516, 1e-6))


def test_the_file_is_pybloom_live_s_own(pair):
    with pair.open("rb") as file:
        theirs = BloomFilter.fromfile(file)
    ours = load(str(pair))
    assert (theirs.capacity, theirs.count, theirs.error_rate) == (516, 516, 1e-6)
    assert ours.metadata.digests == 500
    canaries = [*ours.metadata.canaries_present, *ours.metadata.canaries_absent]
    for digest in [*DIGESTS, *canaries, *(os.urandom(20).hex() for _ in range(500))]:
        assert (digest in ours) == (digest in theirs)


@given(st.integers(1, 10_000), st.floats(1e-12, 0.1))
@settings(max_examples=examples(60), deadline=None)
def test_geometry_is_pybloom_live_s(capacity, error_rate):
    theirs = BloomFilter(capacity, error_rate)
    assert geometry(capacity, error_rate) == (theirs.num_slices, theirs.bits_per_slice)


def test_canaries_look_like_the_digests_of_its_algorithms_in_turn(tmp_path):
    writer = FilterWriter(capacity=400)
    writer.add(DIGESTS[:1])
    made = writer.write(str(tmp_path / "f"), category="baseline", algorithms=["sha256", "md5"])
    for canaries in (made.canaries_present, made.canaries_absent):
        assert [len(one) for one in canaries] == [32, 64] * 8
        assert len(set(canaries)) == 16
    assert made.canaries_present[0] not in made.canaries_absent


def test_canaries_of_the_version_before_are_used_again_unless_they_became_known(tmp_path):
    path = tmp_path / "f"
    first = write(path, capacity=600)
    known = first.canaries_absent[0]
    writer = FilterWriter(capacity=600)
    writer.add([*DIGESTS, known])
    second = writer.write(str(path), category="baseline", algorithms=["sha1"], previous=first)
    assert second.canaries_present == first.canaries_present
    assert second.canaries_absent[:15] == first.canaries_absent[1:]
    assert len(second.canaries_absent) == 16
    assert second.digests == first.digests + 1
    assert known in load(str(path))


@pytest.mark.parametrize(("error_rate", "count"), [(0.1, 1), (0.1, 3000), (1e-12, 40), (1e-3, 900)])
def test_any_size_and_error_rate_is_accepted_after_writing(tmp_path, error_rate, count):
    digests = [os.urandom(20).hex() for _ in range(count)]
    write(tmp_path / "f", digests, error_rate=error_rate)
    write(tmp_path / "roomy", digests, error_rate=error_rate, capacity=count * 50 + 16)
    for name in ("f", "roomy"):
        one = load(str(tmp_path / name))
        assert all(digest in one for digest in digests)


def test_no_small_filter_is_refused_by_chance(tmp_path):
    for count in (1, 2, 5, 20):
        for error_rate in (0.1, 0.03, 1e-6):
            for _ in range(15):
                digests = [os.urandom(20).hex() for _ in range(count)]
                write(tmp_path / "f", digests, error_rate=error_rate)
                load(str(tmp_path / "f"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "f"
    write(path, DIGESTS[:20])
    return path, path.read_bytes(), path.with_name("f.json").read_bytes()


@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_corruption_of_either_file_is_refused(sound, data):
    path, body, metadata = sound
    which = data.draw(st.sampled_from(["body", "metadata"]))
    content = bytearray(body if which == "body" else metadata)
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "replace"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "flip":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del content[place : place + data.draw(st.integers(1, len(content)))]
    elif kind == "insert":
        content[place:place] = data.draw(st.binary(min_size=1, max_size=30))
    else:
        piece = data.draw(st.binary(min_size=1, max_size=30))
        content[place : place + len(piece)] = piece
    if bytes(content) == (body if which == "body" else metadata):
        return
    path.write_bytes(content if which == "body" else body)
    path.with_name("f.json").write_bytes(content if which == "metadata" else metadata)
    refused(path)


def test_every_single_byte_of_the_metadata_counts(sound):
    path, body, metadata = sound
    path.write_bytes(body)
    for place in range(len(metadata)):
        changed = bytearray(metadata)
        changed[place] ^= 1  # also turns one hexadecimal digit or blank into another
        path.with_name("f.json").write_bytes(changed)
        refused(path)


def test_foreign_and_missing_files(pair):
    metadata = pair.with_name("known.bloom.json")
    kept = metadata.read_bytes()
    dcso = struct.pack("<QQdQQQ", 1, 1000, 1e-6, 20, 28755, 3) + bytes(3600)
    body = pair.read_bytes()
    for foreign in (b"", b"text\n" * 300, os.urandom(3000), dcso, body[:-1], body[:40], body * 2):
        pair.write_bytes(foreign)
        assert "bytes instead of" in refused(pair)
        if len(foreign) > 40:
            forge(pair, foreign)
            assert "its header is not what its metadata says" in refused(pair)
            metadata.write_bytes(kept)
    pair.write_bytes(body)
    for content, what in [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"[" * 60000, "not JSON"),
        (b"{}", "wrong "),
        (b'{"format": 2}', "install a newer hashscan"),
        (kept + b" " * (65536 - len(kept)), "is damaged"),
        (kept + b" " * (65537 - len(kept)), "is longer than 65536 bytes"),
        (kept.replace(b'"digests": 500', b'"digests": true'), "wrong digests"),
        (kept.replace(b'"digests": 500', b'"digests": 500.0'), "wrong digests"),
        (kept.replace(b'"format": 1', b'"format": 1, "more": 1'), "wrong more"),
        (kept.replace(b'"error_rate": 1e-06', b'"error_rate": NaN'), "wrong error_rate"),
    ]:
        metadata.write_bytes(content)
        assert what in refused(pair)
    metadata.unlink()
    assert "cannot be opened: No such file" in refused(pair)
    metadata.write_bytes(kept)
    pair.unlink()
    assert "cannot be opened: No such file" in refused(pair)


@pytest.mark.timeout(10)
def test_links_and_special_files(pair, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(pair)
    (tmp_path / "link.json").write_bytes(pair.with_name("known.bloom.json").read_bytes())
    assert "cannot be opened" in refused(link)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "fifo.json").write_bytes(pair.with_name("known.bloom.json").read_bytes())
    assert "is no regular file" in refused(fifo)
    os.mkfifo(tmp_path / "other.json")
    assert "is no regular file" in refused(tmp_path / "other")


def test_consistent_forgeries_are_refused_by_what_they_hold(pair):
    body = pair.read_bytes()
    forge(pair, body[:40] + bytes(len(body) - 40))
    assert "0.00% of its bits are set" in refused(pair)
    forge(pair, body[:40] + b"\xff" * (len(body) - 40))
    assert "% of its bits are set" in refused(pair)
    forge(pair, body[:40] + body[40:][::-1])  # as many bits, at other places
    assert "a digest that was put in does not hit" in refused(pair)
    forge(pair, body, canaries_absent=DIGESTS[:1])
    assert "a digest that was never put in hits" in refused(pair)
    forge(pair, body, digests=499)
    assert "its header is not" in refused(pair)
    huge = struct.pack("<dQQQQ", 1e-6, 20, 10**15, 516, 516)
    forge(pair, huge + body[40:])
    assert "its header is not" in refused(pair)
    forge(pair, body, capacity=10**12)
    assert "its header is not" in refused(pair)
    over = struct.pack("<dQQQQ", 1e-6, 20, geometry(516, 1e-6)[1], 516, 517)
    forge(pair, over + body[40:], digests=501, capacity=516)
    assert "more than its 516" in refused(pair)


def test_a_filter_of_10_to_the_15_bits_is_refused_in_bounded_memory(pair):
    """Headers that ask for much, over a sparse file that has it, in a process of little memory."""
    body = pair.read_bytes()
    pair.write_bytes(struct.pack("<dQQQQ", 1e-6, 10**9, 10**6, 10**14, 516) + body[40:])
    forge(pair)
    fields = json.loads(pair.with_name("known.bloom.json").read_bytes())
    large = pair.with_name("large")
    large.write_bytes(pair.read_bytes())
    os.truncate(large, 3 * 1024**3)
    fields |= {"length": 3 * 1024**3}
    large.with_name("large.json").write_bytes(dump(FilterMetadata.model_construct(**fields)))
    giant = pair.with_name("giant")
    giant.write_bytes(pair.read_bytes())
    os.truncate(giant, 1 << 42)
    fields |= {"length": 1 << 42}
    giant.with_name("giant.json").write_bytes(dump(FilterMetadata.model_construct(**fields)))
    script = (
        "import sys\n"
        "from hashscan.errors import FilterError\n"
        "from hashscan.known.filters.filter_file import load\n"
        "for path in sys.argv[1:]:\n"
        "    try: load(path)\n"
        "    except FilterError as error: print('refused', error)\n"
        "    else: print('accepted')\n"
    )
    limit = 400 * 1024 * 1024
    done = subprocess.run(
        [sys.executable, "-c", script, str(pair), str(large), str(giant)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.stdout.count("refused") == 3, done
    assert "its header is not what its metadata says" in done.stdout
    assert "wrong length" in done.stdout


def test_age(pair, monkeypatch):
    load(str(pair), max_age=60)
    real = time.time
    monkeypatch.setattr(filter_file.time, "time", lambda: real() + 3 * 86400)
    load(str(pair))
    assert "is 3.0 days old, 2.0 are allowed" in refused(pair, max_age=2 * 86400)
    monkeypatch.setattr(filter_file.time, "time", lambda: real() - 2 * 86400)
    assert "in the future" in refused(pair)


def test_a_file_that_others_can_rewrite_is_copied_before_it_is_checked(pair):
    pair.chmod(0o666)
    one = load(str(pair))
    with pair.open("r+b") as file:
        file.seek(40)
        file.write(bytes(pair.stat().st_size - 40))
    assert all(digest in one for digest in DIGESTS)
    refused(pair)


def test_a_filter_in_use_stays_when_it_is_replaced(pair):
    before = load(str(pair))
    newer = [os.urandom(20).hex() for _ in range(50)]
    write(pair, newer)
    assert all(digest in before for digest in DIGESTS)
    after = load(str(pair))
    assert all(digest in after for digest in newer)
    assert after.version != before.version


def test_a_kill_between_the_two_renames_leaves_what_is_refused(pair, monkeypatch):
    real = os.replace
    done = []

    def dies(source, target, **options):
        if done:
            raise KeyboardInterrupt
        done.append(target)
        real(source, target, **options)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write(pair, DIGESTS[:300])
    monkeypatch.undo()
    refused(pair)
    write(pair, DIGESTS[:300])
    load(str(pair))


def test_a_filter_beyond_the_bound_is_not_even_begun():
    with pytest.raises(StateError, match="make one for each part"):
        FilterWriter(capacity=10**12)


def test_nothing_remains_where_the_disk_is_full(tmp_path):
    """A file size limit stands for the full disk: the same call fails, in the same way."""
    script = (
        "import os, resource, signal, sys\n"
        "from hashscan.errors import StateError\n"
        "from hashscan.known.filters.writer import FilterWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "writer = FilterWriter(capacity=100_000)\n"
        "writer.add(os.urandom(20).hex() for _ in range(100))\n"
        "try: writer.write(sys.argv[1], category='baseline', algorithms=['sha1'])\n"
        "except StateError as error: print(error)\n"
    )
    path = tmp_path / "f"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=30
    )
    assert "the filter cannot be written: File too large; make room" in done.stdout, done
    assert os.listdir(tmp_path) == []


def test_forked_processes_share_the_bits(tmp_path):
    """A child that asks a filter needs almost no memory of its own for it."""
    path = tmp_path / "f"
    write(path, DIGESTS, capacity=16_000_000)  # sparse in bits, but 57 MB
    one = load(str(path))
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        assert all(digest in one for digest in DIGESTS)
        with open("/proc/self/smaps_rollup") as file:
            dirty = sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
        os.write(theirs, b"%d" % dirty)
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(ours, 20)) < 30 * 1024  # KiB; a copy would be 57 MB more
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("how", ["overwritten", "cut", "removed"])
def test_whatever_becomes_of_the_file_what_was_checked_is_used(tmp_path, how):
    path = tmp_path / "f"
    write(path, DIGESTS)
    one = load(str(path))
    if how == "overwritten":
        path.write_bytes(bytes(path.stat().st_size))
    elif how == "cut":
        os.truncate(path, 0)
    else:
        path.unlink()
    assert all(digest in one for digest in DIGESTS)


def test_many_at_a_time_are_what_each_is(tmp_path):
    digests = [os.urandom(20) for _ in range(3000)]
    writer = FilterWriter(capacity=2000)
    writer.add([digest.hex() for digest in digests[::2]])
    writer.write(str(tmp_path / "filter"), category="baseline", algorithms=("sha1",))
    one = load(str(tmp_path / "filter"))
    each = [number for number, digest in enumerate(digests) if digest.hex() in one]
    assert one.among(digests) == each
    assert set(range(0, 3000, 2)) <= set(each)
    assert one.among([]) == []


def test_a_filter_that_does_not_fit_into_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "filter"
    write(path)

    def too_large(*_args):
        raise MemoryError

    monkeypatch.setattr(bit_file, "content_of", too_large)
    with pytest.raises(FilterError, match="do not fit into the memory"):
        load(str(path))


@pytest.mark.parametrize(
    ("name", "right"),
    [("a", True), ("a" * 64, True), ("a" * 65, False), ("", False), ("a b", False), ("-a", False)],
)
def test_names_of_categories(name, right):
    assert is_category(name) is right
