"""hashscan.catalog.forget: verdicts that are forgotten in another process's catalog."""

import os

import pytest

from hashscan.catalog.forget import forget_verdicts
from hashscan.catalog.store import Catalog
from hashscan.model import Answer, Digest

SHA1 = Digest("sha1", "ab" * 20)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "c.sqlite3")


def test_verdicts_are_forgotten_in_the_catalog_of_another_process(path):
    forget_verdicts(path, [SHA1])
    assert not os.path.exists(path), "there is no catalog yet"
    catalog = Catalog(path)
    catalog.put_verdict("s", SHA1, Answer(known=True), 1)
    catalog.close()
    forget_verdicts(path, [SHA1])
    catalog = Catalog(path)
    assert catalog.verdict("s", SHA1, 1) is None
    catalog.close()
