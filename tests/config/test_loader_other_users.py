"""The machine's configuration, as an ordinary user's command loads it."""

import os

import pytest
from faulty import Faulty, break_os

from hashscan.config import (
    loader,
    settings,
)
from hashscan.config.loader import load_for_lists
from hashscan.errors import ConfigError


def test_a_state_that_is_typed_needs_no_home(write, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "below_home", lambda *_: None)
    break_os(monkeypatch, settings, geteuid=lambda: 1000)
    path = write("volumes: []\n")
    found = loader.load_or_default(path, state=str(tmp_path / "s"), check_files=False)
    assert found.state == str(tmp_path / "s")
    with pytest.raises(ConfigError):
        loader.load_or_default(path, check_files=False)


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


def test_files_of_another_users_configuration_need_not_be_there(load_theirs, write, tmp_path):
    """The user may not see them, and does not use them."""
    write(
        f"state: {tmp_path}/theirs\nvolumes: [{{path: {tmp_path}/www}}]\n"
        f"filter: {{source: {tmp_path}/none}}\n"
    )
    given, remark = load_for_lists(None)
    assert [one.path for one in given.volumes] == [f"{tmp_path}/www"]
    assert "only its volumes, scan and allow are used" in remark
