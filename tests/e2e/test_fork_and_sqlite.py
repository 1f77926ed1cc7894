"""A worker process that is forked between two transactions reads under locks of its own."""

import os
import warnings

from hashscan.catalog.reader import CatalogReader
from hashscan.catalog.store import Catalog


def test_checkpoint_waits_for_a_forked_reader(tmp_path):
    """What the pool's ``before_fork`` is for.

    SQLite's locks belong to a process. A reader forked while the writer is in a transaction takes
    the copied locks for its own, and the log is emptied while it reads.
    """
    catalog = Catalog(os.fspath(tmp_path / "catalog.sqlite3"))
    catalog.filterset("first")
    catalog.commit()
    catalog.filterset("second")
    catalog.commit()
    ready, tell = os.pipe()
    wait, go = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            reader = CatalogReader(catalog.path)
            reader._connection.execute("BEGIN")
            reader._connection.execute("SELECT count(*) FROM filterset").fetchone()
            os.write(tell, b"x")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.read(ready, 1)
    catalog.filterset("third")
    catalog.commit()
    catalog._connection.execute("PRAGMA busy_timeout = 50")
    busy, _, _ = catalog._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    os.write(go, b"x")
    os.waitpid(pid, 0)
    catalog.close()
    assert busy == 1, "the log was emptied under a reader"
