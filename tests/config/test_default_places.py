"""Which files and directories are used if none is named, and by which user."""

import codecs
import os

import pytest
from faulty import Faulty

from hashscan.config import (
    default_places,
    loader,
)
from hashscan.config.loader import validate
from hashscan.config.parsing import Document
from hashscan.errors import ConfigError


def _as_nobody(action):
    """Run ``action`` in a child process without root; its answer as text."""
    read, wrote = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            answer = action()
        except BaseException as error:
            answer = repr(error)
        os.write(wrote, answer.encode()[:60000])
        os._exit(0)
    os.close(wrote)
    with open(read, encoding="utf-8") as file:
        answer = file.read()
    os.waitpid(child, 0)
    return answer


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_another_user_may_not_read(write, whole, files, tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder) not in {"/", "/tmp"} and folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    path = write(whole)
    codecs.lookup("utf-8-sig")  # of a Python below /root, which the other user cannot read

    def action():
        with pytest.raises(ConfigError) as raised:
            loader.load(path)
        return str(raised.value)

    assert "permission denied; run as root" in _as_nobody(action)
    os.chmod(path, 0o644)
    told = _as_nobody(action)
    assert f"service.password_file: {files['password']}" in told
    assert f"filter.source: {files['baseline.filter']} may not be read by this user" in told


def test_the_default_places(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert loader.default_path() == "/etc/hashscan/config.yaml"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loader.default_path() == "/etc/hashscan/config.yaml"
    own = tmp_path / ".config" / "hashscan" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert loader.default_path() == str(own)
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert loader.default_path() == str(own)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))
    assert loader.default_path() == "/etc/hashscan/config.yaml"


def test_defaults_only_where_no_file_was_named(monkeypatch, tmp_path, write, whole):
    monkeypatch.setattr(loader, "SYSTEM_PATH", str(tmp_path / "none.yaml"))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() or 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = loader.load_or_default(None)
    assert settings.volumes == ()
    assert settings.state == f"{tmp_path}/.local/state/hashscan"
    assert settings.quarantine_directory == f"{tmp_path}/.local/state/hashscan/quarantine"
    with pytest.raises(ConfigError, match="no such file"):
        loader.load_or_default(str(tmp_path / "none.yaml"))
    monkeypatch.setattr(loader, "SYSTEM_PATH", write(whole))
    assert len(loader.load_or_default(None).volumes) == 1
    monkeypatch.setattr(loader, "SYSTEM_PATH", write("stat: /x\n"))
    with pytest.raises(ConfigError, match="did you mean `state`"):
        loader.load_or_default(None)


def test_another_state_directory(write, whole, files, tmp_path, monkeypatch):
    settings = loader.load(write(whole.replace(f"  directory: {files['state']}/quarantine\n", "")))
    monkeypatch.chdir(tmp_path)
    moved = loader.with_state(settings, "other")
    assert moved.state == str(tmp_path / "other")
    assert moved.quarantine_directory == str(tmp_path / "other" / "quarantine")
    assert moved.volumes == settings.volumes
    assert moved.service == settings.service
    with pytest.raises(ConfigError, match="never scanned"):
        loader.with_state(settings, files["www"])
    with pytest.raises(ConfigError, match="not a directory"):
        loader.with_state(settings, files["password"])
    with pytest.raises(ConfigError, match="NUL"):
        loader.with_state(settings, "a\0b")


def test_who_may_use_a_state_directory(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert loader._may_use(str(tmp_path))
    assert loader._may_use(str(tmp_path / "a" / "b")), "it can be made"
    assert not loader._may_use(str(tmp_path / "file" / "state"))
    assert not loader._may_use(str(tmp_path / "loop" / "state"))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert not loader._may_use(str(tmp_path))
    asked = []
    monkeypatch.setattr(os, "access", lambda *how: asked.append(how) is not None)
    assert not loader._may_use(str(tmp_path / "a" / "b"))
    assert asked == [(str(tmp_path), os.W_OK | os.X_OK)], "the nearest that is there"


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
