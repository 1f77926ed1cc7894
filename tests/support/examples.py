"""How many random examples a test tries: in ``make test-long`` all, in the gate a part."""

import os

#: Whether ``make test-long`` runs.
LONG = bool(os.environ.get("HASHSCAN_LONG"))


def examples(number):
    """A third of ``number``, but at least 25; in ``make test-long`` the number itself."""
    return number if LONG else min(number, max(25, number // 3))
