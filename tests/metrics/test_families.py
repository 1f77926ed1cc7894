"""From a status to metrics: names, values, and labels of fixed sets."""

import json
import os
import time
from types import SimpleNamespace

import pytest
from promtool import needs_promtool, promtool, samples

from hashscan.catalog.status_overview import LastScan, Overview
from hashscan.config.settings import Settings
from hashscan.daemon.counters import Counters
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.notices.deadlines import Deadlines
from hashscan.jobs.status import FilterStatus, Status
from hashscan.jobs.status_complaints import complaints
from hashscan.metrics.collect import page, snapshot_of
from hashscan.metrics.families import Page, Snapshot
from hashscan.metrics.names import METRICS, PREFIX
from hashscan.metrics.processes import Usage
from hashscan.model import Summary
from hashscan.notify.receiver_state import ReceiverState

DASHBOARD = os.path.join(
    os.path.dirname(__file__), "..", "..", "packaging", "grafana", "hashscan.json"
)
NOW = 1_800_000_000.0
SUMMARY = {"hashed": 1, "unchanged": 2, "skipped": {"fifo": 3, "loop": 1}, "problems": 5,
           "bytes_hashed": 6, "seconds": 7.5, "matches": 8}  # fmt: skip
VOLUME = {"path": "/srv/secret", "backend": "fanotify", "starting": None, "directories": 4,
          "unwatched": 0, "example": "/srv/secret/x", "message": "", "blind": "", "away": None}  # fmt: skip


def volume(**changes):
    return {**VOLUME, **changes}


def counted():
    counters = Counters(events=11, losses=2, candidates=3, false_positives=1)
    counters.add_scan(Summary(hashed=1, skipped={"fifo": 4}, problems=2, bytes_hashed=99))
    logged = {"matches": {"held": 5}, "problems": {"denied": 2}, "log": {"error": 1}}
    return {**counters.facts(), **logged}


def full(volumes=(VOLUME,), **more):
    """A snapshot that has everything."""
    scan = LastScan(NOW - 90, NOW - 60, 11, False, (b"/srv/secret",), "scan", SUMMARY, True)
    daemon = {
        "pid": 1, "started": NOW - 500, "time": NOW - 2, "volumes": list(volumes), "backlog": 7,
        "waits_for": 1.5, "scan": {"kind": "start", "fraction": 0.25}, "scan_every": 86400.0,
        "next_scan": NOW + 60, "filters": [], "counters": counted(),
        "sync": {"time": NOW - 30, "next": NOW + 30, "failing_since": NOW - 10},
        "notices": {"maildir": "/m", "waiting": 2, "examples": []},
    }  # fmt: skip
    facts = {
        "state": "/", "running": 1, "source": "https://filters.example/",
        "filters": (
            FilterStatus("baseline", "1", 10, "/f", verified=NOW - 40, age=40.0),
            FilterStatus("other", "1", 5, "/f", verified=NOW - 20, age=20.0),
            FilterStatus("/etc/secret.filter", trouble="no such file"),
        ),
        "catalog": Overview(scan, 3, NOW - 7, 4, scan, (6, b"/srv/secret/x", "busy"),
                            {b"/srv/secret": scan}, {b"/srv/secret": 9}, "refused"),
        "quarantine": {"quarantined": 12, "damaged": 1, "withdrawn": 2}, "trouble": (), "daemon": daemon,
        "alive": True, "reports_only": "it says so",
        "receivers": (ReceiverState("mail", 2, 5, oldest=NOW - 9, trouble="no route", given_up=1, refused=2),
                      ReceiverState("hook", 1, 1, oldest=NOW - 4)),
        "holds": (SimpleNamespace(files=2), SimpleNamespace(files=3)),
        "deadlines": Deadlines(4, 9, 1, 2, NOW + 5, unread=3), **more,
    }  # fmt: skip
    settings = Settings.of(
        state="/var/lib",
        quarantine={"directory": "/tmp"},
        filter={"source": "https://x/", "root": "/r"},
    )
    reasons = [Reason.CLOCK, Reason.CLOCK, Reason.PENDING]
    return Snapshot(settings, Status(**facts), reasons, 6, NOW, [b"/srv/secret"], 0.5,
                    Usage(1, 100, 2.5), Usage(4, 400, 9.25))  # fmt: skip


