"""A small filter in a file, and functions that fail."""

from hashscan.known.filters.writer import FilterWriter


def make(path, digests=("ab" * 20,), *, capacity=400):
    writer = FilterWriter(capacity=capacity)
    writer.add(digests)
    return writer.write(str(path), category="baseline", algorithms=["sha1"])


def thrown(error):
    def throw(*_a, **_k):
        raise error

    return throw
