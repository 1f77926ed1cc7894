"""The Python that runs hashscan: isolated from its environment, and in UTF-8 mode.

With isolation (``-I``), root imports nothing from PYTHONPATH, a user's own packages or the current
directory. Without UTF-8 mode (``-X utf8``), in a locale with another encoding, the paths in JSON
would name no file, and excludes with letters beyond ASCII would match no file. The installed
command (``packaging/bin/hashscan``) starts Python with both options. If ``python -m hashscan`` runs
without them, ``require`` starts hashscan again with both options.

This module imports only modules of Python's own library.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_FLAGS = ["-I", "-X", "utf8"]


def command() -> list[str]:
    """Return the command line that starts the same hashscan as a new process."""
    return [sys.executable, *_FLAGS, os.path.join(_HERE, "__main__.py")]


def require() -> None:
    """Start hashscan again, with the same arguments, unless it is isolated and in UTF-8 mode."""
    if sys.flags.isolated and sys.flags.utf8_mode:
        return
    why = "a restart did not change that"
    if sys.executable and sys.orig_argv[1:4] != _FLAGS:
        try:
            os.execv(sys.executable, [*command(), *sys.argv[1:]])  # noqa: S606 - no shell is meant
        except OSError as error:
            why = error.strerror or str(error)
    sys.stderr.write(
        "hashscan: error: Python cannot be started in isolated and UTF-8 mode "
        f"({sys.executable!a}: {why}), and without that file names may be wrong; "
        "start the installed command hashscan, or: python3 -I -X utf8 -m hashscan\n"
    )
    sys.exit(2)
