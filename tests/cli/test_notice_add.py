"""``hashscan notice add``: what arrives is stored once, and what is not understood is kept."""

import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest
import ready
from click.testing import CliRunner
from dying import Dying

from hashscan.cli.notice import command
from hashscan.errors import NoticeError, StateError, UsageError
from hashscan.notices import unread_inputs
from hashscan.notices.intake import MOST_BYTES
from hashscan.notices.notice import Channel
from hashscan.notices.store import NoticeStore

URLS = b"https://site.example/1\nhttps://site.example/2\n"
NO_NOTICE = b"At noon?\n"
HOUR = 3600.0


class Options:
    verbosity = 0

    def __init__(self, directory):
        self.config_path = str(directory / "config.yaml")


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n")

    def call(*args, given=None):
        arguments = ["add", *map(str, args)]
        return CliRunner().invoke(command, arguments, obj=Options(tmp_path), input=given)

    return call


@pytest.fixture
def urls(tmp_path):
    path = tmp_path / "urls.txt"
    path.write_bytes(URLS)
    return path


def stored(tmp_path):
    with NoticeStore(str(tmp_path / "state" / "notices.sqlite3")) as store:
        return list(store.notices())


def test_a_file_is_taken_once(run, urls, tmp_path):
    done = run(urls)
    assert done.exception is None, done.exception
    (one,) = stored(tmp_path)
    assert done.stdout.startswith(
        f"{one.id}: 2 items from anonymous, as {one.format}, due in 24 h ("
    )
    assert one.channel is Channel.COMMAND
    with NoticeStore(str(tmp_path / "state" / "notices.sqlite3")) as store:
        assert store.input(one.id) == URLS
    again = run(urls)
    assert again.exit_code == 0
    assert again.stdout.startswith(f"{one.id}: the same bytes are stored already (2 items, due in")
    assert len(stored(tmp_path)) == 1
    third = run(urls, "--again")
    assert third.stdout.splitlines()[0].endswith(f", repeats {one.id}")
    assert third.stdout.splitlines()[1].endswith(": 2 received")
    url = URLS.split()[0].decode()
    assert f": {url}: cannot be decided: the configuration has no sites" in third.stderr
    assert len(stored(tmp_path)) == 2
    assert urls.read_bytes() == URLS


def test_standard_input_and_json(run, urls, tmp_path):
    done = run("--json", given=URLS)
    found = json.loads(done.stdout)
    assert (found["event"], found["new"], len(found["items"])) == ("notice", True, 2)
    assert list(found["items"][0])[:3] == ["kind", "value", "state"]
    again = json.loads(run("-", "--json", given=URLS).stdout)
    assert (again["id"], again["new"]) == (found["id"], False)
    assert json.loads(run(urls, "--json").stdout)["id"] == found["id"]
    assert "can be named only once" in str(run("-", "-", given=URLS).exception)


def test_what_the_administrator_says_counts(run, urls, tmp_path):
    run(urls, "--from", "Hotline", "--reference", "R-1", "--received", "2026-01-02T10:00Z",
        "--deadline", "12h", "--authority", "ATKM", "--legal-basis", "Law X")  # fmt: skip
    (one,) = stored(tmp_path)
    assert (one.sender, one.reference) == ("Hotline", "R-1")
    assert (one.authority, one.legal_basis) == ("ATKM", "Law X")
    assert one.received == 1767348000.0
    assert one.deadline == one.received + 12 * HOUR
    run(urls, "--again", "--deadline", "2026-01-02T11:00+01:00")
    assert min(found.deadline for found in stored(tmp_path)) == 1767348000.0


