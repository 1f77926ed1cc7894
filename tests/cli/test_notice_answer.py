"""``hashscan notice answer``: printed, as a mail, or sent; and the history says which."""

import email
import email.policy
import os
import time

import pytest
from click.testing import CliRunner
from isolating import confirmed, needs_root

from hashscan.cli.notice import command
from hashscan.errors import ConfigError, MachineError, StateError, UsageError
from hashscan.notices.notice import (
    Channel,
    EventKind,
    ItemFile,
    ItemKind,
    ItemState,
    ParsedItem,
    ParsedNotice,
    Role,
)
from hashscan.notices.store import NoticeStore
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store as Isolated

MAIL = b"From: ntd@hotline.example\nMessage-ID: <1@hotline.example>\n\nhttp://site.example/a\n"
ORGANISATION = "{name: Host BV, contact: abuse@host.example, domain: host.example}"


@pytest.fixture
def configured(tmp_path):
    program = tmp_path / "send"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/sent\n")
    program.chmod(0o755)

    def write(notices="", quarantine="report"):
        (tmp_path / "config.yaml").write_text(
            f"state: {tmp_path}/state\nquarantine: {{action: {quarantine}}}\n"
            f"notices:\n  organisation: {ORGANISATION}\n  sendmail: [{program}, -t]\n{notices}"
        )

    write()
    return write


@pytest.fixture
def run(tmp_path, configured):
    class Options:
        config_path = str(tmp_path / "config.yaml")
        verbosity = 0

    return lambda *args: CliRunner().invoke(command, ["answer", *args], obj=Options())


