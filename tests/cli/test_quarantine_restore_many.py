"""``quarantine restore`` of many files: the selection, the summary, and failures of some files."""

import hashlib
import json
import os
import pwd
import shutil
import time
from contextlib import closing
from dataclasses import replace

import click
import isolating
import pytest
from click.testing import CliRunner
from isolating import confirmed, needs_root

from hashscan.catalog.store import Catalog
from hashscan.cli import quarantine_restore_many
from hashscan.cli.quarantine import command
from hashscan.errors import (
    LockedError,
    OutputError,
    QuarantineError,
    UnsafePathError,
    UsageError,
)
from hashscan.model import Answer, Digest
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.store import Store

NAMES = ("a/one", "a/two", "ab/three", "[x]/four")


@pytest.fixture
def state(tmp_path, volume):
    (tmp_path / "state").mkdir(mode=0o700)
    quarantine = Quarantine.open(os.fsencode(tmp_path / "state" / "quarantine"))
    for name in NAMES:
        (volume / name).parent.mkdir(exist_ok=True)
        (volume / name).write_bytes(name.encode())
        assert quarantine.act(confirmed(volume, name)).action == "quarantined"
    quarantine.close()
    return tmp_path / "state"


@pytest.fixture
def run(tmp_path, state):
    class Context:
        config_path = str(tmp_path / "config.yaml")

    (tmp_path / "config.yaml").write_text("quarantine: {action: report}\n")

    def call(*args):
        words = ["restore", *map(str, args), "--state", str(state)]
        return CliRunner().invoke(command, words, obj=Context())

    return call


def there(volume):
    return {name for name in NAMES if (volume / name).exists()}


def changed(state, path, **changes):
    """Rewrite the record of the file that had ``path``."""
    with Store.open(os.fsencode(state / "quarantine")) as store:
        for record_id in store.ids():
            record = store.load(record_id)
            if record.origin.path == path.encode():
                metadata = {name: changes.pop(name) for name in ("uid", "owner") if name in changes}
                store.save(
                    replace(record, metadata=replace(record.metadata, **metadata), **changes)
                )
                return
    raise AssertionError(path)


def test_all(run, volume):
    done = run("--all")
    assert done.exception is None
    assert there(volume) == set(NAMES)
    assert "4 files restored, 0 failed" in done.stdout
    assert "4 files are to be restored" in done.stderr
    again = run("--all")
    assert again.exception is None
    assert "0 files restored, 0 failed" in again.stdout


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{v}/a", {"a/one", "a/two"}),
        ("{v}/a/", {"a/one", "a/two"}),
        ("{v}/a/one", {"a/one"}),
        ("{v}/a*", {"a/one", "a/two", "ab/three"}),
        ("*/t[wh]*", {"a/two", "ab/three"}),
        ("{v}/[x]", {"[x]/four"}),
        ("{v}/../{n}/./ab", {"ab/three"}),
        ("{link}/a", {"a/one", "a/two"}),
        ("{v}/n", set()),
        ("a", set()),
    ],
)
def test_path(run, volume, tmp_path, pattern, found):
    os.symlink(volume, tmp_path / "link")
    done = run("--path", pattern.format(v=volume, n=volume.name, link=tmp_path / "link"))
    assert done.exception is None
    assert there(volume) == found
    assert f"{len(found)} files restored, 0 failed" in done.stdout


@pytest.mark.root
@needs_root
def test_a_customers_link_does_not_say_whose_files_are_restored(run, volume):
    os.symlink(volume, volume / "a" / "link")
    os.chown(volume / "a" / "link", 4711, 4711, follow_symlinks=False)
    done = run("--path", volume / "a" / "link")
    assert isinstance(done.exception, UnsafePathError)
    assert "link belongs to user 4711" in str(done.exception)
    assert there(volume) == set()


