"""A file in use is linked into the next version, or copied."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, raising
from tuf.api.exceptions import LengthOrHashMismatchError

from hashscan.errors import HashscanError
from hashscan.known.filters.filter_file import load
from hashscan.known.sync import apply
from hashscan.known.sync.web_answers import FetchError


@pytest.mark.parametrize("links", [True, False])
def test_a_file_in_use_is_linked_or_copied(agent, tmp_path, monkeypatch, links):
    agent.sync()
    base = agent.filter()
    if not links:
        break_os(monkeypatch, apply, link=raising(errno.EPERM))
    wanted = SimpleNamespace(custom=SimpleNamespace(metadata=base.metadata))
    path = tmp_path / "again.filter"
    maker = object.__new__(apply.Maker)
    assert maker.make("baseline", None, wanted, base, str(path)) is None
    assert load(str(path)).metadata == base.metadata
    assert os.path.samefile(path, base.path) is links


@pytest.mark.parametrize(
    ("resumed", "fault", "tries"),
    [
        (True, FetchError("another part"), 2),
        (True, LengthOrHashMismatchError("other bytes"), 2),
        (True, OSError(errno.ENOSPC, "full"), 1),
        (False, FetchError("no server"), 1),
    ],
)
def test_a_continued_download_that_fails_begins_again_once(resumed, fault, tries):
    """Bytes of an earlier run may be wrong; without them the second download starts at the start."""
    calls = []

    class Updater:
        def download_target(self, target, path):
            calls.append((target, path))
            raise fault

    maker = object.__new__(apply.Maker)
    maker._url, maker._updater = "http://x.example/", Updater()
    maker._fetcher = SimpleNamespace(resumed=resumed, forget=lambda: calls.append("forget"))
    target = SimpleNamespace(path="t")
    with pytest.raises((HashscanError, OSError)):
        maker._fetch(target, "/p")
    assert calls == [(target, "/p"), *(["forget", (target, "/p")] if tries == 2 else [])]