@pytest.fixture
def store(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    with NoticeStore(str(tmp_path / "state" / "notices.sqlite3")) as one:
        yield one


def add(store, *urls, content=MAIL, **more):
    items = tuple(ParsedItem(ItemKind.URL, one) for one in urls or ("http://site.example/a",))
    parsed = ParsedNotice("list", items, **{"contact": "ntd@hotline.example"} | more)
    return store.add(parsed, channel=Channel.MAILDIR, key=os.urandom(8), content=content).id


def answers(store, notice):
    return [one.detail for one in store.history(notice) if one.kind is EventKind.ANSWERED]


def printed(result):
    assert result.exception is None, result.exception
    return result.stdout


def refused(result, kind=UsageError):
    assert isinstance(result.exception, kind), result.exception
    return str(result.exception)


def test_the_decision_is_printed(run, store):
    notice = add(store, reference="R-1")
    (item,) = store.items(notice)
    store.advance(item.number, ItemState.NOT_HERE, reason="no-site: /srv/secret")
    text = printed(run(notice[-8:]))
    assert text.startswith(f"Subject: [R-1] Decision on your notice ({notice})\n\n")
    assert "Not found: no site on our servers has this host name." in text
    assert "secret" not in text
    assert answers(store, notice) == [{"kind": "decision", "how": "printed", "language": "en"}]


def test_the_language_is_that_of_the_configuration(run, store, configured):
    notice = add(store)
    configured("  language: nl\n")
    assert "Besluit" in printed(run(notice))
    assert "Decision" in printed(run(notice, "--language", "en", "--print"))


def test_a_mail_to_the_sender_of_the_notice(run, store, tmp_path):
    notice = add(store)
    path = tmp_path / "answer.eml"
    said = printed(run(notice, "--kind", "receipt", "--eml", str(path)))
    assert said == f"{notice}: receipt written to {path}, for ntd@hotline.example\n"
    assert path.stat().st_mode & 0o777 == 0o600
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["To"] == "ntd@hotline.example"
    assert mail["In-Reply-To"] == mail["References"] == "<1@hotline.example>"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert answers(store, notice) == [
        {"kind": "receipt", "how": "written", "language": "en", "to": "ntd@hotline.example",
         "file": str(path), "message_id": mail["Message-ID"]}
    ]  # fmt: skip
    assert "it exists already; name another file with --eml" in refused(
        run(notice, "--kind", "receipt", "--eml", str(path))
    )
    assert len(answers(store, notice)) == 1


def test_an_answer_is_sent_once(run, store, tmp_path):
    notice = add(store)
    assert printed(run(notice, "--send")) == f"{notice}: decision sent to ntd@hotline.example\n"
    mail = email.message_from_bytes((tmp_path / "sent").read_bytes(), policy=email.policy.default)
    assert mail["To"] == "ntd@hotline.example"
    assert "--again sends it again" in refused(run(notice, "--send"))
    printed(run(notice, "--send", "--again"))
    printed(run(notice, "--send", "--to", "other@hotline.example"))
    store.advance(store.items(notice)[0].number, ItemState.GONE)
    printed(run(notice, "--send"))  # the decision is another one now
    printed(run(notice, "--send", "--kind", "receipt"))
    store.reopen_notice(notice, "x")
    assert "the receipt was sent" in refused(run(notice, "--send", "--kind", "receipt"))
    assert [one["how"] for one in answers(store, notice)] == ["sent"] * 5


def test_a_failure_is_not_marked_as_sent(run, store, tmp_path):
    notice = add(store)
    (tmp_path / "send").write_text("#!/bin/sh\necho the queue is full\nexit 75\n")
    assert "the queue is full" in refused(run(notice, "--send"), MachineError)
    assert answers(store, notice) == []


def test_a_sent_answer_without_a_history(run, store, tmp_path, monkeypatch):
    def full(*_, **__):
        raise StateError("the disk is full")

    notice = add(store)
    monkeypatch.setattr(NoticeStore, "note_answer", full)
    assert (
        "the decision was sent, but the history has no entry for it: the disk is full"
        in refused(run(notice, "--send"), StateError)
    )
    assert (tmp_path / "sent").exists()


@pytest.mark.parametrize(
    "contact", [None, "x", "a@b.example, c@d.example", "a@b.example\nBcc: c@d.example", "-oQ@x.example"]
)  # fmt: skip
def test_only_one_plain_address_gets_a_mail(run, store, tmp_path, contact):
    notice = add(store, contact=contact)
    assert "with --to" in refused(run(notice, "--send"))
    assert not (tmp_path / "sent").exists()
    printed(run(notice))  # an anonymous notice has an answer, too
    printed(run(notice, "--send", "--to", "ntd@hotline.example"))


def test_no_sender_adds_a_header_or_a_line(run, store, tmp_path):
    evil = "x\r\nBcc: c@d.example\r\n\r\nforged\x1b[2J"
    notice = add(store, f"http://site.example/{evil}", reference=evil, sender=evil, authority=evil)
    printed(run(notice, "--send"))
    raw = (tmp_path / "sent").read_bytes()
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert "Bcc" not in mail
    assert "\nforged" not in mail.get_content()
    assert "\x1b" not in mail.get_content()


def test_wrong_command_lines_are_refused(run, store, tmp_path):
    notice = add(store)
    assert "exclude each other" in refused(run(notice, "--send", "--print"))
    assert "--owner is for" in refused(run(notice, "--owner", "a"))
    assert "there is no notice" in refused(run("zzz"))
    assert "no file is in quarantine for this notice" in refused(run(notice, "--kind", "statement"))
    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n")
    assert "notices.organisation: no organisation is named" in refused(run(notice), ConfigError)
    assert answers(store, notice) == []


def test_an_order_has_no_statement(run, store):
    notice = add(store, authority="ATKM")
    assert "is an order of ATKM: for an order (Article 9)" in refused(
        run(notice, "--kind", "statement")
    )


def test_a_statement_of_what_may_be_an_order_is_not_sent(run, store, tmp_path):
    soon = add(store, deadline=time.time() + 12 * 3600)
    statement = ("--kind", "statement", "--to", "a@b.example")
    assert "within 12 h, so it may be an order" in refused(run(soon, *statement, "--send"))
    done = run(soon, *statement)
    assert "no file is in quarantine" in refused(done)
    assert "it may be an order, for which the customer gets no statement" in done.stderr
    for one in (add(store), add(store, sent=time.time() - 7.77), add(store, sent=1e9 + 0.1)):
        done = run(one, *statement, "--send")
        assert "no file is in quarantine" in refused(done)
        assert done.stderr == ""


@pytest.fixture
def moved(tmp_path, store, volume):
    """A notice with a file of each of two customers in quarantine; and the records' ids."""
    notice = add(store)
    (item,) = store.items(notice)
    quarantine = Quarantine.open(os.fsencode(tmp_path / "state" / "quarantine"))
    found = []
    for name, user, role in (("a", 4711, Role.NAMED), ("b\n", 4712, Role.COPY)):
        (volume / name).write_bytes(name.encode())
        os.chown(volume / name, user, user)
        acted = quarantine.act(confirmed(volume, name))
        assert acted.action == "quarantined"
        found.append(acted.quarantine_id)
        store.put_file(
            ItemFile(item.number, role, os.fsencode(volume), os.fsencode(name),
                     category="baseline", action="quarantined", quarantine_id=acted.quarantine_id)
        )  # fmt: skip
    quarantine.close()
    return notice, found


@needs_root
def test_a_statement_names_the_files_of_one_customer(run, store, volume, moved, tmp_path):
    notice, (first, _) = moved
    assert "belong to 2 users (4711, 4712)" in refused(run(notice, "--kind", "statement"))
    assert "no file of 4713" in refused(run(notice, "--kind", "statement", "--owner", "4713"))
    text = printed(run(notice, "--kind", "statement", "--owner", "4711"))
    assert f"   - {volume}/a\n     http://site.example/a\n     moved on 20" in text
    assert f"{volume}/b" not in text
    assert "hotline" not in text  # the customer does not learn who complained
    other = printed(run(notice, "--kind", "statement", "--owner", "4712"))
    assert f"   - {volume}/b\\n\n     moved on 20" in other
    assert "http://site.example/a" not in other
    assert "--to is missing" in refused(
        run(notice, "--kind", "statement", "--owner", "4711", "--send")
    )
    printed(run(notice, "--kind", "statement", "--owner", "4711", "--send", "--to", "c@x.example"))
    mail = email.message_from_bytes((tmp_path / "sent").read_bytes(), policy=email.policy.default)
    assert mail["In-Reply-To"] is None
    printed(run(notice, "--kind", "statement", "--owner", "4712", "--send", "--to", "c@x.example"))
    assert [one["owner"] for one in answers(store, notice)[-2:]] == ["4711", "4712"]
    with (
        Isolated.open(os.fsencode(tmp_path / "state" / "quarantine")) as isolated,
        isolated.lock(5),
    ):
        restore(isolated, first)
    assert "no file of 4711" in refused(run(notice, "--kind", "statement", "--owner", "4711"))


@needs_root
def test_a_template_that_others_can_change(run, store, configured, tmp_path):
    notice = add(store)
    (tmp_path / "answers" / "en").mkdir(parents=True)
    path = tmp_path / "answers" / "en" / "decision.txt"
    path.write_text("Subject: own\n\nown\n")
    configured(f"  templates: {tmp_path}/answers\n")
    assert printed(run(notice)) == "Subject: own\n\nown\n"
    os.chown(path, 4711, 4711)
    result = run(notice)
    assert printed(result)
    assert "notices.templates: others can change what hashscan believes" in result.stderr
    configured(f"  templates: {tmp_path}/answers\n", quarantine="quarantine")
    assert "others can change" in refused(run(notice), ConfigError)


@needs_root
def test_a_program_that_others_can_change_is_never_run(run, store, tmp_path):
    notice = add(store)
    os.chown(tmp_path / "send", 4711, 4711)
    assert "notices.sendmail: others can change" in refused(run(notice, "--send"), ConfigError)
    assert not (tmp_path / "sent").exists()
    assert answers(store, notice) == []
