"""hashscan.jobs.scan: the actor of a scan, and earlier decisions of an administrator."""

import errno
import os
from contextlib import ExitStack, closing, nullcontext
from types import SimpleNamespace

import notice_machine
import pytest
from isolating import confirmed, needs_root

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.errors import (
    LockedError,
    UsageError,
)
from hashscan.fs.volume import Volume
from hashscan.jobs import (
    daemon_status,
    scan,
)
from hashscan.jobs.known_set import KnownSet
from hashscan.jobs.scan import open_actor
from hashscan.model import Identity
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store


@pytest.fixture
def restored(volume, tmp_path):
    """The directory of a store from which the file f was restored."""
    store_path = tmp_path / "state" / "quarantine"
    store_path.parent.mkdir(mode=0o700)
    (volume / "f").write_bytes(b"known")
    with closing(Quarantine.open(os.fsencode(store_path))) as quarantine:
        record_id = quarantine.act(confirmed(volume, "f")).quarantine_id
    with Store.open(os.fsencode(store_path)) as store, store.lock():
        restore(store, record_id)
    return store_path


def acted(tmp_path, action, match, *, test=False):
    settings = Settings.model_validate({"state": str(tmp_path / "state")})
    known = KnownSet((), lambda: None, "https://hcs.example", remote=True, test=test)
    with ExitStack() as stack:
        state = SimpleNamespace(
            directory=str(tmp_path / "state"),
            holds=str(tmp_path / "state" / "holds.sqlite3"),
            dismissed=str(tmp_path / "state" / "allow" / "dismissed.jsonl"),
            catalog=str(tmp_path / "state" / "catalog.sqlite3"),
        )
        return open_actor(settings, state, action, (), known, stack, lambda _: None).act(match)


@pytest.mark.parametrize(
    ("action", "test"), [("report", False), ("quarantine", True), ("quarantine", False)]
)
def test_a_restored_file_is_held_whatever_the_action(volume, tmp_path, restored, action, test):
    done = acted(tmp_path, action, confirmed(volume, "f"), test=test)
    assert (done.action, done.problem) == ("held", None)
    assert "restored by the administrator" in done.message
    if action == "report" or test:
        (volume / "g").write_bytes(b"known")
        assert acted(tmp_path, action, confirmed(volume, "g"), test=test).action == "reported"
        assert (volume / "g").exists()


@pytest.mark.root
@needs_root
def test_a_quarantine_that_others_could_take_away_does_not_keep_a_scan_from_reporting(
    volume, tmp_path, restored
):
    os.chown(tmp_path / "state", 4711, 4711)
    done = acted(tmp_path, "report", confirmed(volume, "f"))
    assert done.action == "held"


def thrown(error):
    def throw(*_a, **_k):
        raise error

    return throw


class Mounts:
    """A catalog that knows which volumes were mounted."""

    def __init__(self, *mounted):
        self.mounted = set(mounted)
        self.set_mounted, self.forget_mounted = self.mounted.add, self.mounted.discard
        self.was_mounted = self.mounted.__contains__


def seen(root, number=None, error=None, *, refused=False, identity=None):
    return SimpleNamespace(
        root=root, number=number, error=error, refused=refused, identity=identity,
        mounted=False, empty=False,
    )  # fmt: skip


def test_paths_on_the_command_line_must_be_directories(tmp_path):
    there, gone = seen(b"/v"), seen(b"/none", errno.ENOENT, "gone")
    scan._require_one({b"/v": there, b"/none": gone})
    with pytest.raises(UsageError, match="/none: there is no such directory; see the path"):
        scan._require_one({b"/none": gone})
    (tmp_path / "f").touch()
    path = os.fsencode(tmp_path / "f")
    with pytest.raises(UsageError, match="is no directory; 'hashscan check' looks at a single"):
        scan._require_one({path: seen(path, errno.ENOTDIR, "x"), b"/v": there})
    with pytest.raises(UsageError, match="there is no such directory"):
        scan._require_one({b"/v/f/x": seen(b"/v/f/x", errno.ENOTDIR, "x")})
    with pytest.raises(UsageError, match="a link of a customer"):
        scan._require_one(
            {b"/v": there, b"/l": seen(b"/l", error="a link of a customer", refused=True)}
        )
    scan._require_one({b"/v": there, b"/denied": seen(b"/denied", errno.EACCES, "denied")})


class Reports:
    def __init__(self):
        self.notices, self.problems = [], []
        self.notice, self.problem = self.notices.append, self.problems.append


@pytest.mark.parametrize("named", [True, False])
def test_volumes_that_are_not_there_are_reported_and_the_others_scanned(named):
    catalog = Mounts(b"/empty")
    catalog.commit = lambda: None
    volumes = tuple(map(Volume, (b"/v", b"/gone", b"/empty")))
    empty = seen(b"/empty")
    empty.empty = True
    looks = {
        b"/v": seen(b"/v", identity=Identity(1, 2)), b"/gone": seen(b"/gone", 2, "it is gone"),
        b"/empty": empty,
    }  # fmt: skip
    places = SimpleNamespace(volumes=volumes, seen=looks)
    told = Reports()
    found, identities = scan._there(places, catalog, told, named=named)
    assert found == [volumes[0], *([volumes[2]] if named else [])]
    assert identities == {b"/v": Identity(1, 2)}
    assert told.notices[0] == "/gone: not scanned: it is gone"
    assert [one.path for one in told.problems] == [b"/gone", *([] if named else [b"/empty"])]
    if not named:
        assert told.notices[1].endswith(
            ", or name its path on the command line if it is meant to be so"
        )
    places = SimpleNamespace(volumes=volumes[1:2], seen=looks)
    with pytest.raises(UsageError, match="no volume is there to be scanned"):
        scan._there(places, catalog, Reports(), named=named)


@pytest.mark.parametrize(("holder", "beside"), [(77, True), (78, False), (None, False)])
def test_beside_a_daemon_a_scan_has_a_catalog_of_its_own(monkeypatch, holder, beside):
    other = SimpleNamespace(lock=nullcontext, directory="/s/beside")
    state = SimpleNamespace(
        lock=thrown(LockedError("held")), directory="/s", lock_file="/s/lock", beside=lambda: other
    )
    daemon = None if holder is None else {"pid": holder}
    monkeypatch.setattr(daemon_status, "read_daemon_status", lambda _d: daemon)
    monkeypatch.setattr(daemon_status, "holder_of", lambda _f: 77)
    told = Reports()
    with ExitStack() as stack:
        if not beside:
            with pytest.raises(LockedError):
                scan._locked(state, stack, told)
            return
        assert scan._locked(state, stack, told) is other
    (notice,) = told.notices
    assert "the daemon (process 77) works with this state" in notice
    assert "(/s/beside)" in notice


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
    monkeypatch.setattr(scan, "open_allow", type("Allow", (Fails,), {}))
    with pytest.raises(KeyboardInterrupt):
        machine.scan()
    machine.close()
    assert sorted(closed) == ["Allow", "Asker", "Probes"]
    ended = [one for one in read(machine.state.directory) if one.event == events.SCAN_ENDED]
    assert [one.facts["error"] for one in ended] == ["KeyboardInterrupt"]
