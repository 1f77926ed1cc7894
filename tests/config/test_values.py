"""Single values: the last that is taken, the first that is not, and their words."""

import errno
import os

import pytest
from faulty import break_os, raising
from pydantic_core import PydanticCustomError
from validator_checks import Checks

from hashscan.config import (
    daemon,
    globs,
    notices,
    sites,
    values,
)

FILES, NO_FILES = Checks(files=True), Checks(files=False)


def refusal(check, *given):
    with pytest.raises(PydanticCustomError) as caught:
        check(*given)
    return caught.value.context["what"], caught.value.context["fix"]


@pytest.mark.parametrize(
    ("check", "last", "found", "first", "why"),
    [
        (values.duration, "0" * 39 + "1", 1.0, "0" * 40 + "1", "is not a sensible duration"),
        (values.size, "0" * 39 + "1", 1, "0" * 40 + "1", "is not a sensible size"),
        (
            values.exact_duration, "0" * 38 + "1d", 86400.0, "0" * 39 + "1d",
            "is not a sensible duration",
        ),
        (values.size, 1, 1, 0, "is not a sensible size"),
        (values.size, 1 << 53, 1 << 53, (1 << 53) + 2, "is not a sensible size"),
        (values.percent, "0.01%", 0.0001, "0%", "must be a share above 0% and up to 100%"),
        (values.percent, " 100 % ", 1.0, "100.01%", "must be a share above 0% and up to 100%"),
        (values.jobs, 1, 1, 0, "must be auto or a number of processes from 1 to 1024"),
        (values.jobs, 1024, 1024, 1025, "must be auto or a number of processes from 1 to 1024"),
        (values.jobs, "AUTO", "auto", True, "must be auto or a number of processes from 1 to"),
        (values.text, "x" * 1000, "x" * 1000, "x" * 1001, "must be one line of at most 1000"),
        (values.text, "", "", "a\nb", "must be one line of at most 1000 printable"),
        (
            values.absolute_path, "/" + "é" * 2047, "/" + "é" * 2047, "/a" + "é" * 2047,
            "is longer than a path can be (4095 bytes)",
        ),
        (values.absolute_path, "//a//b/", "/a/b", "a/b", "a/b is not a full path"),
        (values.absolute_path, "//", "/", "/a\0", "holds a NUL byte, which no path can hold"),
        (values.absolute_path, "/\udcff", "/\udcff", "/\ud800", "holds a character that no path"),
        (values.category, "a" * 64, "a" * 64, "a" * 65, "must be the name of a category"),
        (values.url, "http://localhost/", "http://localhost/", "http://a.example/", "http:// is"),
    ],
)  # fmt: skip
def test_at_a_limit_and_beyond_it(check, last, found, first, why):
    assert check(last) == found
    what, fix = refusal(check, first)
    assert what.startswith(why)
    assert fix


def test_a_retention_has_a_shortest_time():
    assert values.exact_duration("1h", at_least=3600.0) == 3600.0
    what, fix = refusal(lambda given: values.exact_duration(given, at_least=3600.0), "59min")
    assert what == "is not a sensible duration"
    assert "from 1h to ten years" in fix
    assert values.exact_duration("3660d") == values.LONGEST
    assert refusal(values.exact_duration, "3661d")[0] == "is not a sensible duration"
    assert refusal(values.exact_duration, "2 m")[1].startswith("write 2min for minutes")


def test_a_long_path_in_a_message_lacks_its_middle():
    path = "/" + "a" * 149 + "m" + "b" * 149
    assert values.short_path(path) == path
    longer = "/" + "a" * 149 + "mm" + "b" * 149
    assert values.short_path(longer) == "/" + "a" * 149 + "…" + "m" + "b" * 149


def test_text_that_yaml_takes_for_something_else_belongs_in_quotes():
    assert refusal(values.text, 5) == ("must be text, but it is a number", "put it in quotes")
    assert refusal(values.text, True)[1] == "put it in quotes"
    assert refusal(values.text, []) == ("must be text, but it is a list", "")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, 1), (1023, 1023), (1024, "1KiB"), (1536, 1536), (3 << 20, "3MiB"), (1 << 30, "1GiB"),
     (5 << 40, "5TiB")],
)  # fmt: skip
def test_sizes_as_people_write_them(count, shown):
    assert values.shown_size(count) == shown
    assert values.size(shown) == count


def test_a_program_has_a_path_and_at_most_twenty_words(tmp_path):
    given = ("/bin/sh", *["x"] * 19)
    assert values.program(given, NO_FILES) == given
    assert values.program(None, FILES) is None
    for wrong in ((), (*given, "x")):
        assert refusal(values.program, wrong, NO_FILES)[0] == "must name a program"
    assert values.program(("/bin/sh",), FILES) == ("/bin/sh",)
    plain = tmp_path / "plain"
    plain.touch(0o600)
    assert refusal(values.program, (str(plain),), FILES)[0] == f"{plain} is not executable"
    assert values.program((str(plain),), NO_FILES) == (str(plain),)


