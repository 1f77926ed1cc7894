"""``notify`` in the configuration: what is taken or refused."""

import re

import pytest
from pydantic import ValidationError

from hashscan.config.notify import EVENTS, credential_of, receiver_name
from hashscan.config.settings import Settings
from hashscan.config.values import CHECK_FILES

MAIL = {"name": "a", "kind": "mail", "to": ["abuse@host.example"]}
OWNERS = {"name": "a", "kind": "mail", "contacts": "/c", "sender": "abuse@host.example"}
SERVER = {**MAIL, "server": "smtp.host.example"}
HOOK = {"name": "a", "kind": "webhook", "url": "https://chat.example/x"}
ROOM = "!abc:host.example"
MATRIX = {**HOOK, "format": "matrix", "room": ROOM, "token_file": "/t"}
RUN = {"name": "a", "kind": "command", "command": ["/bin/true"]}


def receiver(given):
    return Settings.of(notify=[given]).notify[0]


def without(given, *names):
    return {name: value for name, value in given.items() if name not in names}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**MAIL, "url": "https://x.example/"}, "has url, which is not for kind mail"),
        ({**HOOK, "to": ["a@b.example"]}, "has to, which is not for kind webhook"),
        ({**RUN, "ca_bundle": "/c"}, "has ca_bundle, which is not for kind command"),
        ({**MAIL, "command": ["/bin/true"]}, "has command, which is not for kind mail"),
        (without(MAIL, "to"), "has no address"),
        ({**MAIL, "contacts": "/c", "sender": "a@b.example"}, "has to and contacts"),
        ({**MAIL, "template": "/t"}, "has template, which is for contacts"),
        ({**MAIL, "most_an_hour": 50}, "has most_an_hour, which is for contacts"),
        (without(OWNERS, "sender"), "has contacts and no sender"),
        ({**OWNERS, "include": ["paths"]}, "has contacts, so it gets no other events"),
        ({**OWNERS, "events": ["match"]}, "has contacts, so it gets no other events"),
        ({**MAIL, "port": 25}, "has port and no server"),
        ({**MAIL, "encryption": "tls"}, "has encryption and no server"),
        ({**MAIL, "username": "u"}, "has username and no server"),
        ({**MAIL, "password_file": "/p"}, "has password_file and no server"),
        ({**MAIL, "ca_bundle": "/c"}, "has ca_bundle and no server"),
        ({**SERVER, "encryption": "none"}, "encryption: none is allowed to this machine only"),
        ({**SERVER, "password_file": "/p"}, "has password_file and no username"),
        (without(HOOK, "url"), "needs url or url_file, and not both"),
        ({**HOOK, "url_file": "/u"}, "needs url or url_file, and not both"),
        ({**HOOK, "room": ROOM}, "room and format: matrix belong together"),
        (without(MATRIX, "room"), "room and format: matrix belong together"),
        (without(MATRIX, "token_file"), "format: matrix needs token_file"),
        (without(RUN, "command"), "has no command"),
        ({**MAIL, "events": []}, "must name each one once, and at least one event"),
        ({**MAIL, "events": ["match", "match"]}, "must name each one once"),
        ({**MAIL, "include": ["paths", "paths"]}, "must name each one once"),
        ({**MAIL, "name": "Ops"}, "must be a name of lower-case letters"),
        ({**MAIL, "name": "a" * 41}, "must be a name of lower-case letters"),
        ({**SERVER, "port": 0}, "must be a port from 1 to 65535"),
        ({**SERVER, "port": 65536}, "must be a port from 1 to 65535"),
        ({**SERVER, "port": True}, "must be a port from 1 to 65535"),
        ({**SERVER, "port": "25"}, "must be a port from 1 to 65535"),
        ({**MAIL, "server": "a b"}, "must be a host name or an address"),
        ({**MAIL, "server": 5}, "must be a host name or an address"),
        ({**OWNERS, "most_an_hour": 0}, "must be a number from 1 to 100000"),
        ({**OWNERS, "most_an_hour": 100_001}, "must be a number from 1 to 100000"),
        ({**OWNERS, "most_an_hour": True}, "must be a number from 1 to 100000"),
        ({**OWNERS, "most_an_hour": "5"}, "must be a number from 1 to 100000"),
        ({**MATRIX, "room": "#abc:host.example"}, "must be the internal id of a Matrix room"),
        ({**MATRIX, "room": "!a/b"}, "must be the internal id of a Matrix room"),
        ({**MATRIX, "room": "!" + "a" * 201}, "must be the internal id of a Matrix room"),
    ],
)
def test_a_receiver_that_is_refused(given, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        receiver(given)


@pytest.mark.parametrize(
    "given",
    [
        MAIL, {**MAIL, "include": []}, {**MAIL, "include": ["paths", "owners"]},
        {**MAIL, "name": "a" * 40}, {**MAIL, "events": ["daily"]},
        {**SERVER, "port": 1}, {**SERVER, "port": 65535}, {**SERVER, "encryption": "tls"},
        {**MAIL, "server": "127.0.0.1", "encryption": "none"}, {**MAIL, "server": "::1"},
        {**SERVER, "username": "u", "password_file": "/p", "ca_bundle": "/c"},
        OWNERS, {**OWNERS, "most_an_hour": 1, "template": "/t"}, {**OWNERS, "most_an_hour": 100_000},
        {**without(OWNERS, "contacts"), "contacts_command": ["/bin/true"]},
        HOOK, {**without(HOOK, "url"), "url_file": "/u"}, MATRIX, {**HOOK, "format": "slack"},
        {**MATRIX, "room": "!" + "a" * 200}, RUN,
    ],
)  # fmt: skip
def test_a_receiver_that_is_taken(given):
    one = receiver(given)
    assert {name: getattr(one, name) for name in given} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }


