"""Values at their limits, and values of kinds that no configuration should hold."""

import errno
import os

import pytest
from faulty import Faulty, break_os, raising
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from hashscan.config import (
    daemon,
    default_places,
    globs,
    loader,
    notices,
    password,
    settings,
    sites,
    trust,
    values,
)
from hashscan.config.explain import summary
from hashscan.config.loader import load_for_lists, validate
from hashscan.config.messages import field_at, section_at
from hashscan.config.parsing import Document
from hashscan.config.settings import Settings, require_organisation
from hashscan.config.values import CHECK_FILES
from hashscan.errors import ConfigError


class Checks:
    """What a validator of pydantic gets beside the value."""

    def __init__(self, *, files):
        self.context = {values.CHECK_FILES: files}


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


def test_a_directory_of_templates_is_looked_for_only_if_files_are_checked(tmp_path):
    (tmp_path / "file").touch()
    for path in ("none", "file"):
        with pytest.raises(PydanticCustomError, match="is no directory that can be read"):
            notices._directory(str(tmp_path / path), Checks(files=True))
        assert notices._directory(str(tmp_path / path), Checks(files=False))
    assert notices._directory(str(tmp_path), Checks(files=True)) == str(tmp_path)


# password


@pytest.mark.parametrize(("more", "fine"), [(0, True), (1, False)])
def test_the_longest_password(more, fine):
    content = b"a" * (password._LONGEST + more)
    if fine:
        assert password.password_in(content, "/p") == content.decode()
    else:
        with pytest.raises(ValueError, match="too large"):
            password.password_in(content, "/p")


def test_a_repository_without_a_user_needs_no_password(tmp_path):
    class Filter:
        username = ""
        password_file = str(tmp_path / "password")

    assert password.read_filter_password(Filter) is None
    (tmp_path / "password").write_bytes(b"secret\n")
    (tmp_path / "password").chmod(0o600)
    assert password.read_filter_password(Filter) is None
    Filter.username = "user"
    assert password.read_filter_password(Filter) == "secret"


# places


def test_home_is_where_the_user_says_and_else_where_passwd_says(monkeypatch):
    class Entry:
        pw_dir = "/home/someone"

    people = Faulty(default_places.pwd, getpwuid=lambda _uid: Entry)
    monkeypatch.setattr(default_places, "pwd", people)
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_places.home() == "/elsewhere"
    monkeypatch.setenv("HOME", "relative")
    assert default_places.home() == "/home/someone"
    assert (
        default_places.below_home("XDG_STATE_HOME", ".local", "state")
        == "/home/someone/.local/state"
    )
    monkeypatch.delenv("HOME")
    assert default_places.home() == "/home/someone"
    Entry.pw_dir = ""
    assert default_places.home() is None
    people.getpwuid = {}.__getitem__
    assert default_places.home() is None
    assert default_places.below_home("XDG_STATE_HOME", ".local", "state") is None
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_places.below_home("XDG_STATE_HOME", ".local", "state") == "/state"


def test_without_a_home_the_state_is_to_be_named():
    with pytest.raises(ConfigError) as caught:
        validate(Document(data={"state": ""}))
    assert "this user has no home directory" in str(caught.value)
    assert "--state DIR" in str(caught.value)


def test_a_state_that_is_typed_needs_no_home(write, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "below_home", lambda *_: None)
    break_os(monkeypatch, settings, geteuid=lambda: 1000)
    path = write("volumes: []\n")
    found = loader.load_or_default(path, state=str(tmp_path / "s"), check_files=False)
    assert found.state == str(tmp_path / "s")
    with pytest.raises(ConfigError):
        loader.load_or_default(path, check_files=False)


# the machine's configuration, for others than root


@pytest.fixture
def load_theirs(monkeypatch, tmp_path, write):
    """Write the machine's configuration; return a function that loads it as an ordinary user."""
    (tmp_path / "list").write_text("0" * 40 + "\n")
    (tmp_path / "closed").write_text("0" * 40 + "\n")
    path = write(
        f"state: {tmp_path}/theirs\nvolumes: [{{path: {tmp_path}/www}}]\nscan: {{jobs: 3}}\n"
        f"allow: [{tmp_path}/list, {tmp_path}/closed]\nquarantine: {{action: quarantine}}\n"
    )
    own = str(tmp_path / "own")
    monkeypatch.setattr(loader, "SYSTEM_PATH", path)
    monkeypatch.setattr(loader, "default_path", lambda: path)
    monkeypatch.setattr(loader, "default_state", lambda: own)
    allowed = Faulty(
        os, geteuid=lambda: 1000, access=lambda one, _how: not one.endswith("closed")
    )  # fmt: skip
    monkeypatch.setattr(loader, "os", allowed)
    monkeypatch.setattr(loader, "_may_use", lambda _directory: False)
    return lambda **more: load_for_lists(None, check_files=False, **more)


def test_another_users_configuration_gives_volumes_scan_and_readable_lists(load_theirs, tmp_path):
    given, remark = load_theirs()
    assert [one.path for one in given.volumes] == [f"{tmp_path}/www"]
    assert given.scan.jobs == 3
    assert list(given.allow) == [f"{tmp_path}/list"]
    assert given.state == f"{tmp_path}/own"
    assert "only its volumes, scan and allow are used" in remark
    assert remark.endswith(f"; the state is {tmp_path}/own")
    given, remark = load_theirs(state=f"{tmp_path}/typed")
    assert given.state == f"{tmp_path}/typed"
    assert remark.endswith(f"; the state is {tmp_path}/typed")


