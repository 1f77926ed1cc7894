"""A Python script that is killed (SIGKILL) at the n-th of some calls into the kernel."""

import sys

_PRELUDE = """
import os, signal, sys
_left, _names = int(sys.argv.pop(1)), sys.argv.pop(1)
def _dies(real):
    def call(*arguments, **options):
        global _left
        _left -= 1
        if _left < 0: os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
{imports}
for _name in _names.split(","):
    setattr(os, _name, _dies(getattr(os, _name)))
"""


def dying(script, left, *arguments, names="fsync,replace,mkdir,unlink,rmdir"):
    """The command line that runs ``script`` and kills it at call ``left`` of ``os``'s ``names``.

    The script's import lines come first, so that importing is not counted.
    """
    lines = script.strip().splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = [line for line in lines if line not in imports]
    whole = _PRELUDE.format(imports="\n".join(imports)) + "\n".join(rest)
    return [sys.executable, "-c", whole, str(left), names, *map(str, arguments)]
