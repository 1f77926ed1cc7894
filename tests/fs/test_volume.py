"""hashscan.fs.volume: globs that exclude paths."""

from hashscan.fs.volume import excluder


def test_globs_exclude_paths_below_the_root():
    assert excluder(())(b"a") is False
    excludes = excluder(("*/cache/*", "tmp", "b\u00e4r*"))
    for path, out in (
        (b"a/cache/b", True), (b"cache/b", False), (b"tmp", True), (b"tmp/a", False),
        ("b\u00e4r/x".encode(), True), (b"b\xff", False), (b"a\ncache", False),
    ):  # fmt: skip
        assert excludes(path) is out
