"""``hashscan quarantine`` as an administrator calls it."""

import json
import os
import re
import tarfile
from dataclasses import replace

import pytest
from click.testing import CliRunner
from isolating import confirmed

from hashscan.cli.quarantine import command
from hashscan.errors import QuarantineError, UsageError
from hashscan.quarantine.act import Quarantine


@pytest.fixture
def state(tmp_path, volume):
    """A state directory whose quarantine holds two files with evil names."""
    (tmp_path / "state").mkdir(mode=0o700)
    quarantine = Quarantine.open(os.fsencode(tmp_path / "state" / "quarantine"))
    for name in ("a\x1b[31m\n", "b\udcff"):
        (volume / name).write_bytes(b"content of " + os.fsencode(name))
        assert quarantine.act(confirmed(volume, name)).action == "quarantined"
    quarantine.close()
    return str(tmp_path / "state")


@pytest.fixture
def run(tmp_path, monkeypatch):
    class Context:
        config_path = str(tmp_path / "config.yaml")

    (tmp_path / "config.yaml").write_text("quarantine: {action: report}\n")

    def call(*args, given=None):
        return CliRunner().invoke(command, args, obj=Context(), input=given)

    return call


def lines(result):
    assert result.exception is None, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def ids(run, state):
    return [one["id"] for one in lines(run("list", "--state", state, "--json"))]


def test_list_and_show(run, state, volume):
    found = lines(run("list", "--state", state, "--json"))
    assert [one["event"] for one in found] == ["record", "record"]
    assert [os.fsencode(one["path"]) for one in found] == [
        os.fsencode(volume) + b"/a\x1b[31m\n",
        os.fsencode(volume) + b"/b\xff",
    ]
    text = run("list", "--state", state).stdout
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text
    assert "b\\xff" in text
    shown = run("show", "--state", state, found[0]["id"][-5:])
    assert found[0]["digests"]["sha256"] in shown.stdout
    assert "\x1b" not in shown.stdout
    whole = {**found[0], "same_inode": []}
    assert lines(run("show", "--state", state, "--json", found[0]["id"])) == [whole]


def test_list_is_aligned(run, state, volume):
    quarantine = Quarantine.open(os.fsencode(f"{state}/quarantine"))
    (volume / "large").write_bytes(bytes(3_000_000))
    match = replace(confirmed(volume, "large"), category="a-longer-category")
    quarantine.act(match)
    quarantine.close()
    rows = run("list", "--state", state).stdout.splitlines()
    assert len({row.index(os.fspath(volume)) for row in rows}) == 1, rows
    assert len({row.index("B  ") for row in rows}) == 1, rows
    assert "2.9 MiB  a-longer-category  /" in rows[2]


def test_show_points_to_the_other_names(run, state, volume):
    """Each record says what was true when it was made, and where the other names are now."""
    (volume / "one").write_bytes(b"linked")
    os.link(volume / "one", volume / "two")
    matches = [confirmed(volume, name) for name in ("one", "two")]
    quarantine = Quarantine.open(os.fsencode(f"{state}/quarantine"))
    first, second = (quarantine.act(match).quarantine_id for match in matches)
    quarantine.close()
    text = run("show", "--state", state, first).stdout
    assert "1 outside the quarantine at the moment of its move" in text
    assert f"same inode   {second} (quarantined) {volume / 'two'}\n" in text
    text = run("show", "--state", state, second).stdout
    assert "0 outside the quarantine at the moment of its move" in text
    assert f"same inode   {first} (quarantined) {volume / 'one'}\n" in text
    (found,) = lines(run("show", "--state", state, "--json", first))
    assert (found["remaining_links"], found["same_inode"]) == (1, [second])
    assert "same inode" not in run("show", "--state", state, ids(run, state)[0]).stdout


