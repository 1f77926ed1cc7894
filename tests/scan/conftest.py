"""What tests of the scan share."""

import pytest
from lasting_queue import Lasting

from hashscan.catalog.store import Catalog


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def lasting(tmp_path):
    catalog = Catalog(str(tmp_path / "c.sqlite3"))
    catalog.service = ("s", True)
    yield Lasting(catalog)
    catalog.close()
