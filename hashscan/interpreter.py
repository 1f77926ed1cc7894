"""The Python that runs hashscan: isolated from its surroundings, and in UTF-8 mode.

Isolated (``-I``): root imports nothing from PYTHONPATH, a user's own packages or the current
directory. UTF-8 mode (``-X utf8``): in a locale of another encoding the paths in JSON would name no
file, and excludes with letters beyond ASCII would match none. The installed command
(``packaging/bin/hashscan``) starts Python like that; ``require`` does for ``python -m hashscan``.

This module imports only modules that are built into the interpreter's own library.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_FLAGS = ["-I", "-X", "utf8"]


def command() -> list[str]:
    """The command line that starts this very hashscan as a process."""
    return [sys.executable, *_FLAGS, os.path.join(_HERE, "__main__.py")]


def require() -> None:
    """Start again, with the same arguments, unless Python is isolated and in UTF-8 mode."""
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