@pytest.mark.parametrize("many", [True, False])
def test_nothing_is_restored_once_nobody_can_be_told(run, volume, state, monkeypatch, many):
    with Store.open(os.fsencode(state / "quarantine")) as store:
        words = ["--all"] if many else store.ids()
    echo = click.echo

    def broken(message=None, err=False, **options):
        if not err:
            raise OutputError("standard output cannot be written")
        echo(message, err=err, **options)

    monkeypatch.setattr(click, "echo", broken)
    assert isinstance(run(*words).exception, OutputError)
    assert len(there(volume)) == 1


def test_a_relative_path_is_below_the_working_directory(run, volume, monkeypatch):
    monkeypatch.chdir(volume)
    run("--path", "ab", "--path", "a/two")
    assert there(volume) == {"ab/three", "a/two"}


def test_since(run, volume, state):
    changed(state, "a/one", acted="2026-01-02T03:04:05.678Z")
    run("--since", "2h")
    assert there(volume) == set(NAMES) - {"a/one"}
    later = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 3600))
    for since in (later, "2026-01-02T03:04:06Z", "2026-01-03"):
        assert run("--since", since).exception is None
        assert "a/one" not in there(volume)
    assert "quarantined since 2026-01-02" in run("--since", "2026-01-02T03:04:05+00:00").stderr
    assert there(volume) == set(NAMES)


@pytest.mark.parametrize("since", ["30", "yesterday", "2026-13-01", "-2h", ""])
def test_since_that_is_no_time(run, since):
    done = run("--since", since)
    assert isinstance(done.exception, UsageError), done
    assert "--since" in str(done.exception)


@pytest.mark.root
@needs_root
def test_owner(run, volume, state, monkeypatch):
    changed(state, "a/one", uid=4711, owner=None)
    changed(state, "a/two", uid=4711, owner="cust")
    changed(state, "ab/three", uid=4712, owner="cust")
    assert "0 files restored" in run("--owner", "nobody-of-that-name").stdout
    # The number is another user's by now: only files without a name on record are that user's.
    real = pwd.getpwnam
    user = real("root").__class__(("new", "x", 4711, 4711, "", "/", "/"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: user if name == "new" else real(name))
    run("--owner", "new")
    assert there(volume) == {"a/one"}
    run("--owner", "cust", "--path", volume / "ab")
    assert there(volume) == {"a/one", "ab/three"}
    run("--owner", "4711", "--owner", "root")
    assert there(volume) == set(NAMES)


def test_one_failure_stops_no_other(run, volume):
    (volume / "a" / "one").write_bytes(b"newer")
    shutil.rmtree(volume / "ab")
    done = run("--all")
    assert isinstance(done.exception, QuarantineError)
    assert done.exception.exit_code == 3
    assert "2 of 4 files were not restored" in str(done.exception)
    assert "2 files restored, 2 failed" in done.stdout
    assert "another file has the name" in done.stderr
    assert "the directory is gone" in done.stderr
    assert (volume / "a" / "one").read_bytes() == b"newer"
    (volume / "a" / "one").unlink()
    done = run("--all", "--mkdir", "--json")
    assert done.exception is None
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["event"] for one in events] == ["restored", "restored", "summary"]
    assert events[-1] == {"event": "summary", "restored": 2, "failed": 0, "reasons": {}}
    (made,) = [note for one in events[:-1] for note in one["notes"]]
    assert f"made the directory {volume}/ab (" in made
    assert there(volume) == set(NAMES)


def test_a_damaged_record_hides_no_other(run, volume, state):
    first = sorted(os.listdir(state / "quarantine"))[1:2]
    with Store.open(os.fsencode(state / "quarantine")) as store:
        first = store.ids()[0]
    (state / "quarantine" / first / "record.json").write_text("{")
    done = run("--all", "--json")
    assert done.exception.exit_code == 3
    assert "1 records cannot be read" in str(done.exception)
    assert len(there(volume)) == 3