def test_an_order(run, urls, tmp_path):
    done = run(urls, "--authority", "ATKM", "--legal-basis", "Stb. 2024, 162", "--deadline", "1h")
    (one,) = stored(tmp_path)
    assert (one.authority, one.legal_basis, one.deadline) == (
        "ATKM", "Stb. 2024, 162", one.received + HOUR,
    )  # fmt: skip
    assert f"{one.id}: 2 items from ATKM (an order), as list, due in " in done.stdout
    done = run(urls, "--authority", "Another", "--deadline", "12h")
    assert "the options change nothing; --again stores them" in done.stdout
    assert "add --authority, too" in str(run(urls, "--legal-basis", "x").exception)


@pytest.mark.parametrize(
    ("received", "begin"),
    [("2026-01-02T13:00Z", "2026-01-02T10:00Z"), ("2026-01-02T09:00Z", "2026-01-02T09:00Z")],
)
def test_a_duration_counts_from_the_senders_time_unless_that_is_after_the_arrival(
    run, tmp_path, received, begin
):
    (tmp_path / "mail").write_bytes(
        b"From: a@hotline.example\nDate: Fri, 02 Jan 2026 10:00:00 +0000\nSubject: x\n\n" + URLS
    )
    run(tmp_path / "mail", "--received", received, "--deadline", "12h")
    (one,) = stored(tmp_path)
    assert one.deadline == datetime.fromisoformat(begin).timestamp() + 12 * HOUR


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--authority", "ATKM", "an order sets a deadline; add it, e.g. --deadline 1h"),
        ("--received", "yesterday", "yesterday is no time"),
        ("--received", "2999-01-01", "is in the future"),
        ("--received", "0001-01-01", "is no time"),
        ("--deadline", "soon", "is no time and no duration; write e.g. 24h"),
        ("--deadline", "-1h", "is no time and no duration"),
        ("--deadline", "24", "has no unit"),
        ("--deadline", "30m", "as minutes or as months"),
        ("--deadline", "1h\x1b", "1h\\x1b"),
        ("--from", "a\nb", "printable"),
        ("--reference", "x" * 2000, "printable"),
        ("--authority", "a\nb", "printable"),
        ("--legal-basis", "a\x1bb", "printable"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(run, tmp_path, option, value, words):
    done = run(tmp_path / "none", option, value)
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)
    assert not (tmp_path / "state").exists()


def test_a_mail_server_s_pipe_vouches_for_nothing(run, urls, tmp_path):
    assert run("--by-mail", urls).stdout.count("it moves no file by itself: it came by mail") == 1
    assert run("--again", urls).stdout.count("it moves no file by itself") == 0
    assert sorted(bool(one.unproven) for one in stored(tmp_path)) == [False, True]


def test_what_is_not_understood_is_kept(run, urls, tmp_path):
    (tmp_path / "lunch").write_bytes(NO_NOTICE)
    done = run(tmp_path / "lunch")
    assert isinstance(done.exception, NoticeError)
    assert done.exception.exit_code == 2
    message = str(done.exception)
    assert message.startswith(f"{tmp_path}/lunch: the notice is in no known format")
    assert "Tried:" in message
    assert message.endswith(f"the file {tmp_path}/lunch is unchanged")
    for _ in range(2):
        done = run(given=NO_NOTICE)
        assert isinstance(done.exception, NoticeError)
        (kept,) = (tmp_path / "state" / "notices-unread").iterdir()
        assert f"the input is kept as {kept}; add that file with 'hashscan notice add'" in str(
            done.exception
        )
        assert kept.read_bytes() == NO_NOTICE
        assert kept.stat().st_mode & 0o777 == 0o600
        assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert stored(tmp_path) == []
    # The state directory is still one.
    assert run(urls).exit_code == 0


