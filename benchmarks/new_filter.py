"""How quickly a new filter judges a catalog: digests a second, no file of a customer is opened.

    python benchmarks/new_filter.py --digests 10000000

Makes a catalog of so many files (there is no volume beside it) and a filter, and has the catalog
judged as the daemon does. Prints one line of JSON.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import wait
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hashscan.catalog.store import Catalog
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.writer import FilterWriter
from hashscan.scan.rejudge import Rejudging

_A_DIRECTORY = 100


def fill(catalog: Catalog, count: int) -> bytes:
    """Rows as a first scan leaves them; one of their digests."""
    scan, _ = catalog.begin_scan([b"/v"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/v", 0)])
    made = 0
    digest = b""
    while made < count:
        names = [(b"directory-%07d" % (made + n), n) for n in range(100)]
        for directory in catalog.queue_directories(scan, root.number, b"", names):
            rows = []
            for number in range(_A_DIRECTORY):
                digest = os.urandom(20)
                rows.append(
                    (b"file-%06d.jpg" % number, -1, made + number, 4096, 1_700_000_000_000_000_000,
                     1_700_000_000_000_000_000, None, digest, None, False, False, False, 1, scan,
                     None)
                )  # fmt: skip
            catalog.put_files(directory.number, rows)
            made += _A_DIRECTORY
            if made >= count:
                break
        catalog.commit()
    return digest


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digests", type=int, default=10_000_000, help="files in the catalog")
    parser.add_argument("--filter", type=int, default=1_000_000, help="digests in the filter")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--where", default=None)
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="hashscan-filter-", dir=arguments.where))
    try:
        catalog = Catalog(str(place / "catalog"))
        known = fill(catalog, arguments.digests)
        catalog.close()
        writer = FilterWriter(capacity=arguments.filter + 1000)
        writer.add([known.hex(), *(os.urandom(20).hex() for _ in range(arguments.filter))])
        writer.write(str(place / "filter"), category="baseline", algorithms=("sha1",))
        one = load(str(place / "filter"))
        rates, found = [], 0
        for _ in range(arguments.runs):
            began = time.monotonic()
            rejudging = Rejudging(
                str(place / "catalog"), (one,), frozenset({"sha1"}), filterset=2, until=10,
                processes=len(os.sched_getaffinity(0)),
            )  # fmt: skip
            found = 0
            while rejudging.connections:
                for connection in wait(rejudging.connections):
                    part = rejudging.take(connection)
                    assert part is not None
                    found += len(part.found)
            rates.append(round(rejudging.files / (time.monotonic() - began)))
        assert found >= 1
        size = os.path.getsize(place / "catalog")
        print(json.dumps({
            "digests": arguments.digests, "filter": arguments.filter, "found": found,
            "digests_per_second": sorted(rates),
            "catalog_bytes_a_file": round(size / arguments.digests, 1),
        }))  # fmt: skip
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
