"""A secret that somebody types into the configuration appears in no message."""

import pytest

from hashscan.config.explain import notes
from hashscan.config.loader import load
from hashscan.config.settings import Settings
from hashscan.errors import ConfigError

WORD = "XYZZY-plugh"
BASE = {
    "service": "kind: hashcheckservice, url: 'https://a.example', username: u",
    "filter": "source: 'https://f.example/', root: /r.json, username: u",
    "metrics": "listen: '127.0.0.1:9464'",
    "mail": "name: m, kind: mail, to: [a@b.example], server: s.example, username: u",
    "webhook": "name: h, kind: webhook, url: 'https://h.example/'",
}
RIGHT = {
    "service": "service.password_file", "filter": "filter.password_file",
    "metrics": "metrics.token_file",
}  # fmt: skip


def refused(tmp_path, section, setting):
    key = setting.partition(":")[0]
    base = ", ".join(one for one in BASE[section].split(", ") if not one.startswith(f"{key}:"))
    text = f"{{{base}, {setting}}}"
    text = f"notify: [{text}]" if section in {"mail", "webhook"} else f"{section}: {text}"
    path = tmp_path / "config.yaml"
    path.write_text(f"state: {tmp_path}/state\n{text}\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load(str(path), check_files=False)
    return str(caught.value)


@pytest.mark.parametrize("section", BASE)
@pytest.mark.parametrize("key", ["password", "token", "secret", "passwd"])
def test_a_secret_of_an_unknown_key_is_not_quoted(tmp_path, section, key):
    message = refused(tmp_path, section, f"{key}: {WORD}")
    assert WORD not in message
    own = {"password": "password_file", "token": "token_file", "secret": "secret_file"}
    right = RIGHT.get(section, f"notify[0].{own.get(key, 'password_file')}")
    assert f"only root can read, and name that as {right}" in message


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("service", "password_file"), ("filter", "password_file"), ("metrics", "token_file"),
        ("mail", "password_file"), ("webhook", "secret_file"), ("webhook", "token_file"),
        ("webhook", "url_file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "value", [WORD, f"https://h.example/{WORD}", f"[{WORD}]", f"{{a: {WORD}}}"]
)
def test_a_secret_in_the_place_of_its_file_is_not_quoted(tmp_path, section, key, value):
    message = refused(tmp_path, section, f"{key}: {value}")
    assert WORD not in message
    assert key in message


@pytest.mark.parametrize(
    ("section", "key"),
    [("service", "url"), ("filter", "source"), ("webhook", "url"), ("mail", "server")],
)
def test_credentials_in_a_url_are_not_quoted(tmp_path, section, key):
    message = refused(tmp_path, section, f"{key}: 'https://u:{WORD}@h.example/'")
    assert WORD not in message
    assert "must not hold a user name" in message or "must be a host name" in message


def test_a_slack_url_in_the_configuration_is_noted():
    receiver = {
        "name": "a",
        "kind": "webhook",
        "format": "slack",
        "url": f"https://h.example/{WORD}",
    }
    (note,) = notes(Settings.of(notify=[receiver]))
    assert "name that as url_file" in note
    assert WORD not in note
    assert notes(Settings.of(notify=[{**receiver, "format": "json"}])) == []
