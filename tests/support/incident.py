"""Many sites with one stock image: the incident of a list that names a logo."""

import os
from pathlib import Path

from commandline import snapshot

from hashscan.audit.reader import read

LONG = bool(os.environ.get("HASHSCAN_LONG"))


STOCK = os.urandom(20_000)


#: Owners of sites: the small form.
OWNERS = 40


#: brakes.owners
MOST = 5


def make_sites(volume, owners=OWNERS, stock=STOCK):
    """Sites with the stock image, each of an owner of its own; their files."""
    found = []
    for number in range(owners):
        site = Path(volume, f"site{number}")
        site.mkdir()
        logo = site / "logo.png"
        logo.write_bytes(stock)
        (site / "index.html").write_bytes(os.urandom(100))
        logo.chmod(0o640)
        os.utime(logo, ns=(10**18 + number, 10**18 + 7 * number))
        for path in (site, *site.iterdir()):
            os.chown(path, 20_000 + number, 30_000 + number)
        found.append(logo)
    return found


def all_of(volume):
    """Every file with all of its metadata and content."""
    paths = sorted(path.relative_to(volume) for path in Path(volume).rglob("*") if path.is_file())
    return {str(one): snapshot(volume, os.fsencode(one)) for one in paths}


def held_events(state):
    return [one for one in read(str(state)) if one.event == "held"]
