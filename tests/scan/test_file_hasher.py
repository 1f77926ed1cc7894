"""hashscan.scan.file_hasher: which calls wait for the scan's bounds, and which show life."""

from types import SimpleNamespace

import pytest
from scanning import options_of

from hashscan.scan.fast_path import EACH
from hashscan.scan.file_hasher import FileHasher
from hashscan.scan.messages import WorkerSettings


@pytest.fixture
def make():
    """A function that makes a hasher, and what its pace and its outbox are asked."""

    def make(bounds):
        heard = []

        class Pace:
            def __init__(self):
                self.bounds = bounds

            def __call__(self, count):
                heard.append(count)

            def file(self):
                heard.append("file")

            def listed(self):
                heard.append("listed")

        settings = WorkerSettings(options_of(), (), "", judged=1, scan=1)
        one = FileHasher(
            settings, None, None, None, screen=None, reader=None, pace=Pace(),
            outbox=SimpleNamespace(show_life=lambda count=0: heard.append(f"alive {count}")),
        )  # fmt: skip
        return one, heard

    return make


@pytest.mark.parametrize("bounds", [True, False])
def test_each_ordinary_file_waits_for_the_bounds(make, bounds):
    hasher, heard = make(bounds)
    hasher.fast._on_bytes(5)
    assert heard == (["file", 5, "alive 5"] if bounds else ["alive 5"])
    assert hasher.fast._each == (1 if bounds else EACH)


@pytest.mark.parametrize("bounds", [True, False])
@pytest.mark.parametrize(
    ("call", "waits", "alive"),
    [
        (lambda hasher: hasher.hash(3, b"a"), ["file"], []),
        (lambda hasher: hasher.hash_single(3, b"a"), ["file"], []),
        (lambda hasher: hasher.listed(), ["listed"], ["alive 0"]),
        (lambda hasher: hasher._hasher_on_bytes(5), [5], ["alive 5"]),
    ],
)
def test_files_directories_and_reads_wait_for_the_bounds(make, bounds, call, waits, alive):
    hasher, heard = make(bounds)
    on_bytes = hasher._hasher._on_bytes
    done = lambda *given: given  # noqa: E731
    hasher._hasher = SimpleNamespace(hash=done, hash_single=done)
    hasher._hasher_on_bytes = on_bytes
    assert call(hasher) in {None, (3, b"a")}
    assert heard == (waits if bounds else []) + alive
