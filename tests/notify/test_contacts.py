"""Messages to owners of quarantined files."""

import os
import tracemalloc

import pytest
from notifications import Desk
from receivers import MailPlace

from hashscan.config.notify import ReceiverSettings
from hashscan.errors import UsageError
from hashscan.notify.contacts import BUILT_IN, Contacts, read_template
from hashscan.notify.notifier import NotSentError, SendFault


def contacts(tmp_path, text):
    path = tmp_path / "contacts"
    path.write_text(text)
    return str(path)


def place(tmp_path, text="4001: a@customer.example\n4002: b@customer.example\n", **more):
    return MailPlace(
        tmp_path, to=(), contacts=contacts(tmp_path, text), sender="abuse@host.example", **more
    )


def test_each_owner_gets_one_message_that_names_nothing(tmp_path):
    with place(tmp_path) as post:
        desk = Desk(tmp_path / "state", post.settings)
        for number in range(5):
            desk.audit.match(path=f"/srv/{number}/evil.jpg", uid=4001)
        desk.audit.match(uid=4002)
        desk.audit.match(uid=4002, action="reported")
        for _ in range(4):
            desk.after(20)
        assert sorted(one.to for one in post.received) == [
            "a@customer.example",
            "b@customer.example",
        ]
        first = next(one for one in post.received if one.to.startswith("a@"))
        assert "moved 5 files of your account 4001" in " ".join(first.text.split())
        for one in post.received:
            for word in (b"srv", b"evil", b"aaaaaaaa", b"baseline", b"match"):
                assert word not in one.raw.lower().replace(b"hashscan", b"")


def test_a_file_of_an_id_of_an_owners_range_is_the_owners(tmp_path, monkeypatch):
    (tmp_path / "subuid").write_text("4001:700000:65536\n")
    monkeypatch.setattr("hashscan.fs.accounts.PATH", str(tmp_path / "subuid"))
    with place(tmp_path) as post:
        desk = Desk(tmp_path / "state", post.settings)
        for uid in (700_000, 765_535):
            desk.audit.match(uid=uid)
        desk.after(20)
        assert [one.to for one in post.received] == ["a@customer.example"]
        assert desk.state(post.settings.name).given_up == 0


def test_no_second_message_within_a_day(tmp_path):
    with place(tmp_path) as post:
        desk = Desk(tmp_path / "state", post.settings)
        for _ in range(10):
            desk.audit.match(uid=4001)
            desk.after(3600)
        assert len(post.received) == 1
        desk.after(86400)
        assert len(post.received) == 2


def test_no_more_than_most_an_hour(tmp_path):
    lines = "".join(f"{uid}: u{uid}@customer.example\n" for uid in range(5000, 5020))
    with place(tmp_path, lines, most_an_hour=3, at_most="1d") as post:
        desk = Desk(tmp_path / "state", post.settings)
        for uid in range(5000, 5020):
            desk.audit.match(uid=uid)
        for _ in range(60):
            desk.after(50)
        assert len(post.received) == 3
        desk.after(3600)
        for _ in range(10):
            desk.after(20)
        assert len(post.received) == 6


def test_an_owner_without_an_address(tmp_path):
    with place(tmp_path, "4002: b@customer.example\n") as post:
        desk = Desk(tmp_path / "state", post.settings)
        desk.audit.match(uid=4001)
        desk.audit.match(uid=4002)
        for _ in range(3):
            desk.after(20)
        assert [one.to for one in post.received] == ["b@customer.example"]
        assert "has no address" in desk.state("post").refused_why
        assert (desk.state("post").given_up, desk.state("post").messages) == (1, 0)


@pytest.mark.parametrize("address", ["a@b.example, c@d.example", "|/bin/sh", "-x"])
def test_an_address_that_is_more_than_one(tmp_path, address):
    settings = ReceiverSettings(
        name="c",
        kind="mail",
        contacts=contacts(tmp_path, f"4001: {address}\n"),
        sender="a@host.example",
    )
    with pytest.raises(NotSentError) as caught:
        Contacts(settings).address("4001")
    assert caught.value.fault is SendFault.NOBODY


def program(tmp_path, text):
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return ReceiverSettings(
        name="c", kind="mail", contacts_command=[str(path)], sender="a@host.example"
    )


def test_a_command_gets_the_name_and_prints_the_address(tmp_path):
    settings = program(tmp_path, 'echo "$1@customer.example"')
    assert Contacts(settings).address("4001") == "4001@customer.example"
    assert Contacts(settings).address(str(os.getuid())).endswith("@customer.example")


@pytest.mark.parametrize("text", ["exit 1", "exec yes | head -c 9999"])
def test_a_command_that_fails_is_run_again(tmp_path, text):
    with pytest.raises(NotSentError) as caught:
        Contacts(program(tmp_path, text)).address("4001")
    assert caught.value.fault is SendFault.LATER


def test_templates(tmp_path):
    path = tmp_path / "template"
    path.write_text(BUILT_IN)
    assert read_template(str(path)) == BUILT_IN
    for text in ("", "only a subject\n", "two\nlines\n\ntext\n"):
        path.write_text(text)
        with pytest.raises(UsageError, match="one line as the subject"):
            read_template(str(path))


def test_a_file_that_is_no_file_of_contacts_holds_up_nothing(tmp_path):
    fifo, endless = tmp_path / "fifo", tmp_path / "endless"
    os.mkfifo(fifo)
    endless.symlink_to("/dev/zero")
    for path in (fifo, endless, tmp_path):
        with pytest.raises(NotSentError) as caught:
            Contacts(_settings(contacts=str(path))).address("4001")
        assert caught.value.fault is SendFault.SETUP
        if path != tmp_path:
            with pytest.raises(UsageError):
                read_template(str(path))


def _settings(**more):
    # Checked by the configuration; but a file can be replaced later.
    made = ReceiverSettings(
        name="owners", kind="mail", contacts="/etc/passwd", sender="abuse@host.example"
    )
    return made.model_copy(update=more)


def test_lines_of_contacts_that_are_too_long_are_left_out(tmp_path):
    text = f"x: {'4001: evil@evil.example ' * (10 << 15)}\n4001: a@b.example\n4002: {'c' * 5000}"
    settings = _settings(contacts=contacts(tmp_path, text))
    assert Contacts(settings).address("4001") == "a@b.example"
    with pytest.raises(NotSentError, match="has no address"):
        Contacts(settings).address("4002")


@pytest.mark.parametrize("does", ["yes", "cat /dev/zero", "sleep 600"])
def test_a_command_for_contacts_that_never_ends(tmp_path, monkeypatch, does):
    monkeypatch.setattr("hashscan.notify.contacts._COMMAND_SECONDS", 0.3)
    settings = _settings(contacts=None, contacts_command=("/bin/sh", "-c", does))
    tracemalloc.start()
    with pytest.raises(NotSentError, match="did not end within") as caught:
        Contacts(settings).address("4001")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert caught.value.fault is SendFault.LATER
