"""The sample of the demo: what it makes, and where it finds no room."""

import io
import os
import stat

import pytest
from demo_runs import FEW

from hashscan.demo import sample, story, tree
from hashscan.errors import UsageError


def test_a_full_disk(place, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sample, "_write_lists", full)
    with pytest.raises(UsageError, match=r"200 MiB: free some space.*--directory"):
        story.run(str(place), io.StringIO(), files=FEW)
    assert os.listdir(place) == []


def test_the_sample_is_what_it_says(place):
    assert story.run.__kwdefaults__["files"] == sample.FILES == 3000
    one = sample.make(str(place), FEW)
    assert {path for path, _ in sample.PLACES} <= one.known
    assert len(max(one.known, key=len)) > 4096
    assert one.ordinary in one.known
    assert one.innocent not in one.known | one.false
    assert one.false
    assert not one.known & one.false
    assert one.seen[b"upload/one-of-two-names.jpg"] == one.seen[b"other-site/the-same-file.jpg"]
    assert one.seen[b"upload/one-of-two-names.jpg"].links == 2
    kinds = {stat.S_IFMT(seen.mode) for seen in one.seen.values()}
    assert kinds == {stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO}
    assert tree.look(one.volume) == one.seen
    tree.remove(one.volume)
    assert not os.path.lexists(one.volume)
