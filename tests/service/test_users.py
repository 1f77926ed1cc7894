"""Users, their hashed passwords, and credentials that were right before."""

from pathlib import Path

import pytest
from service_clients import PASSWORD

from hashscan.errors import UsageError
from hashscan.service.users import USERS, Credentials, HashedSecret, add_user


def test_passwords_are_hashed_and_salted(prepared):
    add_user(prepared.data, "other", PASSWORD)
    users = USERS.read(prepared.data)
    assert users["me"].result != users["other"].result
    for path in Path(prepared.data.directory).rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("password", ["short", "x" * 2000, "two\nlines of text"])
def test_passwords_that_are_none(password, prepared):
    with pytest.raises(UsageError, match="password"):
        add_user(prepared.data, "new", password)


def test_what_was_right_is_remembered_until_the_user_changes(prepared):
    credentials = Credentials()
    credentials.take(USERS.read(prepared.data))
    assert not credentials.remembered("me", PASSWORD)
    assert credentials.check("me", PASSWORD)
    assert credentials.remembered("me", PASSWORD)
    assert not credentials.check("me", "other password")
    assert not credentials.remembered("me", "other password")
    assert not credentials.check("nobody", PASSWORD)
    add_user(prepared.data, "me", PASSWORD)  # the same word with a new salt
    credentials.take(USERS.read(prepared.data))
    assert not credentials.remembered("me", PASSWORD)


@pytest.mark.parametrize("password", ["8 bytes!", "ü" * 512])
def test_the_shortest_and_the_longest_password(password, prepared):
    add_user(prepared.data, "new", password)
    assert USERS.read(prepared.data)["new"].fits(password)
    assert not USERS.read(prepared.data)["new"].fits(password[:-1])


def test_a_name_does_not_run_into_the_password():
    """Names and passwords that are equal when joined are different credentials."""
    credentials = Credentials()
    credentials.take({"ab": HashedSecret.of("c"), "a": HashedSecret.of("d")})
    assert credentials.check("ab", "c")
    assert not credentials.remembered("a", "bc")


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("hashscan.service.users._REMEMBERED", 1)
    credentials = Credentials()
    credentials.take({"a": HashedSecret.of("1"), "b": HashedSecret.of("2")})
    assert credentials.check("a", "1")
    assert credentials.check("b", "2")
    assert [credentials.remembered("a", "1"), credentials.remembered("b", "2")] == [False, True]