def found(snapshot):
    return samples(page(snapshot).decode())


def names(values):
    return {name.partition("{")[0] for name in values}


def test_all_metrics_are_there_and_no_others():
    assert names(found(full())) == METRICS.keys()


def test_values():
    values = found(full())
    expected = {
        "healthy": 0, "status_exit_code": 6, 'complaints{reason="clock"}': 2,
        'complaints{reason="pending"}': 1, 'complaints{reason="matches-held"}': 0,
        "collected_timestamp_seconds": NOW, "collection_duration_seconds": 0.5,
        "daemon_running": 1, "daemon_start_time_seconds": NOW - 500,
        "daemon_status_timestamp_seconds": NOW - 2, 'volumes{state="watched"}': 1,
        'volumes{state="missing"}': 0, 'watch_directories{state="watched"}': 4,
        "volumes_without_whole_scan": 0, "oldest_whole_scan_timestamp_seconds": NOW - 60,
        "last_whole_scan_timestamp_seconds": NOW - 60, "last_whole_scan_duration_seconds": 7.5,
        'last_whole_scan_files{outcome="skipped"}': 4,
        'last_whole_scan_files{outcome="problem"}': 5, "last_whole_scan_hashed_bytes": 6,
        "last_whole_scan_matches": 8, "last_scan_start_timestamp_seconds": NOW - 90,
        "last_scan_end_timestamp_seconds": NOW - 60, "scan_running": 1,
        "scan_progress_ratio": 0.25, "scan_interval_seconds": 86400,
        "next_scan_timestamp_seconds": NOW + 60, "unreadable_files": 4, "watch_events_total": 11,
        "watch_losses_total": 2, "watch_queue_length": 7, "watch_oldest_change_age_seconds": 1.5,
        'filters{state="usable"}': 2, 'filters{state="unusable"}': 1, "filter_digests": 15,
        "filter_verified_timestamp_seconds": NOW - 40, "filter_max_age_seconds": 7 * 86400,
        "last_sync_timestamp_seconds": NOW - 30, "next_sync_timestamp_seconds": NOW + 30,
        "sync_failing_since_timestamp_seconds": NOW - 10, 'files_total{outcome="hashed"}': 1,
        'files_total{outcome="skipped"}': 4, 'files_total{outcome="problem"}': 2,
        'skipped_files_total{reason="fifo"}': 4, "hashed_bytes_total": 99,
        'problems_total{reason="denied"}': 2, 'problems_total{reason="stale"}': 0,
        "scans_total": 1, "candidates_total": 3, "false_positives_total": 1,
        'matches_total{action="held"}': 5, 'matches_total{action="allowed"}': 0,
        'log_messages_total{level="error"}': 1, "pending_candidates": 3,
        "pending_oldest_timestamp_seconds": NOW - 7, "service_refuses_password": 1,
        "unmoved_matches": 6, "reported_matches": 9, "holds_open": 2, "held_matches": 5,
        'quarantine_records{state="quarantined"}': 12, 'quarantine_records{state="damaged"}': 1,
        'quarantine_records{state="purged"}': 0,
        'quarantine_records{state="withdrawn"}': 2, "notices_open": 4, "notice_items_open": 9,
        "notices_due_soon": 1, "notices_overdue": 2,
        "notices_next_deadline_timestamp_seconds": NOW + 5, "notices_unread": 5,
        'notify_receivers{state="failing"}': 1, 'notify_receivers{state="working"}': 1,
        "notify_waiting_messages": 3, "notify_waiting_events": 6,
        "notify_oldest_timestamp_seconds": NOW - 9, "notify_refused_messages": 3,
        'processes{process="children"}': 4, 'process_memory_bytes{process="daemon"}': 100,
        'process_cpu_seconds_total{process="children"}': 9.25,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    assert values['storage_free_bytes{place="state"}'] > 0


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "watched"),
        ({"unwatched": 1}, "partly-watched"),
        ({"blind": "mmap"}, "partly-watched"),
        ({"unwatched": 1, "directories": 0}, "not-watched"),
        ({"backend": "off"}, "not-watched"),
        ({"backend": "starting"}, "starting"),
        ({"starting": 1.0}, "starting"),
        ({"away": "gone", "backend": "off"}, "missing"),
    ],
)
def test_a_volume_has_one_state(changes, state):
    values = found(full([volume(**changes)]))
    states = {name: value for name, value in values.items() if name.startswith("volumes{")}
    assert [name for name, value in states.items() if value] == [f'volumes{{state="{state}"}}']


