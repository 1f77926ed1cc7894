"""hashscan.publisher.versions: room for the keys of each tier, and a place to work in."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from hashscan.errors import FilterError, UsageError
from hashscan.known.filters.tiers import TIER_NAMES
from hashscan.publisher import versions
from hashscan.publisher.repository import open_repository
from hashscan.publisher.versions import _tier_capacities, _workplace


@pytest.mark.parametrize(
    ("before", "capacity"),
    [(None, 125 + 16), (100 + 15, 125 + 16), (100 + 16, 100 + 16), (1000, 1000)],
)
def test_a_tier_keeps_its_room_while_its_keys_fit(before, capacity):
    """Another capacity is other bits: agents would fetch all of it instead of a patch."""
    area = SimpleNamespace(tier_count=lambda _name: 100)
    old = {name: SimpleNamespace(metadata=SimpleNamespace(capacity=before)) for name in TIER_NAMES}
    found = _tier_capacities(area, {} if before is None else old, 0.25)
    assert found == dict.fromkeys(TIER_NAMES, capacity)


def test_a_publisher_removes_what_killed_publishers_left_and_no_others_work(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "hashscan-publish-killed").mkdir()
    (tmp_path / "hashscan-publish-killed" / "part").touch()
    with _workplace() as one:
        Path(one, "part").touch()
        with _workplace() as two:
            assert {str(path) for path in tmp_path.iterdir()} == {one, two}
    assert list(tmp_path.iterdir()) == []


def test_a_published_filter_that_cannot_be_used_is_damaged(publisher, tmp_path, monkeypatch):
    def fails(_path):
        raise FilterError("odd bits")

    monkeypatch.setattr(versions, "load", fails)
    repository = open_repository(publisher.path, publisher.read("1.root.json"))
    with pytest.raises(FilterError) as caught:
        versions._Current.open(repository, "baseline", str(tmp_path))
    assert "is not the file that was published (odd bits)" in str(caught.value)
    assert versions._Current.open(repository, "none", str(tmp_path)) is None


@pytest.mark.parametrize(
    ("before", "stayed", "now", "is_large"),
    [
        (999, 0, 999, False),  # so few that every change is a large share
        (1000, 0, 999, True),
        (999, 0, 1000, True),
        (2000, 1800, 1800, False),
        (2000, 1799, 1799, True),
        (1000, 1000, 2000, False),
        (1000, 1000, 2001, True),
    ],
)
def test_which_change_needs_somebodys_word(before, stayed, now, is_large):
    digests = [number.to_bytes(20, "big") for number in range(now)]
    current = SimpleNamespace(
        metadata=SimpleNamespace(digests=before, category="baseline"),
        loaded={raw.hex() for raw in digests[:stayed]},
    )
    area = SimpleNamespace(raw_digests=lambda _count, _algorithm: iter(digests))
    versions._check_change(current, area, now, True)
    versions._check_change(None, area, now, False)
    if not is_large:
        versions._check_change(current, area, now, False)
        return
    with pytest.raises(UsageError, match="--allow-large-change") as caught:
        versions._check_change(current, area, now, False)
    assert f"about {before - stayed:,} of those would go and {now - stayed:,} come" in str(
        caught.value
    )


def test_a_sample_shows_how_many_digests_remain(monkeypatch):
    """Of ten million digests, two hundred thousand are looked up."""
    monkeypatch.setattr(versions, "SAMPLE", 100)
    asked = []

    class Loaded:
        def __contains__(self, digest):
            asked.append(digest)
            return int(digest, 16) % 3 > 0

    digests = [number.to_bytes(20, "big") for number in range(1, 2001)]
    current = SimpleNamespace(
        metadata=SimpleNamespace(digests=2000, category="baseline"), loaded=Loaded()
    )
    area = SimpleNamespace(raw_digests=lambda _count, _algorithm: iter(digests))
    with pytest.raises(UsageError) as caught:
        versions._check_change(current, area, 2000, False)
    assert len(asked) == 100
    assert asked[:2] == [digests[0].hex(), digests[20].hex()]
    assert "about 660 of those would go and 660 come" in str(caught.value)
