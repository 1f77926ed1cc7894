"""The password: where it comes from, and what is refused."""

import json
import os

import pytest
from pydantic import ValidationError

from hashscan.config import (
    password,
)
from hashscan.config.loader import load
from hashscan.config.password import (
    credential,
    fault_of,
    has_blanks_around,
    read_password,
    read_token,
)
from hashscan.config.settings import Settings
from hashscan.config.sources import ServiceSettings
from hashscan.config.values import CHECK_FILES
from hashscan.errors import ConfigError
from hashscan.notify.notifier import secret_of


def service(path):
    return ServiceSettings(url="https://x", username="u", password_file=path and str(path))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"s3cret\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" two  words \n", " two  words "),
        (b"\xef\xbb\xbfs3cret\r\n", "s3cret"),
        ("pässwörd\n".encode(), "pässwörd"),
        (b"x" * 4096, "x" * 4096),
    ],
)
def test_one_line_without_its_end(file, content, password):
    file.write_bytes(content)
    assert read_password(service(file)) == password


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n", "one line"),
        (b"s3cret\n\n", "one line"),
        (b"s3cret\nmore\n", "one line"),
        (b"s3cret\0", "one line"),
        (b"s3cret\xff", "save it as UTF-8"),
        ("s3cret-ä\n".encode("latin-1"), "save it as UTF-8"),
        ("s3cret\n".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\x00s", "UTF-16"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"\xef\xbb\xbf\xef\xbb\xbfs3cret", "byte order mark"),
        (b"s3cret\xef\xbb\xbf", "byte order mark"),
        (b"s3cret\rmore", "control"),
        (b" \t\n", "only blanks"),
        (b"s3cret" * 1000, "too large"),
    ],
)
def test_what_is_no_password_is_refused_and_not_shown(file, content, words):
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as raised:
        read_password(service(file))
    assert "s3cret" not in str(raised.value)
    assert any(words in part for part in fault_of(str(file)))  # `config check` says the same


@pytest.mark.parametrize(
    ("content", "odd"),
    [("s3cret \n", True), ("\xa0s3cret", True), ("s3 cret\r\n", False), ("", False)],
)
def test_blanks_around_a_password_are_noticed(file, content, odd):
    file.write_text(content)
    assert has_blanks_around(str(file)) == odd


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_file_that_others_may_use_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"run: chmod 600 {file}"):
        read_password(service(file))
    assert fault_of(str(file))[1] == f"run: chmod 600 {file}"
    file.write_bytes(b" s3cret \n")
    assert not has_blanks_around(str(file))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_file_of_another_user_is_refused(file):
    os.chown(file, 1234, -1)
    with pytest.raises(ConfigError, match="chown"):
        read_password(service(file))


def test_the_systemd_credential_goes_first(file, tmp_path, monkeypatch):
    store = tmp_path / "credentials"
    store.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(store))
    assert read_password(service(file)) == "s3cret"
    (store / "password").write_bytes(b"other\n")
    (store / "password").chmod(0o440)  # as systemd makes it: an ACL shows as the group's
    assert read_password(service(file)) == "other"
    assert read_password(service(None)) == "other"


def test_no_source_at_all():
    with pytest.raises(ConfigError, match="password_file: is missing"):
        read_password(service(None))


def test_missing_files_and_fifos_are_refused_at_once(file, tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_password(service(tmp_path / "none"))
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_password(service(tmp_path / "fifo"))
    with pytest.raises(ConfigError, match="not a regular file"):
        read_password(service(tmp_path))


def test_a_credential_that_cannot_be_looked_at_is_told_and_not_passed_over(
    file, tmp_path, monkeypatch
):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("password", "filter-password"):
        assert credential(name) == (str(file) if name == file.name else None)
    file.unlink()
    file.symlink_to("loop")
    assert credential() == str(file)
    with pytest.raises(ConfigError, match="symbolic links"):
        read_password(service(loop))


@pytest.mark.parametrize(
    ("setting", "noun"),
    [("url_file", "URL"), ("secret_file", "key"), ("token_file", "token")],
)
def test_errors_about_another_secret_name_what_the_file_holds(tmp_path, setting, noun):
    missing = str(tmp_path / "missing")
    more = {"url": "https://x.example"} if setting != "url_file" else {}
    entry = {"name": "n", "kind": "webhook", setting: missing, **more}
    settings = Settings.of(notify=[entry])
    with pytest.raises(ConfigError, match=f"no usable {noun}") as raised:
        secret_of(settings.notify[0], setting)
    assert f"write the {noun} into that file" in str(raised.value)
    assert "password" not in str(raised.value)
    file = tmp_path / "config.yaml"
    file.write_text(f"volumes: [{{path: {tmp_path}}}]\nnotify: {json.dumps([entry])}\n")
    with pytest.raises(ConfigError, match=f"write the {noun} into that file"):
        load(str(file))


def test_a_token_is_read_like_a_password(file):
    assert read_token(str(file)) == "s3cret"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="no usable token") as caught:
        read_token(str(file))
    (finding,) = caught.value.findings
    assert finding.where == "metrics.token_file"


def test_the_credential_of_the_filter_goes_before_its_file(tmp_path, monkeypatch):
    (tmp_path / "root.json").touch()
    source = {"source": "https://filters.example/", "root": str(tmp_path / "root.json")}

    def filters(**more):
        given = {"filter": {**source, "username": "u", **more}}
        return Settings.model_validate(given, context={CHECK_FILES: True}).filter

    with pytest.raises(ValidationError, match="is missing, and there is no systemd credential"):
        filters()
    with pytest.raises(ValidationError, match="no such file or directory"):
        filters(password_file="/gone/x")
    (tmp_path / "credentials").mkdir(mode=0o700)
    (tmp_path / "credentials" / "filter-password").write_text("secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert filters(password_file="/gone/x").password_file == "/gone/x"
    assert filters().password_file is None


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
