"""``hashscan report xarf``: each match and removed item once, and a reason for each that is not."""

import hashlib
import json
import os

import published
import pytest
from click.testing import CliRunner
from isolating import confirmed
from ready import hashscan

from hashscan.cli.report import command
from hashscan.errors import ConfigError, ExitCode, UsageError
from hashscan.notices.notice import (
    Channel,
    ItemFile,
    ItemKind,
    ItemState,
    ParsedItem,
    ParsedNotice,
    Role,
)
from hashscan.notices.store import NoticeStore
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store as Isolated

CONTENT = b"pretend that this is known"


@pytest.fixture
def configured(tmp_path, volume):
    (volume / "a.example").mkdir()
    (tmp_path / "known.txt").write_text(hashlib.sha1(CONTENT).hexdigest() + "\n")

    def write(more="  classifications: {other: A1}\n"):
        (tmp_path / "config.yaml").write_text(
            f"state: {tmp_path}/state\nvolumes: [{{path: {volume}}}]\n"
            f"service: {{kind: local, known: [{tmp_path}/known.txt]}}\n"
            f'sites: [{{host: "*.example", root: "{volume}/{{host}}"}}]\n'
            f"notices:\n  organisation: {{name: H, contact: a@h.example, domain: h.example}}\n{more}"
        )

    (tmp_path / "state").mkdir(mode=0o700)
    write()
    return write


@pytest.fixture
def run(tmp_path, configured):
    class Options:
        config_path = str(tmp_path / "config.yaml")
        verbosity = 0

    def call(*args, group=()):
        return CliRunner().invoke(
            command, [*group, "xarf", *args], obj=Options(), standalone_mode=False
        )

    return call


def reports(result):
    assert result.exception is None, result.exception
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for one in found:
        parsed = published.parse(one)
        assert not parsed.errors, parsed.errors
        assert "evidence" not in one
    return found


@pytest.fixture
def store(tmp_path, configured):
    with NoticeStore(str(tmp_path / "state" / "notices.sqlite3")) as one:
        yield one


def isolate(tmp_path, volume, *names):
    """Move files to quarantine; return the ids of their records."""
    quarantine = Quarantine.open(os.fsencode(tmp_path / "state" / "quarantine"))
    found = []
    for name in names:
        (volume / "a.example" / name).write_bytes(CONTENT)
        acted = quarantine.act(confirmed(volume, f"a.example/{name}"))
        assert acted.action == "quarantined"
        found.append(acted.quarantine_id)
    quarantine.close()
    return found


def add(store, url="http://a.example/n.jpg", **more):
    item = ParsedItem(ItemKind.URL, url, **{"ip": "192.0.2.7"} | more)
    notice = store.add(
        ParsedNotice("list", (item,)), channel=Channel.COMMAND, key=os.urandom(8)
    ).id  # fmt: skip
    return notice, store.items(notice)[0].number


def name_file(store, volume, item, name, **more):
    path = os.fsencode(f"a.example/{name}")
    store.put_file(ItemFile(item, more.pop("role", Role.NAMED), os.fsencode(volume), path, **more))


def test_nothing_to_report(run, tmp_path):
    result = run()
    assert reports(result) == []
    assert "there is nothing to report" in result.stderr
    assert result.return_value == ExitCode.NOTHING_FOUND


def test_a_match_of_a_real_scan_and_a_quarantined_one(run, tmp_path, volume):
    isolate(tmp_path, volume, "moved.jpg")
    (volume / "a.example" / "in place.jpg").write_bytes(CONTENT)
    done = hashscan("--config", str(tmp_path / "config.yaml"), "scan")
    assert done.returncode == 1, done.stderr
    found = {one["url"]: one for one in reports(run("--since", "2026-01-01"))}
    assert set(found) == {"http://a.example/moved.jpg", "http://a.example/in%20place.jpg"}
    moved, in_place = found["http://a.example/moved.jpg"], found["http://a.example/in%20place.jpg"]
    assert (moved["content_removed"], in_place["content_removed"]) == (True, False)
    for one in (moved, in_place):
        assert one["classification"] == "baseline"
        assert one["detection_method"] == "hash_match"
        assert one["source_identifier"] == "a.example"
        assert one["hash_values"]["sha1"] == hashlib.sha1(CONTENT).hexdigest()