def test_ten_thousand_volumes_make_no_more_samples_and_no_label_has_a_path():
    few = found(full())
    many = found(full([volume(path=f"/srv/secret/{n}") for n in range(10_000)]))
    assert many.keys() <= few.keys()
    assert many['volumes{state="watched"}'] == 10_000
    assert many["volumes_without_whole_scan"] == 10_000
    text = page(full(trouble=(), uncovered=())).decode()
    assert "secret" not in text
    assert len(few) < 200


def test_without_a_daemon_only_what_is_on_disk_is_known():
    values = found(full(alive=False))
    assert values["daemon_running"] == 0
    assert values["pending_candidates"] == 3
    assert not [name for name in values if "_total" in name or name.startswith("process")]
    assert "watch_queue_length" not in values
    assert values["volumes_without_whole_scan"] == 0


def test_a_time_that_never_was_is_no_sample():
    nothing = found(full(catalog=Overview(None, 0, None, 0), deadlines=None))
    assert "pending_oldest_timestamp_seconds" not in nothing
    assert "last_whole_scan_timestamp_seconds" not in nothing
    assert "oldest_whole_scan_timestamp_seconds" not in nothing
    assert nothing["volumes_without_whole_scan"] == 1
    assert "pending_candidates" not in found(full(catalog=None))


def test_filters_made_from_lists_are_the_daemons():
    status = full(filters=()).status
    status.daemon["filters"] = [{"digests": 21}]
    values = found(full(filters=(), daemon=status.daemon))
    assert values['filters{state="usable"}'] == 1
    assert values["filter_digests"] == 21


def test_labels_are_those_of_the_description():
    with pytest.raises(AssertionError, match="files_total"):
        Page().put("files_total", 1, path="/srv")


def dashboard():
    """The queries of each panel, for one machine."""
    with open(DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    for panel in panels:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$instance", "web1").replace("$__rate_interval", "5m")
            yield panel["title"], query


@needs_promtool
def test_each_query_of_the_dashboard_has_data(tmp_path):
    """Prometheus' engine answers them from ten minutes of what hashscan exports."""
    series = []
    for line in page(full()).decode().splitlines():
        if line.startswith(PREFIX):
            name, _, value = line.rpartition(" ")
            name, _, labels = name.partition("{")
            own = [
                *filter(None, labels.rstrip("}").split(",")),
                'job="hashscan"',
                'instance="web1"',
            ]
            growth = "+1" if name.endswith("_total") else "+0"
            # The page's own time is far from that of the test, which begins at 0.
            value = "0" if name.endswith("_timestamp_seconds") else value
            series.append(
                {"series": f"{name}{{{','.join(own)}}}", "values": f"{float(value):f}{growth}x40"}
            )
    queries = list(dashboard())
    assert len(queries) > 25
    tests = [
        {"expr": f"sgn(count({query}))", "eval_time": "10m",
         "exp_samples": [{"labels": "{}", "value": 1}]}
        for _, query in queries
    ]  # fmt: skip
    test = {"interval": "15s", "input_series": series, "promql_expr_test": tests}
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [test]}))
    code, said = promtool("test", "rules", tmp_path / "test.yml")
    assert code == 0, said


@needs_promtool
def test_promtool_finds_nothing():
    assert promtool("check", "metrics", text=page(full()).decode()) == (0, "")


def test_each_reason_is_a_complaint_of_a_fixed_set():
    settings, status = full(holds=())[:2]
    wrong = complaints(status)
    assert wrong
    assert {one.reason for one in wrong} <= set(Reason)
    values = found(snapshot_of(settings, status, wrong, time.monotonic()))
    assert values["status_exit_code"] == wrong[0].code
    assert sum(v for name, v in values.items() if name.startswith("complaints{")) == len(wrong)
