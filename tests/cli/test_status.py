"""``hashscan status`` as a screen of text, and its help."""

import json
import os
from dataclasses import replace

import click
import pytest
import ready
from left_state import DAY

from hashscan.cli.status import _as_text, command
from hashscan.config.loader import load
from hashscan.jobs.status import moves_named, reports_only, status_of


def test_the_first_line_says_what_is_wrong(place):
    place.scanned(30 * DAY).candidate(3600.0)
    ran = place.run()
    assert ran.returncode == 6
    first = ran.stdout.splitlines()[0]
    assert first.startswith("needs somebody: 1 candidate without a verdict")
    assert first.endswith("(and 1 more, see below)")


def test_times_are_local(place, monkeypatch):
    place.scanned().daemon(next_scan=1_700_000_000.0)
    environment = {**os.environ, "TZ": "Asia/Kathmandu"}
    ran = ready.in_words(ready.hashscan("--config", str(place.config), "status", env=environment))
    assert "next        scan 2023-11-15 03:58 +0545" in ran.stdout
    told = json.loads(place.run("--json").stdout)
    assert told["daemon"]["next_scan"] == "2023-11-14T22:13:20.000Z"


def many(place, count):
    paths = [place.directory / str(number) for number in range(count)]
    volume = {"backend": "fanotify", "directories": 0, "unwatched": 0, "message": "", "blind": ""}
    away = {"away": "not mounted"}
    volumes = [{**volume, "path": str(one), "away": None, "starting": None} for one in paths]
    for one in volumes[: count // 2]:
        one.update(away)
    place.volumes = paths
    place.write()
    place.scanned(volumes=paths)
    place.daemon(volumes=volumes)


def test_one_screen_and_linear_json_however_many_volumes_there_are(place):
    sizes = []
    for count in (100, 400):
        many(place, count)
        lines = place.run().stdout.splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) < 1000
        assert any(f"volumes     {count}: {count // 2} not there" in one for one in lines)
        sizes.append(len(place.run("--json").stdout))
    assert sizes[0] < 100_000
    assert sizes[1] < 4.5 * sizes[0]


def test_a_list_of_one_digest_is_counted_in_words(place):
    place.write()
    place.daemon(filters=[{"digests": 1, "version": "v1"}])
    text = _as_text(replace(status_of(place.settings), filters=()), [])
    assert "              1 digest in force, version v1" in text.splitlines()


def test_reported_matches_name_the_commands_that_show_them(place, monkeypatch):
    found = replace(status_of(place.settings), reports_only="service.test is true")
    monkeypatch.setattr(type(found), "reported", 2)
    assert "'hashscan history' names some of them, 'hashscan scan' all" in _as_text(found, [])


@pytest.mark.parametrize("alive", [False, True])
@pytest.mark.parametrize("action", ["report", "quarantine"])
def test_what_moves_if_matches_are_only_reported(place, action, alive):
    place.extra = f"notices: {{action: {action}}}\n"
    place.write()
    place.config.write_text(
        place.config.read_text().replace(
            "quarantine: {action: quarantine", "quarantine: {action: report"
        )
    )
    place.settings = load(str(place.config))
    if alive:
        place.daemon(
            reports_only=reports_only(place.settings), moves_named=moves_named(place.settings)
        )
    named = "; files that notices name are moved (notices.action)" if action == "quarantine" else ""
    line = (
        f"  reported    none; matches are not moved, because quarantine.action is 'report'{named}"
    )
    assert line in _as_text(status_of(place.settings), []).splitlines()


def test_the_exit_codes_of_status_are_a_list_with_a_cause_on_each_line():
    context = click.Context(command, terminal_width=80)
    lines = command.get_help(context).partition("With --nagios")[0].splitlines()
    codes = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isdigit()]
    assert codes == ["5", "70", "1", "6", "2", "3", "0"], "the most urgent one first"
    assert sum(line.startswith("      - ") for line in lines) > 20
    assert all(len(line) <= 80 for line in lines)
