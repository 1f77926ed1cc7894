"""The reference central service, for pilots and tests: answers whether a digest is known.

``data`` has its directory, ``users`` its users, ``limits`` the rates, ``audit`` the record of
questions, ``app`` the HTTP side, ``serve`` the process. It needs the extra ``service``.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys

from hashscan.errors import UsageError


def require_extra(who: str) -> None:
    """Check that the libraries of the extra ``service`` are installed, because ``who`` needs them.

    Raises:
        UsageError: a library is missing.
    """
    missing = [one for one in ("starlette", "uvicorn") if importlib.util.find_spec(one) is None]
    if missing:
        # The name hashscan on the public package index is not known to be this project's.
        raise UsageError(
            f"{who} needs {' and '.join(missing)}, the extra 'service'; run, in the checkout of "
            f"hashscan: {shlex.quote(sys.executable)} -m pip install '.[service]'"
        )