def test_the_whole_configuration_is_its_users(load_theirs, monkeypatch, tmp_path):
    monkeypatch.setattr(loader, "_may_use", lambda _directory: True)
    given, remark = load_theirs()
    assert (given.state, remark) == (f"{tmp_path}/theirs", "")
    monkeypatch.setattr(loader, "_may_use", lambda one: not one.endswith("quarantine"))
    given, remark = load_theirs()
    assert given.state == f"{tmp_path}/own", "the quarantine is another user's"


def test_an_error_in_another_users_configuration_does_not_end_the_command(
    load_theirs, write, tmp_path
):
    write("volumes: 5\n")
    given, remark = load_theirs()
    assert (given.volumes, given.state) == ((), f"{tmp_path}/own")
    assert ": it is not used: " in remark
    assert "volumes" in remark


def test_for_root_or_a_named_file_an_error_is_an_error(load_theirs, monkeypatch, write):
    path = write("volumes: 5\n")
    with pytest.raises(ConfigError):
        load_for_lists(path, check_files=False)
    loader.os.geteuid = lambda: 0
    with pytest.raises(ConfigError):
        load_theirs()


# messages and notes


def test_sections_and_fields_by_their_place():
    assert section_at(()) is Settings
    assert section_at(("volumes", 3)).__name__ == "VolumeSettings"
    assert section_at(("state",)) is None
    assert section_at(("none", "such")) is None
    assert field_at(("scan", "jobs")) is not None
    assert field_at(("scan", "none")) is None
    assert field_at(("none", "such")) is None
    assert field_at(()) is None


def test_the_summary_names_the_categories_of_a_repository(tmp_path):
    given = validate(
        Document(
            data={
                "state": str(tmp_path),
                "filter": {
                    "source": "https://filters.example/", "root": str(tmp_path / "root.json"),
                    "categories": ["baseline", "other"],
                },
            }
        ),
        check_files=False,
    )  # fmt: skip
    words = dict(summary(given))["filter"]
    assert words.startswith("baseline, other of https://filters.example/, not older than ")


def test_who_answers_must_be_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        require_organisation(validate(Document(data={"state": str(tmp_path)})), "answer")
    assert "answer: notices.organisation" in str(caught.value)
    assert "no organisation is named that answers notices" in str(caught.value)
    organisation = {"name": "Host BV", "contact": "abuse@host.example", "domain": "host.example"}
    given = validate(
        Document(data={"state": str(tmp_path), "notices": {"organisation": organisation}})
    )
    assert require_organisation(given).name == "Host BV"


# trust


@pytest.mark.parametrize(("always", "moving"), [(True, False), (False, True), (False, False)])
def test_a_file_that_others_can_change_is_refused_if_it_decides_what_moves(
    tmp_path, monkeypatch, always, moving
):
    given = validate(Document(data={"state": str(tmp_path)}))
    monkeypatch.setattr(trust, "moves", lambda _settings: moving)
    notices_told = []

    def check():
        trust.require_trusted_file(given, "x.y", "/f", notices_told.append, always=always)

    monkeypatch.setattr(trust, "fault_of", lambda _path: None)
    check()
    monkeypatch.setattr(trust, "fault_of", lambda _path: ("/f belongs to user 5", "chown it"))
    if always or moving:
        with pytest.raises(ConfigError) as caught:
            check()
        assert "x.y: /f belongs to user 5" in str(caught.value)
        assert notices_told == []
    else:
        check()
        (told,) = notices_told
        assert "x.y: /f belongs to user 5" in told


def test_a_sites_own_program_and_lists_are_believed(tmp_path):
    (tmp_path / "table").touch()
    given = validate(
        Document(
            data={
                "state": str(tmp_path),
                "sites": [
                    {"host": "*.example", "root": "/srv/{host}"},
                    {"table": f"{tmp_path}/table"},
                    {"command": ["/bin/true", "x"]},
                ],
            }
        ),
        check_files=False,
    )
    found = [one for one in trust._believed(given) if one[0][:1] == ("sites",)]
    assert found == [
        (("sites", 1, "table"), f"{tmp_path}/table"),
        (("sites", 2, "command"), "/bin/true"),
    ]


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        ("webhook", {"command": ["/bin/true"]}),
        ("command", {"url": "https://x.example/"}),
        ("mail", {"secret_file": "/x"}),
    ],
)
def test_a_receiver_has_no_setting_of_another_kind(kind, foreign):
    needed = {
        "mail": {"to": ["a@host.example"]},
        "webhook": {"url": "https://x.example/", "ca_bundle": None},
        "command": {"command": ["/bin/true"]},
    }[kind]
    receiver = {"name": "ops", "kind": kind, **needed}
    Settings.model_validate({"notify": [receiver]}, context={CHECK_FILES: False})
    with pytest.raises(ValidationError, match=f"has {next(iter(foreign))}, which is not for kind"):
        Settings.model_validate({"notify": [{**receiver, **foreign}]}, context={CHECK_FILES: False})
