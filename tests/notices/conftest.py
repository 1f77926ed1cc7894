"""A file of notices."""

import pytest

from hashscan.notices.store import NoticeStore


@pytest.fixture
def store(tmp_path):
    with NoticeStore(str(tmp_path / "notices.sqlite3")) as one:
        yield one