@pytest.mark.parametrize("command", ["show", "restore", "export", "purge"])
def test_an_id_that_names_no_record_is_a_usage_error(run, state, tmp_path, command):
    more = ["-o", str(tmp_path / "e.tar")] if command == "export" else []
    first, second = ids(run, state)
    common = first[:3]
    for given, words in (("nope", "no such record"), (common, "matches 2 records")):
        result = run(command, "--state", state, given, *more)
        assert isinstance(result.exception, UsageError), result.exception
        assert result.exception.exit_code == 2
        assert words in str(result.exception)
    result = run("restore", "--state", state, "nope", "neither")
    assert result.exception.exit_code == 2
    assert ids(run, state) == [first, second]


def test_nothing_was_ever_quarantined(run, tmp_path):
    state = str(tmp_path / "none")
    assert "empty" in run("list", "--state", state).stdout
    assert lines(run("verify", "--state", state, "--json")) == [
        {"event": "summary", "checked": 0, "problems": 0}
    ]
    for args in (["show", "x"], ["restore", "x"], ["export", "x", "-o", "y"], ["purge", "x"]):
        result = run(args[0], "--state", state, *args[1:])
        assert isinstance(result.exception, UsageError)
        assert result.exception.exit_code == 2
    assert not os.path.exists(state)


def test_restore_does_all_it_can_and_tells_each_failure(run, state, volume):
    first, second = ids(run, state)
    (volume / "a\x1b[31m\n").write_bytes(b"newer")
    result = run("restore", "--state", state, first, second, "zzz")
    assert isinstance(result.exception, QuarantineError)
    assert result.exception.exit_code == 3
    assert "another file has the name" in str(result.exception)
    assert "no such record" in str(result.exception)
    assert (volume / "b\udcff").exists()
    assert ids(run, state) == [first]
    assert len(lines(run("list", "--state", state, "--json", "--all"))) == 2
    (volume / "to").mkdir()
    done = lines(run("restore", "--state", state, "--json", "--to", str(volume / "to"), first))
    assert done[0]["event"] == "restored"
    assert (volume / "to" / "a\x1b[31m\n").exists()
    assert (volume / "a\x1b[31m\n").read_bytes() == b"newer"


def test_export(run, state, tmp_path):
    first, _ = ids(run, state)
    result = run("export", "--state", state, first, "-o", str(tmp_path / "e.tar"))
    assert result.exception is None
    with tarfile.open(tmp_path / "e.tar") as tar:
        assert tar.extractfile(f"{first}/content").read().startswith(b"content of ")
    assert len(ids(run, state)) == 2


def test_purge_asks_first(run, state):
    first, second = ids(run, state)
    result = run("purge", "--state", state)
    assert isinstance(result.exception, UsageError)
    assert "--older-than" in str(result.exception)
    assert isinstance(run("purge", "--state", state, "--older-than", "x").exception, UsageError)
    assert "nothing" in run("purge", "--state", state, "--older-than", "1h").stdout
    run("purge", "--state", state, first, given="n\n")
    assert ids(run, state) == [first, second]
    run("purge", "--state", state, first, given="y\n")
    assert ids(run, state) == [second]
    nobody = run("purge", "--state", state, second, given="")
    assert "--yes" in str(nobody.exception)
    assert ids(run, state) == [second]
    assert lines(run("purge", "--state", state, "--older-than", "0s", "--yes", "--json"))
    assert ids(run, state) == []


@pytest.mark.parametrize(
    "age", ["30", "7m", "3mo", "1y", "30 days", "1e3d", "inf", "-1d", "", "9" * 60]
)
def test_purge_does_not_guess_a_unit(run, state, age):
    before = ids(run, state)
    error = run("purge", "--state", state, "--yes", "--older-than", age).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith("--older-than: ")
    assert "90d" in str(error)
    assert ids(run, state) == before


