"""``hashscan history``: what it prints, filters, and refuses; ``verify`` and its exit codes."""

import json
import os
import re

import pytest
from click.testing import CliRunner

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.cli import cli
from hashscan.errors import AuditLogError, UsageError
from hashscan.output.history import printed

WHO = Who(0, "root", "command", 4242)
ID = "20261127-100000-abcdef"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    times = iter(f"2026-11-27T1{n}:00:00.000Z" for n in range(10))
    monkeypatch.setattr("hashscan.audit.log.rfc3339", lambda: next(times))
    monkeypatch.setattr("hashscan.cli.history.open_own_configuration", _settings)
    log = AuditLog(str(tmp_path))
    log.append(events.MOVING, WHO, path="/srv/www/a\nb\udcff.jpg", quarantine_id=ID, volume="/srv")
    log.append(events.MOVED, WHO, path="/srv/www/a\nb\udcff.jpg", quarantine_id=ID)
    log.append(events.VOLUME_LOST, Who(0, "root", "daemon"), volume="/srv", message="no answer")
    return str(tmp_path)


def _settings(_options, state):
    from hashscan.config.settings import Settings

    return Settings.of(state=state)


def run(*arguments):
    done = CliRunner().invoke(cli, ["history", *arguments], standalone_mode=False)
    return done.output, done.exception


def test_one_line_for_each_event_the_newest_last(state):
    output, error = run("--state", state)
    assert error is None
    lines = output.splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        f"2026-11-27 10:00:00  4242 as root  moving /srv/www/a\\nb\\xff.jpg to quarantine as {ID}"
    )
    assert lines[2] == "2026-11-27 12:00:00  daemon    volume /srv lost: no answer"


def test_json_lines_are_those_of_the_log(state):
    output, _ = run("--state", state, "--json")
    assert [json.loads(line) for line in output.splitlines()] == [
        event.as_dict() for event in read(state)
    ]
    assert os.fsencode(json.loads(output.splitlines()[0])["path"]) == b"/srv/www/a\nb\xff.jpg"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--since", "2026-11-27T11:00Z"), 2),
        (("--until", "2026-11-27T11:00Z"), 1),
        (("--since", "2026-11-27T11:00Z", "--until", "2026-11-27T12:00Z"), 1),
        (("--event", "moved"), 1),
        (("--event", "moved", "--event", "moving"), 2),
        (("--last", "2"), 2),
    ],
)
def test_only_some_events(state, options, count):
    output, error = run("--state", state, *options, "--json")
    assert error is None
    assert len(output.splitlines()) == count


def test_a_misspelt_event_is_refused_with_all_names(state):
    _, error = run("--state", state, "--event", "movd")
    assert isinstance(error, UsageError)
    assert "moved" in str(error)


def test_options_before_verify_are_refused(state):
    _, error = run("--state", state, "verify")
    assert isinstance(error, UsageError)


def test_nothing_to_show_is_said(state, tmp_path):
    output, error = run("--state", str(tmp_path / "none"))
    assert error is None
    assert "the audit log has no such event" in output
    assert not (tmp_path / "none").exists()


def test_a_damaged_line_is_named_at_the_end(state):
    _tamper(state)
    output, error = run("--state", state)
    assert len(output.splitlines()) == 2
    assert isinstance(error, AuditLogError)
    assert "000001.jsonl:2" in str(error)
    assert error.exit_code == 3


def _tamper(state):
    path = f"{state}/audit/000001.jsonl"
    with open(path, "rb") as file:
        raw = file.read()
    with open(path, "wb") as file:
        file.write(raw.replace(b'"moved"', b'"mover"'))


def test_verify_names_the_newest_line_for_a_later_check(state):
    output, error = run("verify", "--state", state)
    assert error is None
    assert "lines 1 to 3 in 1 file, 0 findings" in output
    noted = re.search("newest line: (3:[0-9a-f]{64})", output)[1]
    assert run("verify", "--state", state, "--known", noted)[1] is None
    _, error = run("verify", "--state", state, "--known", "2:" + noted[2:])
    assert isinstance(error, AuditLogError)
    assert isinstance(run("verify", "--state", state, "--known", "x")[1], UsageError)


def test_verify_ends_with_3_and_says_file_line_and_what(state):
    _tamper(state)
    output, error = run("verify", "--state", state)
    assert output.splitlines()[0].startswith("000001.jsonl:2: changed: ")
    assert isinstance(error, AuditLogError)
    assert error.exit_code == 3
    output, _ = run("verify", "--state", state, "--json")
    finding, summary = map(json.loads, output.splitlines())
    assert (finding["kind"], finding["file"], finding["line"]) == ("changed", "000001.jsonl", 2)
    assert (summary["event"], summary["lines"], summary["findings"]) == ("verified", 2, 1)


def test_a_long_line_is_wrapped_below_its_sentence(state):
    event = next(iter(read(state)))
    lines = printed(event, 80).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)
    assert all(line.startswith(" " * 31) for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == " ".join(printed(event).split()).replace(
        "10:00:00 4242", "10:00:00  4242"
    ).replace("root moving", "root  moving")