def test_files_and_directories_are_checked_only_if_asked_for(tmp_path, monkeypatch):
    there = str(tmp_path / "there")
    (tmp_path / "there").touch()
    gone = str(tmp_path / "gone")
    assert values.existing_file(gone, NO_FILES) == gone
    assert values.existing_file(there, FILES) == there
    assert refusal(values.existing_file, gone, FILES)[0] == f"{gone}: no such file or directory"
    assert refusal(values.existing_file, str(tmp_path), FILES)[0].endswith("is not a regular file")
    assert values.own_directory(None, FILES) is None
    assert values.own_directory(gone, FILES) == gone
    assert values.own_directory(there, NO_FILES) == there
    assert refusal(values.own_directory, there, FILES)[0] == f"{there} is not a directory"
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert values.place(f"{link}/x", FILES) == f"{tmp_path}/x"
    assert values.place(f"{link}/a/../x", NO_FILES) == f"{link}/x"
    assert values.same_file(f"{link}/x", FILES) == f"{tmp_path}/x"
    assert values.same_file(f"{link}/a/../x", NO_FILES) == f"{link}/x"
    break_os(monkeypatch, values, stat=raising(errno.EIO))
    assert refusal(values.existing_file, there, FILES)[0] == (
        f"{there}: {os.strerror(errno.EIO).lower()}"
    )


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (daemon.cron, 5),
        (daemon.cron, "0 0 * * *" + " " * 192),
        (daemon.rate, True),
        (daemon.rate, "5"),
        (daemon.rate, 0),
        (daemon.rate, -1),
        (daemon.rate, 1e9 + 1),
        (globs.glob, ""),
        (globs.glob, "a\0"),
        (globs.glob, "*" * 4096),
        (globs.glob, "a" * 256),
        (values.duration, True),
        (values.duration, []),
        (values.duration, "9" * 41),
        (values.duration, 0.0009),
        (values.duration, values.LONGEST + 1),
        (values.listen, "::1:80"),
        (values.listen, "1.2.3:80"),
        (values.listen, "999.1.1.1:80"),
        (values.listen, "127.0.0.1:0"),
        (values.listen, "127.0.0.1:65536"),
        (values.proxy, "http://proxy.example:3128/path"),
        (sites.index_names, ("",)),
        (sites.index_names, ("a/b",)),
        (sites.index_names, ("a", "..")),
        (sites.index_names, (".",)),
    ],
)
def test_a_value_beyond_its_limit_is_refused_with_a_fix(check, value):
    with pytest.raises(PydanticCustomError) as caught:
        check(value)
    assert caught.value.context["what"]


@pytest.mark.parametrize(
    ("check", "value", "found"),
    [
        (daemon.cron, "0 0 * * *" + " " * 191, "0 0 * * *"),
        (daemon.rate, 1, 1.0),
        (daemon.rate, 0.5, 0.5),
        (daemon.rate, 1e9, 1e9),
        (globs.glob, "*" * 4095, "*" * 4095),
        (globs.glob, "a" * 255, "a" * 255),
        (globs.glob, "*" + "a" * 256, "*" + "a" * 256),
        (values.duration, 0.001, 0.001),
        (values.duration, 3660 * 86400, values.LONGEST),
        (values.duration, "1", 1.0),
        (values.listen, "127.0.0.1:1", "127.0.0.1:1"),
        (values.listen, "[::1]:65535", "[::1]:65535"),
        (values.listen, "localhost:9464", "localhost:9464"),
        (values.proxy, "http://proxy.example:3128", "http://proxy.example:3128"),
        (values.proxy, "http://proxy.example:3128/", "http://proxy.example:3128/"),
        (sites.index_names, ("index.html", "..."), ("index.html", "...")),
        (sites.host_glob, None, None),
        (sites.root_pattern, None, None),
        (notices._by_category, [1], [1]),
    ],
)
def test_a_value_at_its_limit_is_taken(check, value, found):
    assert check(value) == found


def test_what_a_reader_of_yaml_calls_a_value():
    for value, words in (
        (None, "empty"), (True, "a switch (true, false, yes, no, on, off)"), (1, "a number"),
        (1.5, "a number"), ("a", "text"), ([], "a list"), ((), "a list"), ({}, "a section"),
        (object(), "something else"),
    ):  # fmt: skip
        assert values.kind_of_value(value) == words


def test_a_wrong_kind_is_named():
    with pytest.raises(PydanticCustomError) as caught:
        values.duration([])
    assert caught.value.context["what"] == "must be a duration, but it is a list"


def test_a_directory_of_our_own_that_cannot_be_asked(tmp_path, monkeypatch):
    checks = Checks(files=True)
    path = str(tmp_path / "new")
    assert values.own_directory(None, checks) is None
    assert values.own_directory(path, checks) == path
    (tmp_path / "new").write_bytes(b"")
    with pytest.raises(PydanticCustomError, match="is not a directory"):
        values.own_directory(path, checks)
    assert values.own_directory(path, Checks(files=False)) == path
    monkeypatch.setattr(values, "_resolved", lambda _path: None)
    break_os(monkeypatch, values, stat=raising(errno.EACCES))
    with pytest.raises(PydanticCustomError, match="permission denied") as caught:
        values.own_directory(path, checks)
    assert caught.value.context["fix"] == "choose a directory that this user may use"
    # Some errors have no words of their own.
    break_os(monkeypatch, values, stat=lambda _path: (_ for _ in ()).throw(OSError("strange")))
    with pytest.raises(PydanticCustomError, match="strange"):
        values.own_directory(path, checks)
