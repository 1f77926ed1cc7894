"""SIGKILL before and after every system call that changes something; then the next start.

Each file must be in exactly one place with its record, its content and its metadata.
"""

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest
from isolating import (
    MOMENTS,
    all_records,
    confirmed,
    fork,
    kill_at,
    kill_everywhere,
    recovered,
    snapshot,
)

from hashscan.quarantine import act
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.manage import purge, records
from hashscan.quarantine.records import UNFINISHED, RecordState
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store

_TOP = os.path.dirname(
    os.path.dirname(os.path.dirname(__file__))
)  # test files are imported from here
CONTENT = os.urandom(5000)
INNOCENT = os.urandom(5000)


@pytest.fixture(autouse=True)
def disk_is_always_in_time(monkeypatch):
    """A kill loses nothing that the kernel has: fsync does nothing here.

    That each fsync comes before what relies on it is shown in test_durability.
    """
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@dataclass
class Prepared:
    volume: object
    store: object
    before: tuple
    match: object
    record_id: str = ""


@pytest.fixture(params=["same-fs", "other-fs"])
def places(request, memory, tmp_path):
    """A volume and a store for each turn. In memory where they may: fsync is free there."""
    if request.param == "other-fs" and os.stat(memory).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")

    def make(number, content=CONTENT):
        for old in (memory / f"v{number - 1}", memory / f"s{number - 1}"):
            shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(tmp_path / f"v{number - 1}", ignore_errors=True)
        base = memory if request.param == "same-fs" else tmp_path
        volume = base / f"v{number}"
        (volume / "d").mkdir(parents=True)
        path = volume / "d" / "f"
        path.write_bytes(content)
        os.chmod(path, 0o640)
        os.setxattr(path, "user.note", b"kept")
        os.utime(path, ns=(111_222_333_444_555_666, 222_333_444_555_666_777))
        match = confirmed(volume, b"d/f", CONTENT)
        store = memory / f"s{number}"
        Store.open(os.fsencode(store)).close()
        return Prepared(volume, store, snapshot(path), match)

    return make


def act_job(prepared):
    with Store.open(os.fsencode(prepared.store)) as store:
        acted = Quarantine(store).act(prepared.match)
        assert acted.action == "quarantined", acted


def exactly_one_place(prepared, *, states=(RecordState.QUARANTINED,)):
    path = prepared.volume / "d" / "f"
    with recovered(prepared.store) as store:
        assert not os.path.lexists(prepared.volume / ".hashscan")
        found = all_records(store)
        assert not [one for one in found if one.state in UNFINISHED]
        kept = [
            one for one in found if one.state in {RecordState.QUARANTINED, RecordState.DISPLACED}
        ]
        assert len(kept) + path.exists() == 1, (kept, path.exists())
        contents = [
            prepared.store / one.id / name
            for one in found
            for name in ("content", "content.part")
            if (prepared.store / one.id / name).exists()
        ]
        assert len(contents) == len(kept)
        if kept:
            (record,) = kept
            assert record.state in states
            assert snapshot(contents[0])[-1] == CONTENT
            one = record.metadata
            assert (one.mode, one.uid, one.gid, (one.atime_ns, one.mtime_ns), one.xattrs) == (
                prepared.before[:5]
            )
            restore(store, record.id)
        assert snapshot(path) == prepared.before


@pytest.mark.parametrize("when", MOMENTS)
def test_killed_while_it_quarantines(places, when):
    calls = kill_everywhere(places, act_job, exactly_one_place, when)
    assert calls > 12


@pytest.mark.parametrize("when", MOMENTS)
def test_killed_while_it_puts_another_file_back(places, when):
    def job(prepared):
        act._precheck = lambda *_, **__: None  # the swap comes right after that look
        with Store.open(os.fsencode(prepared.store)) as store:
            acted = Quarantine(store).act(prepared.match)
            assert (acted.action, acted.problem) == ("reported", "changed")

    def check(prepared):
        with recovered(prepared.store) as store:
            assert {one.state for one in all_records(store)} <= {RecordState.UNDONE}
            assert snapshot(prepared.volume / "d" / "f") == prepared.before
            assert not (prepared.volume / ".hashscan").exists()

    calls = kill_everywhere(lambda number: places(number, INNOCENT), job, check, when)
    assert calls > 9


def quarantined(places, number):
    prepared = places(number)
    act_job(prepared)
    with Store.open(os.fsencode(prepared.store)) as store:
        (prepared.record_id,) = store.ids()
    return prepared


def restore_job(prepared):
    with Store.open(os.fsencode(prepared.store)) as store, store.lock():
        restore(store, prepared.record_id)


