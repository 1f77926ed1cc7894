"""hashscan.scan.messages: the sums of tallies."""

from hashscan.scan.messages import Tally


def test_tallies_add_up():
    one = Tally(hashed=1, skipped={"fifo": 2}, bytes_hashed=5)
    one.add(Tally(unchanged=3, problems=1, skipped={"fifo": 1, "symlink": 1}))
    assert one.files == 1 + 3 + 1 + 4
    assert one.skipped == {"fifo": 3, "symlink": 1}
