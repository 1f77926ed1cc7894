"""The JSON line of ``hashscan status``."""

import json

from hashscan.catalog.status_overview import LastScan, Overview
from hashscan.cli.status_json import status_json
from hashscan.errors import ExitCode
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.notices.deadlines import Deadlines
from hashscan.jobs.status import FilterStatus, Status
from hashscan.jobs.status_complaints import Complaint
from hashscan.quarantine.hold_types import Hold
from hashscan.service.intake.running import Running

T, TEXT = 1_700_000_000.0, "2023-11-14T22:13:20.000Z"
SCAN = LastScan(T, T + 60, 5, False, (b"/v", b"/\xff"), "scan", {"matches": 1, "problems": 2}, True)


def shown(*faults, **facts):
    given = {"running": None, "filters": (), "catalog": None, "quarantine": {}, "trouble": ()}
    found = json.loads(
        status_json(Status(state="/s", source="lists", **{**given, **facts}), faults)
    )
    assert next(iter(found)) == "event"
    return found


def test_a_status_of_nothing():
    assert shown() == {
        "event": "status", "well": True, "complaints": [], "state": "/s", "running": None,
        "source": "lists", "filters": [], "scan": None, "last_whole_scan": None,
        "last_whole_scans": {}, "daemon": None, "uncovered": [], "pending": 0, "unmoved": 0,
        "held": 0, "holds": [], "reported": 0, "reports_only": False, "moves_named": False,
        "problems": 0, "quarantine": {}, "notices": None, "intake": None, "notify": [],
        "retention": None, "trouble": [],
    }  # fmt: skip


def test_complaints_have_their_exit_codes():
    found = shown(Complaint(ExitCode.FILTER, Reason.FILTER, "it is old"))
    assert not found["well"]
    assert found["complaints"] == [{"code": 5, "reason": "filter", "message": "it is old"}]


def test_times_of_the_daemons_status_file_are_rfc_3339_at_every_depth():
    found = shown(
        alive=True,
        daemon={"started": T, "pid": 7, "backlog": T, "sync": {"next": int(T), "message": "x"},
                "notices": {"oldest": None}, "volumes": [{"since": T, "path": "/v"}, "word"]},
    )["daemon"]  # fmt: skip
    assert found == {
        "running": True, "started": TEXT, "pid": 7, "backlog": T,
        "sync": {"next": TEXT, "message": "x"}, "notices": {"oldest": None},
        "volumes": [{"since": TEXT, "path": "/v"}, "word"],
    }  # fmt: skip


def test_scans_and_the_volumes_only_once():
    running = LastScan(T, None, None, False, (b"/v",), "start", {})
    catalog = Overview(running, 3, T, 4, SCAN, (6, b"/v/x", "busy"), {b"/\xff": SCAN})
    found = shown(catalog=catalog)
    assert (found["pending"], found["problems"], found["unmoved"]) == (3, 4, 6)
    assert found["scan"] == {
        "started": TEXT, "ended": None, "files": None, "interrupted": False, "whole": False,
        "volumes": ["/v"], "kind": "start", "matches": None, "problems": None,
    }  # fmt: skip
    whole = found["last_whole_scan"]
    assert (whole["volumes"], whole["whole"]) == (["/v", "/\udcff"], True)
    assert (whole["ended"], whole["matches"], whole["problems"]) == (
        "2023-11-14T22:14:20.000Z", 1, 2,
    )  # fmt: skip
    del whole["volumes"]
    assert found["last_whole_scans"] == {"/\udcff": whole}


def test_a_filter_that_is_used_and_one_that_is_not():
    used = FilterStatus(
        "baseline", "v1", 10, "/f", "2023-11-14T22:13:20Z", T, 40.26, None, ("size",),
        ("no head: old", "no size: old"),
    )  # fmt: skip
    broken = FilterStatus("x", trouble="no such file", tiers_unused=("y",))
    found, other = shown(filters=(used, broken))["filters"]
    assert found == {
        "category": "baseline", "usable": True, "version": "v1", "digests": 10,
        "created": "2023-11-14T22:13:20Z", "verified": TEXT, "age_seconds": 40.3, "path": "/f",
        "tiers": ["size"], "message": "no head: old; no size: old",
    }  # fmt: skip
    assert (other["usable"], other["message"]) == (False, "no such file")
    assert other["verified"] is other["age_seconds"] is None


def test_holds_are_added_up():
    facts = ("owner", "held", "many", 1000, None, None, None, T, None, "", "")
    found = shown(holds=tuple(Hold(f"H{files}", *facts, files, 1, True) for files in (2, 3)))
    assert found["held"] == 5
    assert found["holds"][1] == {"id": "H3", "reason": "many", "files": 3, "owners": 1}


def test_notices_and_their_intake():
    found = shown(deadlines=Deadlines(4, 9, 1, 2, T, unread=3), intake=Running(2, 7, "http://x", T))
    assert found["notices"] == {
        "open": 4, "items": 9, "due_soon": 1, "overdue": 2, "next_deadline": TEXT, "unread": 3,
    }  # fmt: skip
    assert found["intake"] == {
        "running": True, "process": 7, "address": "http://x", "since": TEXT, "tokens": 2,
    }  # fmt: skip
    assert shown(intake=Running(2))["intake"] == {
        "running": False, "process": None, "address": None, "since": None, "tokens": 2,
    }  # fmt: skip
