"""The cells of a line."""

from hashscan.known.lists import line_formats


def test_a_line_that_is_no_csv_has_no_cells():
    assert line_formats._cells('a,"b,c",d\r\n', ",") == ["a", "b,c", "d"]
    assert line_formats._cells("\ufeffa;b", ";") == ["a", "b"]
    assert line_formats._cells("", ",") == []
    assert line_formats._cells("a," + "b" * 200_000, ",") == []
