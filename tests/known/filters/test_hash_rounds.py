"""hashscan.known.filters.hash_rounds: the bits are those of pybloom-live, whatever the geometry."""

from hypothesis import example, given
from hypothesis import strategies as st
from pybloom_live.pybloom import make_hashfuncs

from hashscan.known.filters.hash_rounds import rounds_of


@given(st.integers(1, 40), st.integers(1, 1 << 34), st.text("0123456789abcdef", min_size=1))
@example(20, 1 << 31, "ab")
@example(20, (1 << 31) - 1, "ab")
@example(20, 1 << 15, "ab")
@example(10, (1 << 15) - 1, "ab")
@example(4, 1000, "ab")
@example(8, 1000, "ab")
@example(12, 100_000, "ab")
def test_the_bits_are_those_of_the_library(slices, bits, key):
    places, _ = make_hashfuncs(slices, bits)
    theirs = [number * bits + place for number, place in enumerate(places(key))]
    ours = []
    for one in rounds_of(slices, bits):
        state = one.start.copy()
        state.update(key.encode())
        numbers = one.numbers(state.digest())
        ours += [o + n % bits for o, n in zip(one.offsets, numbers, strict=False)]
        if slices < 4:  # no filter's: the highest error rate is 0.1
            continue
        assert one.few(one.make(one.salt + key.encode()).digest()) == numbers[:4]
    assert ours == theirs
