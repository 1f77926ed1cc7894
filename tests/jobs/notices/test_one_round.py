"""hashscan.jobs.notices.one_round: from an item of a notice to its files, until they are seen to be away."""

import hashlib
import os
import time
from dataclasses import replace

import notice_machine
import pytest

from hashscan.config.loader import load
from hashscan.jobs.notices import one_round
from hashscan.jobs.notices.round_result import Memory
from hashscan.notices.notice import EventKind
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store as QuarantineStore

URL = "https://x.example/a/1.jpg"


@pytest.fixture
def machine(tmp_path):
    one = notice_machine.Machine(tmp_path)
    yield one
    one.close()


@pytest.fixture
def reporting(tmp_path):
    one = notice_machine.Machine(tmp_path, action="report")
    yield one
    one.close()


def test_with_action_quarantine_the_notice_alone_moves_its_file(machine):
    content = machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    found, files = machine.one(identifier)
    assert (found.state, found.removed, found.path) == (
        "removed", machine.now, os.fsencode(machine.site / "a/1.jpg"),
    )  # fmt: skip
    assert machine.store.notice(identifier).closed == machine.now
    file = files["a/1.jpg"]
    assert (file.role, file.action, file.category, file.away) == (
        "named", "quarantined", None, machine.now,
    )  # fmt: skip
    assert not (machine.site / "a/1.jpg").exists()
    (record,) = machine.in_quarantine()
    assert (record.id, record.found_by) == (file.quarantine_id, "notice")
    assert record.digests.sha1 == hashlib.sha1(content).digest()
    assert record.authority.as_dict() == {
        "kind": "notice", "notice": identifier, "reference": "A1", "sender": "Hotline X",
    }  # fmt: skip
    (event,) = machine.result.events
    assert event.match.authority == record.authority
    steps = [one.detail["to"] for one in machine.store.history(identifier) if one.kind == "state"]
    assert steps == ["located", "removed"]


def test_the_record_of_an_order_names_the_authority(machine):
    machine.file("a/1.jpg")
    machine.notice(URL, authority="ATKM")
    machine.round()
    (record,) = machine.in_quarantine()
    assert record.authority.sender == "ATKM"


def test_with_action_report_the_item_waits_until_somebody_removes_the_file(reporting):
    machine = reporting
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    assert machine.states(identifier) == ["located"]
    assert (machine.site / "a/1.jpg").exists()
    assert "only reported" in machine.told()[0]
    events = len(machine.store.history(identifier))
    machine.round()
    assert machine.told() == []
    assert len(machine.store.history(identifier)) == events
    (machine.site / "a/1.jpg").unlink()
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, found.removed) == ("removed", machine.now)
    assert "removed by somebody else" in found.reason


@pytest.mark.parametrize("is_known", [True, False])
def test_no_file_moves_while_the_service_is_in_test(machine, is_known):
    content = machine.file("a/1.jpg")
    if is_known:
        machine.know(content)
    service = machine.settings.service.model_copy(update={"kind": "hashcheckservice", "test": True})
    known = machine.known()
    machine.settings = machine.settings.model_copy(update={"service": service})
    machine.known = lambda: known
    identifier = machine.notice(URL)
    machine.round()
    found, files = machine.one(identifier)
    assert (found.state, files["a/1.jpg"].action) == ("located", "reported")
    assert files["a/1.jpg"].message == "service.test is true, so no file is moved"
    assert (machine.site / "a/1.jpg").exists()
    machine.settings = machine.settings.model_copy(
        update={"service": service.model_copy(update={"test": False})}
    )
    machine.memory = Memory()  # as after a reload
    machine.round()
    assert machine.states(identifier) == ["removed"]


def test_a_list_decides_even_where_notices_only_report(reporting):
    machine = reporting
    machine.know(machine.file("a/1.jpg"))
    identifier = machine.notice(URL)
    machine.round()
    found, files = machine.one(identifier)
    assert found.state == "removed"
    assert (files["a/1.jpg"].category, files["a/1.jpg"].action) == ("baseline", "quarantined")
    (record,) = machine.in_quarantine()
    assert (record.authority.kind, record.authority.notice) == ("list", identifier)
    assert record.category == "baseline"


def test_parts_of_a_page_move_only_if_a_list_knows_them(machine):
    machine.know(machine.file("bad.jpg"))
    machine.file("good.jpg")
    machine.file("style.css", b"body { background: url('bad2.jpg') }")
    machine.file("page.html", b"<img src=bad.jpg><img src='/good.jpg'><link href=style.css>")
    identifier = machine.notice("https://x.example/page.html")
    machine.round()
    found, files = machine.one(identifier)
    assert found.state == "removed"
    assert {name: (one.role, one.action) for name, one in files.items()} == {
        "page.html": ("named", "quarantined"), "bad.jpg": ("part", "quarantined"),
        "good.jpg": ("part", "reported"), "style.css": ("part", "reported"),
    }  # fmt: skip
    assert sorted(one.name for one in machine.site.iterdir()) == ["good.jpg", "style.css"]
    assert files["bad.jpg"].away == machine.now


