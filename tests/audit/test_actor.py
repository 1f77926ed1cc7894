"""Who did something: the user, the login and the caller of sudo."""

import os
import pwd

import pytest

from hashscan.audit import actor
from hashscan.audit.actor import Who


@pytest.fixture
def login(monkeypatch, tmp_path):
    path = tmp_path / "loginuid"
    monkeypatch.setattr(actor, "_LOGIN_UID", str(path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    return path


def test_the_user_of_this_process(login):
    login.write_text("4294967295")
    found = Who.current("command")
    assert found == Who(os.geteuid(), pwd.getpwuid(os.geteuid()).pw_name, "command")
    assert found.as_dict() == {"uid": found.uid, "user": found.user, "by": "command"}


def test_the_login_and_the_caller_of_sudo_are_named(login, monkeypatch):
    login.write_text("1234567")
    monkeypatch.setenv("SUDO_UID", "7654321")
    found = Who.current("scan")
    assert (found.login, found.sudo) == (1234567, 7654321)
    assert Who.parse(found.as_dict()) == found
    assert str(Who(0, "root", "command", 1234567)) == "1234567 as root"
    assert str(Who(0, "root", "command", None, 1234567)) == "1234567 as root"


@pytest.mark.parametrize("text", ["", "-1", "x", "4294967295", "99999999999", "\uff11"])
def test_a_caller_of_sudo_that_is_no_user_is_left_out(login, monkeypatch, text):
    monkeypatch.setenv("SUDO_UID", text)
    assert Who.current("command").sudo is None


def test_no_login_where_the_kernel_has_none(login):
    assert Who.current("command").login is None


def test_people_read_a_name_that_cannot_forge_a_line():
    assert str(Who(0, "root", "command")) == "root"
    assert str(Who(0, "root", "command", 0)) == "root"
    assert str(Who(4242, None, "command")) == "4242"
    assert str(Who(0, "root", "daemon", 1000)) == "daemon"
    assert str(Who(7, "a\nb", "command")) == "a\\nb"


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {"uid": "0", "user": None, "by": "daemon"},
        {"uid": True, "user": None, "by": "daemon"},
        {"uid": -1, "user": None, "by": "daemon"},
        {"uid": 0, "user": 0, "by": "daemon"},
        {"uid": 0, "user": None, "by": "nobody"},
        {"uid": 0, "user": None, "by": ["daemon"]},
        {"uid": 0, "user": None, "by": "daemon", "login": "x"},
    ],
)
def test_another_form_is_not_read(found):
    assert Who.parse(found) is None
