"""hashscan.jobs: small parts that commands and the daemon share, each without a machine of its own."""

import resource
from contextlib import nullcontext
from types import SimpleNamespace

import notice_machine
import pytest

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.errors import LockedError, QuarantineError
from hashscan.jobs import (
    coverage_gaps,
    known_set,
    machine_limits,
    notifications,
    report_xarf,
    scan,
    withdrawn_digests,
)
from hashscan.jobs.notices import deadlines, mailbox, moved_files
from hashscan.jobs.report_xarf import NotReported, WantedReports
from hashscan.known.confirmers import local_list
from hashscan.notices import unread_inputs
from hashscan.notices.notice import ItemKind, ItemState, Role
from hashscan.quarantine.records import AWAY
from hashscan.state import State

# Mails


@pytest.mark.parametrize(
    ("notices", "what", "fix"),
    [
        ({}, "a mail moves no file that no list knows (notices.action)", ""),
        ({"action": "quarantine"}, "until you approve its notice", "name the hotlines whose"),
        (
            {"action": "quarantine", "senders": ["*"], "maildir": "/m"},
            "moves the files that it names, from any sender",
            "let the mail server deliver only verified mails there",
        ),
        (
            {"action": "quarantine", "senders": ["hotline.example"], "verified_by": "mx.example",
             "maildir": "/m"},
            "if the first Authentication-Results of mx.example verifies the sender",
            "",
        ),
    ],
)  # fmt: skip
def test_what_a_mail_does_to_files(notices, what, fix):
    found, advice = mailbox.authority_of_mails(Settings.of(notices=notices))
    assert what in found
    assert fix in advice
    assert bool(advice) is bool(fix)


# Statements of reasons


def test_files_that_were_moved_for_a_notice(monkeypatch):
    records = {}

    class Store:
        @classmethod
        def open(cls, _directory, *, create):
            assert create is False
            return cls()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def load(self, number):
            return records[number]

    def record(number, state, owner="ann", **more):
        metadata = SimpleNamespace(owner=owner, uid=1000)
        records[number] = SimpleNamespace(
            **{
                "id": number, "state": state, "metadata": metadata,
                "acted": "2026-01-01T00:00:00Z", "origin": SimpleNamespace(full_path=b"/v/a"),
                **more,
            }
        )  # fmt: skip

    def file(number, role=Role.NAMED):
        return SimpleNamespace(item=3, quarantine_id=number, category="c", role=role)

    away = next(iter(AWAY))
    record("one", away)
    record("back", "restored")
    record("nobody", away, owner=None)
    monkeypatch.setattr(moved_files, "Store", Store)
    settings = Settings.of(state="/s")
    assert moved_files.moved_files(settings, [file(None)]) == []
    given = [file("one"), file("one", Role.COPY), file("back"), file("nobody", Role.COPY)]
    first, second = moved_files.moved_files(settings, given)
    assert (first.item, first.owner, first.path, first.category) == (3, "ann", b"/v/a", "c")
    assert (first.is_named, first.when) == (True, 1767225600.0)
    assert (second.owner, second.is_named) == ("1000", False)
    record("damaged", away, metadata=None)
    with pytest.raises(QuarantineError, match="the record damaged has no owner"):
        moved_files.moved_files(settings, [file("damaged")])


# Reports of abuse


@pytest.fixture
def found():
    """The finder of what to report; ``record``: what the quarantine has of the file."""
    one = object.__new__(report_xarf._Found)
    one.record = None

    def load(_number):
        if isinstance(one.record, Exception):
            raise one.record
        return one.record

    one._wanted, one._reported, one._store = (
        WantedReports(0.0, 9.0),
        set(),
        SimpleNamespace(load=load),
    )
    one._url_of = lambda path, *, moved: f"url of {path.decode()} {moved}"
    return one


def named(role=Role.NAMED, **facts):
    given = {"category": "c", "quarantine_id": None, "away": None, "digests": (), **facts}
    return SimpleNamespace(role=role, volume=b"/v", path=b"a", **given)


def of_item(found, *files, state=ItemState.LOCATED, kind=ItemKind.URL):
    parsed = SimpleNamespace(
        kind=kind, value="http://x.example/a", ip="192.0.2.1", classification="k", digests=()
    )
    item = SimpleNamespace(number=3, state=state, parsed=parsed)
    return list(found._of_item(SimpleNamespace(received=5.0), item, list(files)))


def test_a_named_file_is_reported_with_its_url(found):
    (one,) = of_item(found, named())
    assert (one.key, one.name, one.url) == ("item 3 /v/a", *["http://x.example/a"] * 2)
    assert (one.source, one.categories, one.method) == ("192.0.2.1", ("c", "k"), "hash_match")
    assert (one.when, one.removed) == (5.0, False)
    assert of_item(found, named()) == [], "each path once"


def test_a_copy_and_a_path_have_the_url_of_their_site(found):
    (one,) = of_item(found, named(Role.COPY, away=1.0))
    assert (one.name, one.url, one.removed) == ("/v/a", "url of /v/a True", True)
    found._reported.clear()
    (one,) = of_item(found, named(), kind=ItemKind.PATH)
    assert one.url == "url of /v/a False"