@pytest.mark.parametrize("directory", ["", "d/"])
def test_the_index_file_of_a_directory(machine, directory):
    """Its directory stays, and is no file that is back."""
    machine.file(f"{directory}index.html")
    machine.file(f"{directory}good.jpg")
    identifier = machine.notice(f"https://x.example/{directory}")
    for _ in range(3):
        machine.round()
        found, files = machine.one(identifier)
        assert (found.state, list(files)) == ("removed", [f"{directory}index.html"])
    machine.file(f"{directory}index.html")
    machine.round()
    assert machine.states(identifier) == ["received"]


def test_a_directory_waits_for_an_administrator(machine):
    machine.know(machine.file("d/bad.jpg"))
    machine.file("d/good.jpg")
    machine.file("d/below/x.jpg")
    identifier = machine.notice("https://x.example/d/")
    machine.round()
    found, files = machine.one(identifier)
    assert found.state == "located"
    assert "is a directory with 2 files" in found.reason
    assert {name: (one.role, one.action) for name, one in files.items()} == {
        "d": ("named", ""), "d/bad.jpg": ("part", "quarantined"),
        "d/good.jpg": ("part", "reported"),
    }  # fmt: skip
    for name in ("d/good.jpg", "d/below/x.jpg"):
        (machine.site / name).unlink()
    machine.round()
    assert machine.states(identifier) == ["located"]
    (machine.site / "d/below").rmdir()
    (machine.site / "d").rmdir()
    machine.round()
    assert machine.states(identifier) == ["removed"]
    machine.file("d/again.jpg")
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, found.reason[:22]) == ("received", "back: a file is back a")


@pytest.mark.parametrize("scanned", [False, True])
def test_items_that_are_not_here_have_a_reason(machine, scanned):
    machine.file("run.php", b"<?php ?>")
    if scanned:
        machine.scan()
    identifier = machine.notice(
        "https://x.example/none.jpg", "https://elsewhere.test/1.jpg", "https://x.example/run.php",
        "/etc/passwd", f"{machine.volume}/none", f"{machine.volume}/../../etc/passwd",
    )  # fmt: skip
    machine.round()
    kinds = [one.reason.partition(": ")[0] for one in machine.items(identifier)]
    assert kinds == ["no-file", "no-site", "script", "no-volume", "no-file", "no-volume"]
    assert set(machine.states(identifier)) == {"not-here"}
    assert "run.php" in machine.items(identifier)[2].reason
    assert machine.items(identifier)[2].reason.endswith(
        "find the file that the script shows, and remove it by hand"
    )


def test_a_path_is_found_in_its_volume(machine):
    machine.file(b"\xff\n.jpg")
    identifier = machine.notice(os.fsdecode(os.fsencode(machine.site) + b"/\xff\n.jpg"))
    machine.round()
    assert machine.states(identifier) == ["removed"]


def test_an_item_is_gone_if_its_file_was_here_before(machine):
    machine.file("catalog.jpg")
    machine.file("moved.jpg")
    machine.file("noticed.jpg")
    machine.scan()
    first = machine.notice("https://x.example/noticed.jpg", f"{machine.site}/moved.jpg")
    machine.round()
    assert machine.states(first) == ["removed", "removed"]
    (machine.site / "catalog.jpg").unlink()
    second = machine.notice(
        "https://x.example/catalog.jpg", "https://x.example/moved.jpg",
        "http://X.example/noticed.jpg",
    )  # fmt: skip
    machine.round()
    assert machine.states(second) == ["gone", "gone", "gone"]
    by_scan, by_record, by_item = (one.reason for one in machine.items(second))
    assert "the last scan found a file at" in by_scan
    assert "quarantined before" in by_record
    assert f"removed before, {time.strftime('%Y')}" not in by_item
    assert first in by_item
    # The repeat has the first item received again; its removal is no less true.
    assert machine.states(first) == ["removed", "removed"]


def test_a_removed_item_waits_if_the_place_of_its_file_is_not_the_same(machine):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    (file,) = machine.store.files(machine.items(identifier)[0].number)
    machine.store.put_file(replace(file, anchor="another file system"))
    machine.notice(URL)
    machine.round()
    found, _ = machine.one(identifier)
    assert (found.state, "file system than before" in found.reason) == ("received", True)