def test_purge_shows_the_date_that_follows_before_and_after(run, state):
    first, second = ids(run, state)
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d \S+"
    asked = run("purge", "--state", state, "--older-than", "0s", given="n\n")
    assert re.search(
        rf"^2 contents quarantined before {date} are to be deleted for good$",
        asked.stderr,
        re.MULTILINE,
    )
    assert re.search(rf"of 2 records \(quarantined before {date}\) for good\?", asked.stderr)
    assert asked.stdout == ""
    assert ids(run, state) == [first, second]
    done = run("purge", "--state", state, "--older-than", "0s", "--yes")
    assert re.search(
        rf"^deleted for good: contents quarantined before {date}$", done.stderr, re.MULTILINE
    )
    assert f"{first}: purged (content removed, quarantined 2" in done.stdout
    assert ids(run, state) == []


@pytest.mark.parametrize("name", ["zero", "full", "urandom"])
def test_an_answer_without_an_end_is_no(run, state, name):
    with open(f"/dev/{name}", "rb") as endless:
        asked = run("purge", "--state", state, "--older-than", "0d", given=endless)
    assert "the answer on standard input is not y" in str(asked.exception)
    assert len(ids(run, state)) == 2


@pytest.mark.parametrize(
    ("answer", "left"),
    [("YES\n", 0), (" y", 0), ("y\nn\n", 0), ("y" + " " * 63, 2), ("yy\n", 2), ("\n", 2), ("n", 2)],
)
def test_only_yes_is_an_answer_that_purges(run, state, answer, left):
    asked = run("purge", "--state", state, "--older-than", "0d", given=answer)
    assert (asked.exception is None) == (left == 0)
    assert len(ids(run, state)) == left


def test_no_age_at_all_is_all_of_them_and_asked_about_as_any_other(run, state):
    before = ids(run, state)
    refused = run("purge", "--state", state, "--older-than", "0d", given="")
    assert "--yes" in str(refused.exception)
    assert "2 contents quarantined before" in refused.stderr
    assert ids(run, state) == before
    assert run("purge", "--state", state, "--older-than", "0d", "--yes").exception is None
    assert ids(run, state) == []
    none = run("purge", "--state", state, "--older-than", "0d")
    assert (none.exception, none.stdout) == (None, "nothing to purge\n")


def test_what_is_restored_before_somebody_agrees_stays_restored(run, state, volume, monkeypatch):
    first, second = ids(run, state)

    def meanwhile(*_, **__):
        assert run("restore", "--state", state, first).exception is None

    monkeypatch.setattr("hashscan.cli.quarantine.require_consent", meanwhile)
    done = run("purge", "--state", state, "--older-than", "0d", first)
    assert "it is restored" in str(done.exception)
    assert [one["state"] for one in lines(run("list", "--all", "--state", state, "--json"))] == [
        "restored",
        "purged",
    ]
    lifted = run("purge", "--state", state, first)
    assert "hold lifted" in lifted.stdout
    assert second not in lifted.stdout


def test_retention_of_the_configuration(run, state, tmp_path):
    (tmp_path / "config.yaml").write_text("quarantine: {retention: 30d}\n")
    assert "nothing" in run("purge", "--state", state, "--yes").stdout
    assert len(ids(run, state)) == 2


def test_verify(run, state):
    first, second = ids(run, state)
    found = lines(run("verify", "--state", state, "--json"))
    assert found == [{"event": "summary", "checked": 2, "problems": 0}]
    with open(f"{state}/quarantine/{first}/content", "wb") as file:
        file.write(b"altered")
    os.unlink(f"{state}/quarantine/{second}/content")
    result = run("verify", "--state", state, "--json")
    assert isinstance(result.exception, QuarantineError)
    assert result.exception.exit_code == 3
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one.get("reason") for one in found] == ["altered", "missing", None]


def test_a_damaged_record_hides_nothing(run, state):
    first, second = ids(run, state)
    with open(f"{state}/quarantine/{first}/record.json", "wb") as file:
        file.write(b"\xff")
    result = run("list", "--state", state, "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["event"], one["id"]) for one in found] == [("problem", first), ("record", second)]
    assert isinstance(result.exception, QuarantineError)