def test_what_no_list_knows_is_reported_once_it_is_removed(found):
    assert of_item(found, named(category=None)) == []
    (one,) = of_item(found, named(category=None), state=ItemState.REMOVED)
    assert one.method == "user_report"
    found._reported.clear()
    assert of_item(found, named(Role.PART)) == []


def test_a_file_in_quarantine_is_that_of_its_record(found):
    found.record = SimpleNamespace(id="r1", state=next(iter(AWAY)))
    (one,) = of_item(found, named(quarantine_id="r1"))
    assert one.removed
    assert found._reported == {b"/v/a", "r1"}
    found._reported = {"r1"}
    assert of_item(found, named(quarantine_id="r1")) == []
    found._reported.clear()
    found.record.state = "restored"
    assert of_item(found, named(quarantine_id="r1")) == []
    found.record = QuarantineError("its record is damaged", reason="damaged")
    assert of_item(found, named(quarantine_id="r1")) == [
        NotReported("http://x.example/a", "its record is damaged")
    ]


def test_records_of_the_period_that_no_notice_made(found, monkeypatch):
    digests = SimpleNamespace(as_dict=lambda: {"sha1": "ab"})

    def listed(number, **facts):
        record = SimpleNamespace(
            **{
                "id": number, "state": next(iter(AWAY)), "authority": None, "category": "c",
                "origin": SimpleNamespace(full_path=b"/v/" + number.encode()),
                "digests": digests, "expected": {"md5": "cd"}, "detected": "1970-01-01T00:00:05Z",
                **facts,
            }
        )  # fmt: skip
        return SimpleNamespace(record=record, record_id=number, trouble="")

    all_of_them = [
        SimpleNamespace(record=None, record_id="damaged", trouble="it cannot be read"),
        listed("first"), listed("bare", digests=None), listed("back", state="restored"),
        listed("late", detected="1970-01-01T00:00:09Z"), listed("odd", detected="yesterday"),
        listed("named", authority=SimpleNamespace(kind="notice")),
        listed("ordered", authority=SimpleNamespace(kind="order")), listed("told"),
    ]  # fmt: skip
    monkeypatch.setattr(report_xarf, "records", lambda _store: all_of_them)
    found._reported.add("told")
    damaged, *others = found._of_records()
    assert damaged == NotReported("damaged", "it cannot be read")
    assert [one.key for one in others] == ["record first", "record bare", "record ordered"]
    assert [one.digests for one in others[:2]] == [{"sha1": "ab"}, {"md5": "cd"}]
    assert (others[0].url, others[0].removed, others[0].when) == ("url of /v/first True", True, 5.0)
    assert found._reported == {"told", b"/v/first", b"/v/bare", b"/v/ordered"}
    found._store = None
    assert list(found._of_records()) == []


# Status


def test_without_proc_no_volume_is_on_a_file_server(monkeypatch):
    def refuses():
        raise OSError(2, "No such file")

    monkeypatch.setattr(coverage_gaps, "mounts_now", refuses)
    assert coverage_gaps._mounts().reach(b"/srv").server == b""


