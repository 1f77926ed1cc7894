"""``notices:`` in the configuration: defaults, values, and what ``config check`` says of it."""

import os

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from validator_checks import Checks

from hashscan.config import (
    notices,
)
from hashscan.config.explain import summary
from hashscan.config.settings import Settings
from hashscan.config.trust import faults, moves
from hashscan.config.values import is_host_name, is_mail_address

ORGANISATION = {"name": "Host BV", "contact": "abuse@host.example", "domain": "host.example"}


def refused(given, *, check_files=False):
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"notices": given}, context={"check_files": check_files})
    (error,) = caught.value.errors()
    return error["msg"]


def test_defaults_move_nothing_and_take_no_mail():
    notices = Settings.of().notices
    assert (notices.action, notices.maildir, notices.due_soon) == ("report", None, 4 * 3600.0)
    assert dict(summary(Settings.of()))["notices"] == (
        "report; no Maildir; due soon 4h before the deadline"
    )


def test_values_as_people_write_them():
    given = {"action": "quarantine", "maildir": "/var/mail//a\x1b/", "due_soon": "90m"}
    settings = Settings.of(notices=given)
    assert settings.notices.maildir == "/var/mail/a\x1b"
    assert dict(summary(settings))["notices"] == (
        "quarantine, by mails of nobody; mails from /var/mail/a\\x1b; due soon 90m before the deadline"
    )
    assert Settings.of(notices={"maildir": "none"}).notices.maildir is None


@pytest.mark.parametrize(
    "given",
    [{"action": "delete"}, {"maildir": "mail"}, {"due_soon": "-1h"}, {"due_soon": "0s"}, {"x": 1}],
)
def test_wrong_values_are_refused(given):
    with pytest.raises(ValidationError):
        Settings.of(notices=given)


def test_the_organisation_that_answers():
    notices = Settings.of(
        notices={"organisation": ORGANISATION | {"domain": "Host.Example"}}
    ).notices
    assert notices.organisation.model_dump() == ORGANISATION
    assert Settings.of().notices.organisation is None
    for name in ("H", "x" * 200):
        named = Settings.of(notices={"organisation": ORGANISATION | {"name": name}})
        assert named.notices.organisation.name == name
    for name, wrong in (
        ("name", ""), ("name", "x" * 201), ("name", "a\nBcc: b@c.example"),
        ("contact", "Host BV <abuse@host.example>"), ("contact", "a@b.example, c@d.example"),
        ("domain", "host.example."), ("domain", "http://host.example"),
    ):  # fmt: skip
        assert refused({"organisation": ORGANISATION | {name: wrong}}).startswith("must "), wrong


@pytest.mark.parametrize("address", ["a@b.example", "a.b+c=d@x-y.example", "_@localhost"])
def test_mail_addresses(address):
    assert is_mail_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "a", "@b.example", "a@", "a b@c.example", "a@b@c.example", "a@b.example\n", "-a@b.example",
     "|a@b.example", "/a@b.example", '"a b"@c.example', "a..b@c.example", "a.@c.example",
     "a@-b.example", "a@b..example", "a@b.example.", "\u00e4@b.example", "a@\u00e4.example",
     "a,b@c.example", "a;b@c.example", "a(c)@b.example", "<a@b.example>", f"{'a' * 65}@b.example"],
)  # fmt: skip
def test_no_mail_addresses(address):
    assert not is_mail_address(address)


def test_host_names():
    assert all(map(is_host_name, ("localhost", "a.b-c.example", "192.0.2.7", "x" * 63)))
    assert not any(map(is_host_name, ("", "a_b", "x" * 64, "a.", ".a", ".".join(["a" * 49] * 6))))


def test_classifications_have_names_in_lower_case():
    given = {"VICS-1": "baseline", " Hotline C ": "B2"}
    found = Settings.of(notices={"classifications": given}).notices.classifications
    assert found == {"vics-1": "baseline", "hotline c": "B2"}
    assert refused({"classifications": {"vics-1": "A3"}})
    assert refused({"classifications": {1: "A1"}}).startswith("has a key")


def test_the_program_that_sends(tmp_path):
    program = tmp_path / "send"
    program.write_text("#!/bin/sh\n")
    given = {"sendmail": [str(program), "-t"]}
    assert "is not executable" in refused(given, check_files=True)
    program.chmod(0o755)
    assert Settings.of(notices=given).notices.sendmail == (str(program), "-t")
    assert "must be a list" in refused({"sendmail": "/usr/sbin/sendmail -t"})
    assert "must name a program" in refused({"sendmail": []})
    assert "is not a full path" in refused({"sendmail": ["sendmail"]})
    # A machine without the usual program has a valid configuration.
    Settings.model_validate({"notices": {}}, context={"check_files": True})


def test_the_templates_are_in_a_directory(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "missing"):
        assert "is no directory" in refused({"templates": f"{tmp_path}/{name}"}, check_files=True)
    assert Settings.of(notices={"templates": f"{tmp_path}/"}).notices.templates == str(tmp_path)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root is at stake")
def test_others_may_not_change_templates_or_the_program(tmp_path):
    (tmp_path / "nl").mkdir()
    (tmp_path / "nl" / "receipt.txt").write_text("Subject: x\n\nx\n")
    (tmp_path / "send").write_text("#!/bin/sh\n")
    given = {"templates": str(tmp_path), "sendmail": [f"{tmp_path}/send"]}
    assert faults(Settings.of(notices=given)) == []
    os.chown(tmp_path / "nl" / "receipt.txt", 4711, 4711)
    os.chown(tmp_path / "send", 4711, 4711)
    assert [one[0] for one in faults(Settings.of(notices=given))] == [
        ("notices", "templates"), ("notices", "sendmail")
    ]  # fmt: skip


def test_an_action_for_notices_moves_files():
    assert not moves(Settings.of())
    assert moves(Settings.of(notices={"action": "quarantine"}))
    assert moves(Settings.of(quarantine={"action": "quarantine"}))
    assert moves(Settings.of(quarantine={"retention": "90d"}))


def test_whose_mails_may_move_files():
    given = {
        "senders": ["NTD@Hotline.example", "meldpunt.example"],
        "verified_by": "MX.host.example",
    }
    notices = Settings.of(notices=given).notices
    assert notices.senders == ("ntd@hotline.example", "meldpunt.example")
    assert notices.verified_by == "mx.host.example"
    assert Settings.of().notices.senders == ()
    assert Settings.of(notices={"senders": ["*"]}).notices.senders == ("*",)
    assert "needs notices.verified_by" in refused({"senders": ["hotline.example"]})
    for wrong in ("@hotline.example", "*.example", "a b@c.example", "x\n", 1):
        with pytest.raises(ValidationError):
            Settings.of(notices={"senders": [wrong], "verified_by": "mx"})


def test_a_directory_of_templates_is_looked_for_only_if_files_are_checked(tmp_path):
    (tmp_path / "file").touch()
    for path in ("none", "file"):
        with pytest.raises(PydanticCustomError, match="is no directory that can be read"):
            notices._directory(str(tmp_path / path), Checks(files=True))
        assert notices._directory(str(tmp_path / path), Checks(files=False))
    assert notices._directory(str(tmp_path), Checks(files=True)) == str(tmp_path)