@pytest.mark.parametrize("when", MOMENTS)
def test_killed_while_it_restores(places, when):
    calls = kill_everywhere(
        lambda number: quarantined(places, number), restore_job, exactly_one_place, when
    )
    assert calls > 10


@pytest.mark.parametrize("when", MOMENTS)
def test_killed_while_it_purges(places, when):
    def job(prepared):
        with Store.open(os.fsencode(prepared.store)) as store, store.lock():
            purge(store, prepared.record_id)

    def check(prepared):
        with recovered(prepared.store) as store:
            (record,) = all_records(store)
            content = prepared.store / record.id / "content"
            assert content.exists() == (record.state is RecordState.QUARANTINED)
            assert record.state in {RecordState.QUARANTINED, RecordState.PURGED}

    kill_everywhere(lambda number: quarantined(places, number), job, check, when)


@pytest.mark.parametrize("job", [act_job, restore_job])
def test_killed_while_it_recovers(places, job):
    """Killed at some step, and the recovery from that killed at each of its own."""
    turn = 0

    def prepare_killed_at(step):
        def prepare(number):
            nonlocal turn
            turn += 1
            prepared = places(turn) if job is act_job else quarantined(places, turn)

            def killed():
                kill_at(step, "after")
                job(prepared)

            survived.append(fork(killed)[0] == "returned")
            return prepared

        return prepare

    def recovery(prepared):
        with recovered(prepared.store):
            pass

    survived = []
    for step in range(2, 100, 2 if os.environ.get("HASHSCAN_LONG") else 6):
        kill_everywhere(prepare_killed_at(step), recovery, exactly_one_place, "after")
        if survived[-1]:
            break
    assert step > 8


@pytest.mark.parametrize("job", [act_job, restore_job])
def test_every_call_passes_the_injection(places, job, tmp_path):
    """What strace sees the rooms change, the wrapped names saw as well."""
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("no strace on this machine")
    prepared = places(1) if job is act_job else quarantined(places, 1)
    script = tmp_path / "job.py"
    script.write_text(
        "import pickle, sys, os\n"
        f"import isolating, {job.__module__} as test_kill\n"
        "from hashscan.fs import rename\n"
        "count = 0\n"
        "def wrapped(call):\n"
        "    def calling(*args, **kwargs):\n"
        "        global count\n"
        "        count += 1\n"
        "        return call(*args, **kwargs)\n"
        "    return calling\n"
        "prepared = pickle.load(open(sys.argv[1], 'rb'))\n"
        "for name in isolating.CALLS:\n"
        "    if name != 'open':\n"
        "        setattr(os, name, wrapped(getattr(os, name)))\n"
        "rename._renameat2 = wrapped(rename._renameat2)\n"
        "os.kill(os.getpid(), 0)\n"
        f"test_kill.{job.__name__}(prepared)\n"
        "os.kill(os.getpid(), 0)\n"
        "print(count)\n"
    )
    (tmp_path / "prepared").write_bytes(pickle.dumps(prepared))
    trace = tmp_path / "trace"
    calls = (
        "kill,mkdir,mkdirat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,"
        "unlink,unlinkat,rmdir,ftruncate,truncate,setxattr,fsetxattr,chown,fchown,fchownat,chmod,"
        "fchmod,fchmodat,utimensat,symlink,symlinkat"
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([_TOP, *sys.path]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [strace, "-f", "-qq", "-e", f"trace=?{calls.replace(',', ',?')}", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, str(script), str(tmp_path / "prepared")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip("this machine allows no ptrace")
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    marks = [number for number, line in enumerate(lines) if "kill(" in line]
    seen = lines[marks[-2] + 1 : marks[-1]]
    assert len(seen) == int(done.stdout), "\n".join(seen)


@pytest.mark.parametrize("places", ["same-fs"], indirect=True)
def test_what_was_begun_in_a_volume_that_does_not_answer_waits_for_it(places):
    def begun(store):
        found = [one.record for one in records(store) if one.record is not None]
        return [record for record in found if record.state in UNFINISHED]

    for step in range(5, 100):
        prepared = places(step)

        def killed(step=step, prepared=prepared):
            kill_at(step, "after")
            act_job(prepared)

        assert fork(killed)[0] != "returned"
        with Store.open(os.fsencode(prepared.store)) as store:
            if begun(store):
                break
    root = prepared.match.candidate.volume
    with Store.open(os.fsencode(prepared.store)) as store:
        one = Quarantine(store, absent=[root])
        (left,) = one.recovered
        assert not left.resolved
        assert "its volume does not answer" in left.message
        assert begun(store)
        # It answers again: somebody acts on a match there.
        assert one.act(prepared.match).action == "quarantined"
    exactly_one_place(prepared)
