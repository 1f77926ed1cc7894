"""A file in use is linked into the next version, or copied."""

import errno
import os
from types import SimpleNamespace

import pytest
from faulty import break_os, raising

from hashscan.known.filters.filter_file import load
from hashscan.known.sync import apply


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