def test_one_bad_file_does_not_stop_the_others(run, urls, tmp_path):
    (tmp_path / "lunch").write_bytes(NO_NOTICE)
    os.mkfifo(tmp_path / "fifo")
    done = run(tmp_path / "lunch", tmp_path / "fifo", tmp_path / "none", tmp_path, urls)
    assert isinstance(done.exception, UsageError)
    for words in ("lunch: the notice is in no", "fifo is not a regular file; write - for",
                  "none: No such file or directory", f"{tmp_path} is not a regular"):  # fmt: skip
        assert words in str(done.exception)
    assert len(stored(tmp_path)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a link of another user")
def test_a_link_of_another_user_is_not_followed(run, urls, tmp_path):
    (tmp_path / "box").mkdir()
    link = tmp_path / "box" / "1.a"
    link.symlink_to(urls)
    assert run(link).exit_code == 0, "root's own link"
    for path in (tmp_path / "box", link):
        os.chown(path, 4321, 4321, follow_symlinks=False)
    done = run(link, "--again")
    assert isinstance(done.exception, UsageError)
    assert "hashscan does not follow it" in str(done.exception)
    assert len(stored(tmp_path)) == 1


def test_what_is_kept_is_bounded(run, tmp_path, monkeypatch):
    monkeypatch.setattr(unread_inputs, "MOST_FILES", 2)
    for number in range(3):
        message = str(run(given=b"no notice %d" % number).exception)
    assert "it was not kept: " in message
    assert "has 2 inputs of 22 bytes that wait for an administrator" in message
    monkeypatch.setattr(unread_inputs, "MOST_FILES", 9)
    monkeypatch.setattr(unread_inputs, "MOST_BYTES", 30)
    assert "it was not kept: " in str(run(given=b"another one").exception)
    assert len(unread_inputs.names(str(tmp_path / "state"))) == 2
    monkeypatch.setattr(unread_inputs, "MOST_BYTES", 1 << 40)
    message = str(run(given=b"x" * (MOST_BYTES + 5)).exception)
    assert f"the first {MOST_BYTES >> 20} MiB of the input is kept as " in message


def test_an_input_that_cannot_be_stored_is_kept(run, tmp_path, monkeypatch):
    def full(*_given, **_more):
        raise StateError("the file of notices cannot be used: full")

    monkeypatch.setattr(NoticeStore, "add", full)
    message = str(run(given=URLS).exception)
    assert message.startswith("the file of notices cannot be used: full\nthe input is kept as ")
    (kept,) = (tmp_path / "state" / "notices-unread").iterdir()
    assert kept.read_bytes() == URLS


SCRIPT = """
import os, sys
from click.testing import CliRunner
from hashscan.cli.notice import command
from hashscan.notices.store import NoticeStore
class Options:
    verbosity, config_path = 0, sys.argv[1]
real = NoticeStore.add
def add(*given, **options):
    os.getppid()
    result = real(*given, **options)
    os.getppid()
    return result
NoticeStore.add = add
done = CliRunner().invoke(command, ["add", sys.argv[2]], obj=Options())
sys.exit(done.exit_code)
"""


def test_killed_at_any_instant(run, urls, tmp_path):
    """The file stays, and adding it again makes one notice."""
    with Dying(SCRIPT, "getppid,mkdir") as dying:
        for step in range(40):
            done = dying.run(step, Options(tmp_path).config_path, urls).returncode
            assert urls.read_bytes() == URLS
            if done == 0:
                break
            assert done == -9
        assert step >= 4
    assert run(urls).exit_code == 0
    assert len(stored(tmp_path)) == 1


def test_as_a_mail_server_calls_it(tmp_path):
    """By a pipe, in a process of its own: the exit code decides whether the mail bounces."""
    state = ("--state", str(tmp_path / "state"))
    done = ready.hashscan("notice", "add", *state, input=URLS)
    assert done.returncode == 0, done.stderr
    done = ready.hashscan("notice", "add", "-", *state, input=NO_NOTICE)
    assert done.returncode == 2
    assert b"hashscan: error: the notice is in no known format" in done.stderr
    (kept,) = Path(tmp_path / "state" / "notices-unread").iterdir()
    assert kept.read_bytes() == NO_NOTICE
    assert ready.hashscan("notice", "list", *state).stdout.count(b"due in 24 h") == 1
    assert time.time() - kept.stat().st_mtime < 60
