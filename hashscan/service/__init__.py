"""The reference central service, for pilots and tests: answers whether a digest is known.

The module ``data`` has the service's directory, ``users`` its users, ``limits`` the rates of its
questions, ``audit`` the record of its questions, ``app`` the HTTP side, ``serve`` the process. The
service needs the extra ``service``.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys

from hashscan.errors import UsageError


def require_extra(who: str) -> None:
    """Raise unless the extra ``service`` is installed; ``who``: the command that needs it.

    Raises:
        UsageError: a library of the extra ``service`` is missing.
    """
    missing = [one for one in ("starlette", "uvicorn") if importlib.util.find_spec(one) is None]
    if missing:
        # The package named hashscan on the public index may be of another project.
        raise UsageError(
            f"{who} needs {' and '.join(missing)}, the extra 'service'; run, in the checkout of "
            f"hashscan: {shlex.quote(sys.executable)} -m pip install '.[service]'"
        )