def test_the_lock_is_free_in_between_and_a_held_one_ends_it(run, volume, state, monkeypatch):
    monkeypatch.setattr(quarantine_restore_many, "LOCK_SECONDS", 0.1)
    with Store.open(os.fsencode(state / "quarantine")) as other, other.lock(1):
        done = run("--all")
    assert isinstance(done.exception, LockedError)
    assert "0 of 4 files were tried" in done.stderr
    locked = []
    real = Store.lock

    def lock(store, timeout):
        locked.append(timeout)
        return real(store, timeout)

    monkeypatch.setattr(Store, "lock", lock)
    assert run("--all").exception is None
    assert locked.count(0.1) == 1 + len(NAMES), "once to finish what a killed run left"


def marked(state, *paths):
    """Mark the records of files as withdrawn."""
    for path in paths:
        changed(state, path, withdrawn="2026-11-27T10:00:00.000Z")


def test_withdrawn_files_go_back_and_verdicts_about_them_are_forgotten(run, volume, state):
    marked(state, "a/one", "ab/three")
    digest = Digest("sha1", hashlib.sha1(b"a/one").hexdigest())
    other = Digest("sha1", hashlib.sha1(b"a/two").hexdigest())
    for path in (state, state / "beside"):
        path.mkdir(exist_ok=True, mode=0o700)
        with closing(Catalog(str(path / "catalog.sqlite3"))) as catalog:
            for one in (digest, other):
                catalog.put_verdict("s", one, Answer(known=True), 1)
    done = run("--withdrawn")
    assert done.exception is None, done.output
    assert there(volume) == {"a/one", "ab/three"}
    for path in (state, state / "beside"):
        with closing(Catalog(str(path / "catalog.sqlite3"))) as catalog:
            assert catalog.verdict("s", digest, 1) is None
            assert catalog.verdict("s", other, 1) == Answer(known=True)
    assert "0 files restored" in run("--withdrawn").stdout


def test_a_catalog_that_cannot_be_changed_stops_no_restore(run, volume, state):
    marked(state, "a/one")
    (state / "catalog.sqlite3").write_bytes(b"x" * 5000)
    done = run("--withdrawn")
    assert done.exception is None
    assert "restored files may move again" in done.stderr
    assert there(volume) == {"a/one"}


def test_digest_and_category(run, volume, state):
    changed(state, "a/two", category="other")
    three = hashlib.sha256(b"ab/three").hexdigest().upper()
    assert run("--digest", three, "--digest", hashlib.sha1(b"a/one").hexdigest()).exception is None
    assert there(volume) == {"ab/three", "a/one"}
    assert run("--category", "Other", "--withdrawn").exception is None
    assert there(volume) == {"ab/three", "a/one"}
    assert run("--category", "Other").exception is None
    assert there(volume) == {"ab/three", "a/one", "a/two"}
    assert run("--digest", f"md5:{hashlib.md5(b'[x]/four').hexdigest()}").exception is None
    assert there(volume) == set(NAMES)


def test_failures_are_counted_by_reason(run, volume, state):
    (volume / "a" / "one").write_bytes(b"newer")
    shutil.rmtree(volume / "ab")
    done = run("--all", "--json")
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["reasons"] == {"taken": 1, "no-directory": 1}


def test_a_killed_restore_goes_on_and_does_nothing_twice(run, volume, state):
    """Killed at each change of the disk; the same command ends the job."""
    marked(state, *NAMES)
    turn = 0
    while there(volume) != set(NAMES) or turn == 0:
        turn += 1
        assert turn < 100

        def killed(turn=turn):
            isolating.kill_at(1 + 5 * (turn % 4) + turn, "after")
            run("--withdrawn")

        isolating.fork(killed)
    done = run("--withdrawn")
    assert done.exception is None
    assert {name: (volume / name).read_bytes() for name in NAMES} == {
        name: name.encode() for name in NAMES
    }
    with isolating.recovered(state / "quarantine") as store:
        found = isolating.all_records(store)
        assert [one.state.value for one in found] == ["restored"] * len(NAMES)
        assert {len([s for s, _ in one.history if s == "restored"]) for one in found} == {1}
