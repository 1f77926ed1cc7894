"""hashscan.config: the last value that is taken, and the first that is not."""

import errno
import os

import pytest
from faulty import break_os, raising
from pydantic_core import PydanticCustomError

from hashscan.config import values
from hashscan.config.loader import validate
from hashscan.config.messages import MOST
from hashscan.config.yaml_lines import Document
from hashscan.errors import ConfigError


class Checks:
    """What a validator of pydantic gets beside the value."""

    def __init__(self, *, files):
        self.context = {values.CHECK_FILES: files}


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


def findings(**sections):
    with pytest.raises(ConfigError) as caught:
        validate(Document(sections), path="c.yaml", check_files=False)
    return {one.where: (one.what, one.fix) for one in caught.value.findings}


def test_each_kind_of_fault_has_its_words():
    found = findings(
        state="/state",
        quarantine={"action": "move"},
        scan={"tiers": "maybe", "jobz": 1},
        volumes={"path": "/v"},
        service="kind:local",
        filter={"source": "https://filters.example/"},
    )
    quarantine = found["c.yaml: quarantine.action"]
    assert quarantine == ("must be 'report' or 'quarantine'", "choose one of them")
    assert found["c.yaml: scan.tiers"] == (
        "must be true or false, but it is text", "write true or false, without quotes",
    )  # fmt: skip
    assert found["c.yaml: scan.jobz"] == ("unknown key", "did you mean `jobs`?")
    assert found["c.yaml: volumes"][0] == "must be a list, but it is a section"
    assert found["c.yaml: service"] == (
        "must be a section, but it is text", "write a blank after the colon, as in `kind: value`",
    )  # fmt: skip
    assert found["c.yaml: filter.root"][0], "a repository needs a pinned key"


def test_a_hundred_faults_are_named_and_the_others_counted():
    assert MOST == 100
    for count, more in ((100, None), (101, "and 1 more")):
        found = findings(state="/state", **{f"k{number}": 1 for number in range(count)})
        assert len(found) == 100 + (more is not None)
        assert found.get("c.yaml", (None, None))[0] == more


def test_a_remote_service_needs_its_url_and_user():
    found = findings(state="/state", service={"kind": "hashcheckservice"})
    for name in ("url", "username"):
        assert found[f"c.yaml: service.{name}"][0] == "is missing; kind hashcheckservice needs it"
    assert "c.yaml: service.known" not in found
    found = findings(state="/state", service={"kind": "local"})
    assert list(found) == ["c.yaml: service.known"]
