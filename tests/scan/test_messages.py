"""hashscan.scan.messages: sums of outcomes."""

from hashscan.model import Summary
from hashscan.scan.messages import Tally

ONE = Tally(1, 20, {"fifo": 300}, 4000, 50_000)


def test_tallies_add_up():
    total = Tally(skipped={"socket": 7})
    total.add(ONE)
    assert total == Tally(1, 20, {"socket": 7, "fifo": 300}, 4000, 50_000)
    total.add(ONE)
    assert total == Tally(2, 40, {"socket": 7, "fifo": 600}, 8000, 100_000)
    assert total.files == 8649
    total.subtract(ONE)
    assert total == Tally(1, 20, {"socket": 7, "fifo": 300}, 4000, 50_000)


def test_a_summary_has_each_outcome():
    summary = Summary()
    ONE.fill(summary)
    outcomes = summary.hashed, summary.unchanged, summary.problems, summary.bytes_hashed
    assert outcomes == (1, 20, 4000, 50_000)
    Tally(skipped={"socket": 7, "fifo": 2}).fill(summary)
    assert list(summary.skipped.items()) == [("fifo", 2), ("socket", 7)], "sorted for people"