@pytest.mark.parametrize(
    ("given", "interval", "owners"),
    [
        (MAIL, 300.0, False), ({**MAIL, "at_most": "1h"}, 3600.0, False),
        (OWNERS, 86400.0, True), ({**OWNERS, "at_most": "1h"}, 3600.0, True),
        ({**without(OWNERS, "contacts"), "contacts_command": ["/bin/true"]}, 86400.0, True),
        (RUN, 300.0, False),
    ],
)  # fmt: skip
def test_how_often_a_receiver_gets_a_message(given, interval, owners):
    one = receiver(given)
    assert (one.interval, one.for_owners) == (interval, owners)


def test_what_a_receiver_gets_unless_it_is_configured():
    one = receiver(MAIL)
    assert set(EVENTS) - set(one.events) == {"notice", "daily"}
    assert (one.include, one.most_an_hour, one.port) == ((), 50, None)
    assert (one.collect, one.at_most, one.timeout, one.daily) == (10.0, 300.0, 30.0, "08:00")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("08:00", "08:00"), ("23:59", "23:59"), ("00:00", "00:00"), (0, "00:00"), (600, "10:00"),
        (1439, "23:59"), (1440, None), (-1, None), (True, None), ("24:00", None), ("8:00", None),
        ("08:60", None), (8.5, None),
    ],
)  # fmt: skip
def test_a_time_of_day(given, taken):
    if taken is None:
        with pytest.raises(ValidationError, match="must be a time of day from 00:00 to 23:59"):
            receiver({**MAIL, "daily": given})
    else:
        assert receiver({**MAIL, "daily": given}).daily == taken


def test_each_receiver_has_a_name_of_its_own():
    with pytest.raises(ValidationError, match="has the name of another receiver") as caught:
        Settings.of(notify=[{**MAIL, "name": "x"}, MAIL, {**RUN, "name": "y"}, RUN])
    assert caught.value.errors()[0]["ctx"]["at"] == (3, "name")


def test_there_are_at_most_twenty_receivers():
    many = [{**MAIL, "name": f"r{number}"} for number in range(21)]
    assert len(Settings.of(notify=many[:20]).notify) == 20
    with pytest.raises(ValidationError, match="has more than 20 receivers"):
        Settings.of(notify=many)


def test_a_secret_is_a_file_that_only_its_owner_can_read(tmp_path, monkeypatch):
    def faults(entry):
        try:
            Settings.model_validate({"notify": [entry]}, context={CHECK_FILES: True})
        except ValidationError as error:
            return str(error)
        return ""

    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "s").write_text("secret\n")
    (tmp_path / "s").chmod(0o644)
    entry = {**HOOK, "secret_file": str(tmp_path / "s")}
    assert "secret_file" in faults(entry)
    (tmp_path / "s").chmod(0o600)
    assert faults(entry) == ""
    assert receiver({**HOOK, "secret_file": "none"}).secret_file is None
    gone = {**HOOK, "secret_file": str(tmp_path / "gone")}
    assert "secret_file" in faults(gone)
    assert receiver(gone).secret_file, "without a check of files it is taken"
    (tmp_path / "c").mkdir(mode=0o700)
    (tmp_path / "c" / credential_of("a", "secret_file")).write_text("secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "c"))
    assert faults(gone) == "", "the credential goes before the file"


@pytest.mark.parametrize("name", [None, 5, "", "-a", "_", "a b", "A"])
def test_a_name_that_is_none(name):
    with pytest.raises(Exception, match="must be a name"):
        receiver_name(name)


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
