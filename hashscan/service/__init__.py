"""The reference central service, for pilots and tests: answers whether a digest is known.

The module ``data`` has the service's directory, ``users`` its users, ``limits`` the rates,
``audit`` the record of questions, ``app`` the HTTP side, ``serve`` the process. The service needs
the extra ``service``.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys

from hashscan.errors import UsageError


def require_extra(who: str) -> None:
    """Check that the libraries of the extra ``service`` are installed; ``who`` needs them.

    Raises:
        UsageError: a library is missing.
    """
    missing = [one for one in ("starlette", "uvicorn") if importlib.util.find_spec(one) is None]
    if missing:
        # The package called hashscan on the public index may not be this project's package.
        raise UsageError(
            f"{who} needs {' and '.join(missing)}, the extra 'service'; run, in the checkout of "
            f"hashscan: {shlex.quote(sys.executable)} -m pip install '.[service]'"
        )
