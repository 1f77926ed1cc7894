"""How many random examples a test tries: in ``make test-long`` all, in the gate a part."""

import os

#: Whether ``make test-long`` runs.
LONG = bool(os.environ.get("HASHSCAN_LONG"))


def examples(number):
    """A third of ``number``, but at least 25; in ``make test-long`` the number itself."""
    return number if LONG else min(number, max(25, number // 3))


def pairs(ones, others):
    """Each of ``ones`` with each of ``others``; in the gate, each at least once."""
    if LONG:
        return [(one, other) for one in ones for other in others]
    number = max(len(ones), len(others))
    return [(ones[n % len(ones)], others[n % len(others)]) for n in range(number)]
