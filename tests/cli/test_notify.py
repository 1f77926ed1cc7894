"""``hashscan notify test``: each receiver's answer, and the exit code."""

import json

import pytest
from click.testing import CliRunner

from hashscan.cli.notify import command
from hashscan.errors import ExitCode, UsageError
from hashscan.jobs import notifications
from hashscan.notify.notifier import NotSentError, SendFault

RECEIVERS = (
    "notify:\n"
    "  - {name: good, kind: command, command: [/bin/true]}\n"
    "  - {name: bad, kind: command, command: [/bin/false]}\n"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    class Options:
        config_path = str(tmp_path / "config.yaml")
        verbosity = 0

    noted = []

    def answers(receiver):
        if receiver.name == "good":
            return [("a@b.example", None), ("", None)]
        fault = next(iter(SendFault))
        return [("", NotSentError(fault, "it failed", "mend it", unsure=True))]

    monkeypatch.setattr(notifications, "try_receiver", answers)
    monkeypatch.setattr(notifications, "note_test", lambda _settings, name: noted.append(name))
    monkeypatch.setattr(
        notifications, "note_success", lambda _state, name, _time: noted.append(f"{name} well")
    )

    def call(*words, receivers=RECEIVERS):
        (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n{receivers}")
        done = CliRunner().invoke(command, ["test", *words], obj=Options(), standalone_mode=False)
        done.noted, noted[:] = list(noted), []
        return done

    return call


def test_a_receiver_that_accepts_the_message(run):
    done = run("good")
    assert done.return_value == ExitCode.NOTHING_FOUND
    assert done.output == (
        "ok    good (a@b.example): the message was accepted\nok    good: the message was accepted\n"
    )
    assert done.noted == ["good", "good well"]


def test_all_are_tried_and_one_failure_is_the_exit_code(run):
    done = run()
    assert done.return_value == ExitCode.USAGE
    assert done.output.splitlines()[2:] == [
        "FAIL  bad: it failed",
        "      -> mend it",
        "      the message may have arrived nevertheless",
    ]
    assert done.noted == ["good", "good well", "bad"]


def test_json_has_a_line_a_message(run):
    first, _, last = map(json.loads, run("--json").output.splitlines())
    assert first == {
        "event": "notify-test", "receiver": "good", "recipient": "a@b.example", "sent": True,
        "fault": None, "message": None, "fix": None,
    }  # fmt: skip
    assert (last["sent"], last["recipient"], last["message"]) == (False, None, "it failed")
    assert (last["fault"], last["fix"]) == (next(iter(SendFault)).value, "mend it")


def test_a_name_that_is_wrong_sends_nothing(run):
    done = run("good", "x\x1b")
    assert isinstance(done.exception, UsageError)
    assert "no receiver x\\x1b; the configuration has good, bad" in str(done.exception)
    assert (done.output, done.noted) == ("", [])


def test_without_receivers_the_section_is_named(run):
    done = run(receivers="")
    assert isinstance(done.exception, UsageError)
    assert "names no receivers; add the section `notify`" in str(done.exception)
