"""hashscan.jobs.scan: the actor of a scan, and earlier decisions of an administrator."""

import os
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest
from isolating import confirmed, needs_root

from hashscan.config.settings import Settings
from hashscan.jobs.known_set import KnownSet
from hashscan.jobs.scan import open_actor
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