def test_the_path_of_a_volume_on_a_file_server_is_not_resolved(monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to("/")
    mounts = SimpleNamespace(
        reach=lambda path: SimpleNamespace(server=b"nfs" if path.endswith(b"far") else b"")
    )
    monkeypatch.setattr(coverage_gaps, "resolve", lambda path: f"/resolved{path}")
    settings = Settings.of(volumes=[{"path": "/srv/far"}, {"path": "/srv/near"}])
    assert list(coverage_gaps._roots(settings, mounts)) == [
        (b"/srv/far", True), (b"/resolved/srv/near", False),
    ]  # fmt: skip

    def unsafe(_path):
        raise coverage_gaps.UnsafePathError("a customer's link", "x")

    monkeypatch.setattr(coverage_gaps, "resolve", unsafe)
    assert list(coverage_gaps._roots(settings, mounts))[1] == (b"/srv/near", False)


# Known sets


def test_digests_of_lists_that_a_filter_lacks_are_named(monkeypatch):
    confirmer = SimpleNamespace(name="lists", missing_in=lambda _given: 3)
    known = SimpleNamespace(
        confirmer=confirmer, loaded=["own"], digests=9, remarks=["said once"], built=True, key="k"
    )
    monkeypatch.setattr(local_list, "open_local", lambda *_given, **_named: known)
    said = []
    given = (SimpleNamespace(path="/f.bloom"),)
    opened = known_set._local(
        ["l"], (), SimpleNamespace(filters="/x"), given, said.append, nullcontext
    )
    assert said[0].startswith("3 of the 9 digests of the lists are not in the filter /f.bloom,")
    assert said[1:] == ["said once"]
    assert (opened.filters, opened.remote, opened.service) == (given, False, "lists")
    confirmer.missing_in = lambda _given: 0
    known.built = False
    said.clear()
    known_set._local(["l"], (), SimpleNamespace(filters="/x"), given, said.append, nullcontext)
    assert said == [], "remarks are for those who read the lists"


# Notifications


@pytest.fixture
def sends(monkeypatch):
    """What a scan sends at its end; ``finished``: all of it in time."""
    one = SimpleNamespace(finished=True, daemon=None, locked=False, steps=[], lines=[])

    class Dispatcher:
        def __init__(self, *_given, alone):
            assert alone is True

        def finish(self, seconds):
            one.steps.append(("finish", seconds))
            return one.finished

        def stop(self):
            one.steps.append("stop")

        def take_lines(self):
            return one.lines

    class Outbox(nullcontext):
        def begin_at(self, number):
            one.steps.append(("begin", number))

        def __enter__(self):
            return self

    def lock(_path):
        if one.locked:
            raise LockedError("another scan")
        return nullcontext()

    for name, value in (
        ("Dispatcher", Dispatcher), ("Outbox", Outbox), ("Lock", lock), ("newest", lambda _path: 7),
        ("daemon_of", lambda _state: one.daemon), ("DispatchLog", lambda _path: None),
    ):  # fmt: skip
        monkeypatch.setattr(notifications, name, value)
    one.said = []
    receiver = {"name": "a", "kind": "command", "command": ["/bin/true"]}
    state = SimpleNamespace(directory="/s")

    def send(**sections):
        one.steps.clear()
        one.said.clear()
        settings = Settings.of(**{"notify": [receiver], **sections})
        notifications.send_now(settings, state, one.said.append)

    one.send = send
    return one


def test_a_scan_sends_what_waits_and_reports_what_went_wrong(sends):
    sends.send()
    assert sends.steps == [("begin", 7), ("finish", 20.0), "stop"]
    assert sends.said == []
    sends.finished = False
    sends.lines = [
        SimpleNamespace(level="info", text="sent"), SimpleNamespace(level="warning", text="no"),
    ]  # fmt: skip
    sends.send()
    assert sends.said == [
        "notify: not all messages were sent within 20 s; the next scan or the daemon sends them",
        "no",
    ]


@pytest.mark.parametrize("who", ["daemon", "another scan", "nobody to send to"])
def test_a_scan_sends_nothing_that_another_process_sends(sends, who):
    sends.daemon = 77 if who == "daemon" else None
    sends.locked = who == "another scan"
    sends.send(**({"notify": []} if who == "nobody to send to" else {}))
    assert (sends.steps, sends.said) == ([], [])


def test_the_audit_log_ends_here_for_a_scan_with_receivers(sends):
    notifications.begin_notifying(Settings.of(), SimpleNamespace(directory="/s"))
    assert sends.steps == []


# Withdrawals


def test_withdrawals_of_a_quarantine_that_is_not_there(monkeypatch):
    fault = ["no-store"]

    def opens(*_given, **_named):
        raise QuarantineError("damaged", reason=fault[0])

    asked = SimpleNamespace(to_read=lambda _path: "answers")
    monkeypatch.setattr(withdrawn_digests, "AskedStore", asked)
    monkeypatch.setattr(withdrawn_digests, "Store", SimpleNamespace(open=opens))
    given = Settings.of(state="/s"), SimpleNamespace(withdrawn="/s/w")
    assert withdrawn_digests.withdrawals(*given) == []
    fault[0] = "unsafe"
    with pytest.raises(QuarantineError, match="damaged"):
        withdrawn_digests.withdrawals(*given)
    asked.to_read = lambda _path: None
    assert withdrawn_digests.withdrawals(*given) == [], "nobody was ever asked"


# Deadlines


def test_an_input_that_nobody_understood_is_no_notice(tmp_path):
    state = State(str(tmp_path / "state"))
    assert deadlines.deadlines_of(state, 60.0, 5.0) is None
    unread_inputs.keep(state.directory, b"what is this?")
    found = deadlines.deadlines_of(state, 60.0, 5.0)
    assert (found.unread, found.open, found.items, found.due_soon, found.overdue) == (1, 0, 0, 0, 0)
    assert (found.next_deadline, found.messages, found.ahead) == (None, (), 0)


# Scans


def test_a_scan_that_fails_has_its_line_and_leaves_nothing_open(tmp_path, monkeypatch):
    machine = notice_machine.Machine(tmp_path)
    closed = []

    class Fails:
        def __init__(self, *_given, **_named):
            pass

        def run(self):
            raise KeyboardInterrupt

        def close(self):
            closed.append(type(self).__name__)

    monkeypatch.setattr(scan, "Engine", Fails)
    monkeypatch.setattr(scan, "Asker", type("Asker", (Fails,), {}))
    monkeypatch.setattr(scan, "Probes", type("Probes", (Fails,), {}))
    with pytest.raises(KeyboardInterrupt):
        machine.scan()
    machine.close()
    assert closed == ["Asker", "Probes"]
    ended = [one for one in read(machine.state.directory) if one.event == events.SCAN_ENDED]
    assert [one.facts["error"] for one in ended] == ["KeyboardInterrupt"]


# Limits


def test_open_files_are_limited_by_the_hard_limit_alone():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = (before[1] - 1, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, lower)
        machine_limits.raise_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