def test_the_items_of_notices(run, store, tmp_path, volume):
    (record,) = isolate(tmp_path, volume, "n.jpg")
    notice, item = add(store)
    name_file(store, volume, item, "n.jpg", category="baseline", quarantine_id=record, away=1.0)
    store.advance(item, ItemState.REMOVED)
    unlisted, other = add(store, "http://a.example/u.jpg", classification="Other")
    name_file(store, volume, other, "u.jpg", away=1.0)
    store.advance(other, ItemState.REMOVED)
    found = reports(run())
    assert [one["url"] for one in found] == ["http://a.example/n.jpg", "http://a.example/u.jpg"]
    assert [one["detection_method"] for one in found] == ["hash_match", "user_report"]
    assert [one["classification"] for one in found] == ["baseline", "A1"]
    assert {one["source_identifier"] for one in found} == {"192.0.2.7"}
    assert all(one["content_removed"] for one in found)
    assert reports(run(notice[-8:])) == found[:1]
    assert reports(run(unlisted)) == found[1:]
    again, third = add(store)  # a repeat names the same file
    name_file(store, volume, third, "n.jpg", category="baseline", quarantine_id=record, away=1.0)
    store.advance(third, ItemState.REMOVED)
    assert len(reports(run())) == 2
    assert len(reports(run(again))) == 1


def test_what_is_no_match_is_not_reported(run, store, tmp_path, volume):
    (record,) = isolate(tmp_path, volume, "n.jpg")
    for state in (ItemState.GONE, ItemState.NOT_HERE, ItemState.REFUSED, None):
        _, item = add(store, f"http://a.example/{state}")
        name_file(store, volume, item, f"{state}")
        if state is not None:
            store.advance(item, state)
    _, item = add(store)
    name_file(store, volume, item, "n.jpg", category="baseline", quarantine_id=record)
    name_file(store, volume, item, "page.jpg", role=Role.PART)
    with (
        Isolated.open(os.fsencode(tmp_path / "state" / "quarantine")) as isolated,
        isolated.lock(5),
    ):
        restore(isolated, record)
    assert reports(run()) == []


def test_what_cannot_be_known_is_refused(run, store, tmp_path, volume):
    (volume / "outside").mkdir()
    (volume / "outside" / "x\n.jpg").write_bytes(CONTENT)
    quarantine = Quarantine.open(os.fsencode(tmp_path / "state" / "quarantine"))
    quarantine.act(confirmed(volume, "outside/x\n.jpg"))
    quarantine.close()
    _, item = add(store, "http://a.example/u\n.jpg", classification="strange")
    name_file(store, volume, item, "u.jpg", away=1.0)
    store.advance(item, ItemState.REMOVED)
    result = run("--since", "2026-01-01")
    assert reports(result) == []
    assert result.return_value == ExitCode.UNREADABLE
    first, second = result.stderr.splitlines()
    assert first.startswith(
        "hashscan: http://a.example/u\\n.jpg is not reported: its category (stran"
    )
    assert second.startswith(
        f"hashscan: {volume}/outside/x\\n.jpg is not reported: its URL is not known"
    )


def test_the_period_bounds_matches_and_items(run, tmp_path, volume):
    isolate(tmp_path, volume, "a.jpg")  # its record says that it was detected in January 2026
    assert len(reports(run("--since", "2026-01-01"))) == 1
    assert reports(run("--since", "2026-01-01", "--until", "2026-01-02")) == []
    assert reports(run("--since", "2026-01-03")) == []
    assert "before --until" in str(run("--since", "2026-01-02", "--until", "2026-01-01").exception)


def test_an_item_counts_when_it_is_removed(run, store, volume):
    _, item = add(store, classification="A1")
    name_file(store, volume, item, "n.jpg", away=1.0)
    store.advance(item, ItemState.REMOVED, now=1.8e9)  # in January 2027
    assert reports(run()) == []
    assert reports(run("--since", "2027-01-01", "--until", "2027-01-15")) == []
    assert len(reports(run("--since", "2027-01-15", "--until", "2027-01-16"))) == 1


def test_files_in_a_directory(run, tmp_path, volume):
    isolate(tmp_path, volume, "a.jpg", "b.jpg")
    place = tmp_path / "reports"
    result = run("--since", "2026-01-01", "-o", str(place))
    assert result.stdout == f"2 reports in {place}\n"
    assert place.stat().st_mode & 0o777 == 0o700
    files = sorted(place.iterdir())
    assert {json.loads(one.read_text())["report_id"] + ".json" for one in files} == {
        one.name for one in files
    }
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in files)
    again = run("--since", "2026-01-01", "-o", str(place))
    assert again.stdout == f"0 reports in {place}, 2 existed already\n"


def test_wrong_command_lines_are_refused(run, tmp_path):
    assert isinstance(run("zzz").exception, UsageError)
    assert "written after its name" in str(run(group=("--since", "7d")).exception)
    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n")
    assert isinstance(run().exception, ConfigError)