def test_a_digest_is_found_in_the_catalog(machine):
    content = machine.file("one.jpg")
    machine.file("copy/two.jpg", content)
    machine.file("other.jpg")
    digest = hashlib.sha1(content).hexdigest()
    identifier = machine.notice(digest)
    machine.round()
    found, _ = machine.one(identifier)
    assert found.state == "received"
    assert "was never wholly scanned" in found.reason
    assert "run 'hashscan scan'" in found.reason
    machine.scan()
    machine.round()
    found, files = machine.one(identifier)
    assert found.state == "removed"
    assert {(name, one.role) for name, one in files.items()} == {
        ("one.jpg", "named"), ("copy/two.jpg", "named"),
    }  # fmt: skip
    assert [one.name for one in machine.site.rglob("*.jpg")] == ["other.jpg"]
    again = machine.notice(hashlib.sha256(content).hexdigest(), "ab" * 20)
    machine.round()
    sha256, unknown = machine.items(again)
    assert (sha256.state, sha256.reason[:17]) == ("gone", "quarantined befor")
    assert unknown.state == "not-here"
    assert unknown.reason.startswith(
        "no-file: no file in the catalog has the digest; the last whole scan"
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_digest_that_scans_do_not_compute(machine, known):
    machine.file("one.jpg")
    machine.scan()
    identifier = machine.notice("ab" * 32, "ab" * 20)
    machine.round(known=known, why_unknown="the filter expired")
    sha256, sha1 = machine.items(identifier)
    assert sha256.reason.startswith("not-computed: scans compute only sha1")
    assert sha1.reason.startswith("no-file: no file in the catalog has the digest")


def test_an_unproven_notice_moves_nothing_until_it_is_approved(machine):
    content = machine.file("a/1.jpg")
    machine.file("known.jpg", b"known")
    machine.know(b"known")
    (machine.site / "copy.jpg").write_bytes(content)
    machine.scan()
    identifier = machine.notice(
        URL, "https://x.example/known.jpg", unproven="its mail is from anybody"
    )
    machine.rounds()
    assert machine.states(identifier) == ["located", "removed"], "the list's word counts"
    assert (machine.site / "a/1.jpg").exists()
    assert (machine.site / "copy.jpg").exists()
    (told,) = [one for one in machine.told() if "a/1.jpg" in one]
    assert "not moved: its mail is from anybody; read the notice" in told
    machine.round()
    assert machine.told() == []
    assert machine.store.approve_notice(identifier, "asked them")
    assert not machine.store.approve_notice(identifier, "again")
    machine.rounds()
    assert machine.states(identifier) == ["removed", "removed"]
    assert not (machine.site / "copy.jpg").exists()
    kinds = [one.kind for one in machine.store.history(identifier)]
    assert kinds.count(EventKind.APPROVED) == 1


def test_an_unproven_repeat_does_not_overrule_the_administrator(machine):
    machine.file("a/1.jpg")
    refused = machine.notice(URL)
    machine.store.close_notice(refused, "not illegal")
    stranger = machine.notice(URL, unproven="its mail is from anybody")
    machine.rounds()
    assert (machine.states(refused), machine.states(stranger)) == (["refused"], ["located"])
    machine.notice(URL)
    assert machine.states(stranger) == ["located"]
    machine.rounds()
    assert not (machine.site / "a/1.jpg").exists()


def test_what_an_administrator_restores_is_held(machine):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round()
    (record,) = machine.in_quarantine()
    with QuarantineStore.open(os.fsencode(machine.settings.quarantine_directory)) as store:
        restore(store, record.id)
    machine.rounds()
    found, files = machine.one(identifier)
    assert found.state == "located"
    assert files["a/1.jpg"].action == "held"
    assert f"hashscan notice close {identifier}" in files["a/1.jpg"].message
    assert (machine.site / "a/1.jpg").exists()
    machine.store.close_notice(identifier, "it is innocent")
    machine.rounds()
    assert machine.states(identifier) == ["refused"]


def test_the_allow_list_wins(tmp_path):
    allow = tmp_path / "allow.txt"
    allow.touch()
    machine = notice_machine.Machine(tmp_path, extra=f"allow: [{allow}]\n")
    content = machine.file("a/1.jpg")
    allow.write_text(f"{hashlib.sha1(content).hexdigest()}\n")
    identifier = machine.notice(URL)
    machine.round()
    found, files = machine.one(identifier)
    assert (found.state, files["a/1.jpg"].action) == ("located", "held")
    machine.close()


def test_another_content_than_the_senders_digest_is_only_reported(machine):
    machine.file("a/1.jpg")
    identifier = machine.notice(notice_machine.with_digest(URL, b"what the sender saw"))
    machine.round()
    found, files = machine.one(identifier)
    assert (found.state, files["a/1.jpg"].action) == ("located", "reported")
    assert "its content is not that of the notice" in files["a/1.jpg"].message


def test_without_lists_the_notice_still_decides(machine):
    machine.file("a/1.jpg")
    identifier = machine.notice(URL)
    machine.round(known=False, why_unknown="the filter expired")
    assert machine.states(identifier) == ["removed"]


def test_without_lists_a_reported_file_waits(reporting):
    machine = reporting
    machine.know(machine.file("a/1.jpg"))
    identifier = machine.notice(URL)
    machine.round(known=False, why_unknown="the filter expired")
    _, files = machine.one(identifier)
    assert files["a/1.jpg"].message == "no list can be asked: the filter expired"
    machine.round()
    assert machine.states(identifier) == ["removed"]


def test_a_site_that_cannot_be_decided_waits(machine):
    (machine.site / "a").symlink_to("/etc")
    identifier = machine.notice("https://x.example/a/passwd", "ftp://x.example/1")
    machine.round()
    first, second = machine.items(identifier)
    assert (first.state, second.state) == ("received", "received")
    assert "link out of the document root" in first.reason
    kinds = [one.kind for one in machine.store.history(identifier)]
    assert kinds.count(EventKind.NOTE) == 2
    machine.round()
    assert [one.kind for one in machine.store.history(identifier)] == kinds


def test_two_notices_of_one_file_are_both_removed(machine):
    machine.file("a/1.jpg")
    first = machine.notice(URL, f"{machine.site}/a/1.jpg")
    second = machine.notice("http://x.example/a/1.jpg")
    machine.round()
    assert [machine.states(one) for one in (first, second)] == [["removed"] * 2, ["removed"]]
    (record,) = machine.in_quarantine()
    _, files = machine.one(second)
    assert files["a/1.jpg"].quarantine_id == record.id
    assert len(machine.result.events) == 1


def test_many_items_need_several_rounds(machine, monkeypatch):
    monkeypatch.setattr(one_round, "MOST_OPEN", 3)
    monkeypatch.setattr(one_round, "MOST_SETTLED", 2)
    for number in range(8):
        machine.file(f"{number}.jpg")
    identifier = machine.notice(*[f"https://x.example/{number}.jpg" for number in range(8)])
    assert machine.round().more
    assert machine.states(identifier).count("removed") == 3
    machine.rounds()
    assert machine.states(identifier) == ["removed"] * 8
    machine.file("7.jpg")
    for _ in range(6):
        machine.round()
    steps = [
        one.detail["to"] for one in machine.store.history(identifier)
        if one.item == machine.items(identifier)[7].number and one.kind == "state"
    ]  # fmt: skip
    assert steps == ["located", "removed", "received", "located", "removed"]


def test_a_document_root_outside_of_all_volumes(machine, tmp_path):
    root = tmp_path / "elsewhere"
    (root / "a").mkdir(parents=True)
    (root / "a/1.jpg").write_bytes(b"content")
    site = machine.settings.sites[0].model_copy(update={"host": "other.test", "root": str(root)})
    machine.settings = machine.settings.model_copy(update={"sites": (site,)})
    identifier = machine.notice("https://other.test/a/1.jpg")
    machine.round()
    (found,) = machine.items(identifier)
    (file,) = machine.store.files(found.number)
    assert (found.state, file.volume) == ("removed", os.fsencode(root))
    (record,) = machine.in_quarantine()
    assert record.origin.full_path == os.fsencode(root / "a/1.jpg")


def test_a_notice_that_names_hashscan_s_own_files_moves_none(machine):
    """A volume may hold the state directory: a notice must not take hashscan's own files away."""
    machine.file("a/1.jpg")
    first = machine.notice(URL)
    text = machine.config.read_text().replace(f"path: {machine.volume}", "path: " + str(
        machine.directory))  # fmt: skip
    machine.config.write_text(text)
    machine.settings = load(str(machine.config))
    machine.round()
    assert machine.states(first) == ["removed"]
    private = machine.site / ".hashscan"
    private.mkdir(mode=0o700)
    (private / "staged").write_bytes(b"x")
    own = [*(machine.directory / "state").rglob("*"), machine.config, machine.list,
           private / "staged"]  # fmt: skip
    own = [str(one) for one in own if one.is_file() and not one.name.endswith(("-wal", "-shm"))]
    identifier = machine.notice(*own, f"{machine.site}/../../state/notices.sqlite3")
    machine.rounds()
    assert all(map(os.path.exists, own))
    assert len(machine.in_quarantine()) == 1
    for item in machine.items(identifier):
        assert (item.state, "it belongs to hashscan itself" in item.reason) == ("received", True)
    machine.file(".hashscan2/x.jpg")
    customers = machine.notice("https://x.example/.hashscan2/x.jpg")
    machine.rounds()
    assert machine.states(customers) == ["removed"]
