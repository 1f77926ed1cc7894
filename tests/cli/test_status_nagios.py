"""``status --nagios``: one line, figures and an exit code of a monitoring plug-in."""

import time
from dataclasses import replace

import pytest
import ready

from hashscan.catalog.status_overview import LastScan, Overview
from hashscan.cli.status_nagios import CRITICAL, UNKNOWN, WARNING, plugin_result, unknown
from hashscan.errors import ExitCode
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.notices.deadlines import Deadlines
from hashscan.jobs.status import FilterStatus, Status
from hashscan.jobs.status_complaints import Complaint


def test_the_output_of_a_monitoring_plug_in(place):
    def told(code):
        ran = place.run("--nagios")
        assert ran.returncode == code, ran.stdout
        first = ran.stdout.splitlines()[0]
        text, _, figures = first.partition(" | ")
        values = dict(one.split("=") for one in figures.split())
        assert all(set(one) <= set("0123456789.;s") for one in values.values())
        return text, values

    place.scanned(3600)
    text, values = told(0)
    assert text == "HASHSCAN OK - no daemon"
    assert values["pending"] == "0;;;0"
    assert not {"volumes", "volumes_away"} & set(values), "only a daemon knows"
    assert float(values["scan_age"].partition("s")[0]) == pytest.approx(3600, abs=60)
    place.candidate(3600.0, "a | b")
    text, values = told(1)
    assert text.startswith("HASHSCAN WARNING - 1 candidate without a verdict")
    assert values["pending"] == "1;;;0"
    place.daemon(alive=False, stopped=False)
    text, _ = told(2)
    assert text.startswith("HASHSCAN CRITICAL - the daemon (process 1) has died")
    assert text.endswith("(and 1 more)")
    assert len(place.run("--nagios").stdout.splitlines()) == 2
    place.config.write_text("nonsense: 1\n")
    ran = place.run("--nagios")
    assert ran.returncode == 3
    assert ran.stdout.startswith("HASHSCAN UNKNOWN - ")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--warning", "5"], "No such option '--warning'"),
        (["--json"], "--nagios and --json exclude each other"),
        (["--state", ""], "nothing is written after --state"),
        (["--state="], "nothing is written after --state="),
    ],
)
def test_a_wrong_command_line_of_a_plug_in_is_unknown(typed, words):
    done = ready.in_words(ready.hashscan("status", "--nagios", *typed))
    assert done.returncode == 3
    assert done.stdout.startswith(f"HASHSCAN UNKNOWN - {words}")
    assert done.stderr == ""


def status(**facts):
    """A status of nothing but these facts."""
    given = {"running": None, "filters": (), "catalog": None, "quarantine": {}, "trouble": ()}
    return Status(state="/s", source="lists", **{**given, **facts})


def figures_of(found):
    _, text = plugin_result(found)
    return dict(one.split("=") for one in text.splitlines()[0].partition(" | ")[2].split())


def test_a_fault_that_is_critical_goes_first(monkeypatch):
    wrong = [
        Complaint(ExitCode.SERVICE, Reason.PENDING, "the service | is away"),
        Complaint(ExitCode.FILTER, Reason.FILTER, "the filter\nis old"),
        Complaint(ExitCode.UNREADABLE, Reason.VOLUME_MISSING, "a volume is missing"),
    ]
    monkeypatch.setattr("hashscan.cli.status_nagios.complaints", lambda _: list(wrong))
    code, text = plugin_result(status())
    first, *others = text.splitlines()
    assert (code, first.partition(" | ")[0]) == (
        CRITICAL,
        "HASHSCAN CRITICAL - the filter is old (and 2 more)",
    )
    assert others == ["the service / is away", "a volume is missing"]
    del wrong[1]
    assert plugin_result(status())[0] == WARNING


def test_the_lines_fit_on_a_page(monkeypatch):
    wrong = [
        Complaint(ExitCode.UNREADABLE, Reason.VOLUME_MISSING, str(number)) for number in range(1500)
    ]
    monkeypatch.setattr("hashscan.cli.status_nagios.complaints", lambda _: list(wrong))
    _, text = plugin_result(status())
    assert len(text.splitlines()) == 20
    assert "0 (and 1,499 more)" in text.splitlines()[0]


def test_what_is_unknown_is_one_line():
    assert unknown("a\nb | c") == (UNKNOWN, "HASHSCAN UNKNOWN - a b / c")


def test_figures_without_a_catalog_are_zero():
    assert figures_of(status()) == {
        "problems": "0;;;0",
        "pending": "0;;;0",
        "pending_age": "0s;900;;0",
        "unmoved": "0;;0;0",
        "held": "0;;0;0",
        "reported": "0;;0;0",
        "quarantined": "0;;;0",
    }


def test_figures_of_a_daemon_that_runs(monkeypatch):
    monkeypatch.setattr("hashscan.cli.status_nagios.complaints", lambda _: [])
    volumes = [{"path": "/v", "away": None}, {"path": "/w", "away": "not mounted"}]
    daemon = {"volumes": volumes, "backlog": 7, "notices": {"waiting": 2}}
    now = time.time()
    whole = LastScan(now - 90, None, 1, False, (), "scan", {})
    found = status(
        daemon=daemon,
        alive=True,
        filters=(FilterStatus("a", age=40.4), FilterStatus("b"), FilterStatus("c", age=9.0)),
        catalog=Overview(None, 3, now + 100, 4, whole, (6, b"/v/x", "busy")),
        quarantine={"quarantined": 12},
        deadlines=Deadlines(4, 9, 1, 2, None, unread=0),
    )
    figures = figures_of(found)
    assert 90 <= int(figures.pop("scan_age").partition("s")[0]) < 150
    assert figures == {
        "volumes": "2;;;0",
        "volumes_away": "1;;;0",
        "problems": "4;;;0",
        "pending": "3;;;0",
        "pending_age": "0s;900;;0",
        "unmoved": "6;;0;0",
        "held": "0;;0;0",
        "reported": "0;;0;0",
        "quarantined": "12;;;0",
        "notices": "4;;;0",
        "notices_due_soon": "1;0;;0",
        "notices_overdue": "2;;0;0",
        "mails_not_understood": "2;0;;0",
        "filter_age": "40s;;;0",
        "backlog": "7;;;0",
    }
    stopped = figures_of(replace(found, alive=False))
    assert {"volumes", "volumes_away", "mails_not_understood", "backlog"}.isdisjoint(stopped)
