"""A Python script that is killed (SIGKILL) at the n-th of some calls into the kernel."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

# Imports once; then forks for each run, which is a process of its own like any other.
_RUNNER = """
import json, os, signal, sys, traceback
{imports}
_names = {names!r}.split(",")
_code = compile({rest!r}, "script", "exec")

def _child(left, arguments, errors):
    def dies(real):
        def call(*given, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **options)
        return call
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd, of in ((nothing, 0), (nothing, 1), (errors, 2)):
        os.dup2(fd, of)
    for name in _names:
        setattr(os, name, dies(getattr(os, name)))
    sys.argv[1:] = arguments
    code = 0
    try:
        exec(_code, {{**globals(), "__name__": "__main__"}})
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)

for _line in sys.stdin:
    _left, _arguments = json.loads(_line)
    _errors = os.memfd_create("errors")
    _pid = os.fork()
    if not _pid:
        _child(_left, _arguments, _errors)
    _, _status = os.waitpid(_pid, 0)
    os.lseek(_errors, 0, 0)
    _text = os.read(_errors, 1 << 20).decode(errors="replace")
    os.close(_errors)
    print(json.dumps([os.waitstatus_to_exitcode(_status), _text]), flush=True)
"""


@dataclass
class Done:
    """How one run ended, as subprocess tells it."""

    returncode: int
    stderr: str


class Dying:
    """Runs ``script`` and kills it at a call of one of ``os``'s ``names``; time and again.

    The script's import lines come first, so that importing is not counted.
    """

    def __init__(self, script, names="fsync,replace,mkdir,unlink,rmdir"):
        lines = script.strip().splitlines()
        imports = [line for line in lines if line.startswith(("import ", "from "))]
        rest = [line for line in lines if line not in imports]
        whole = _RUNNER.format(imports="\n".join(imports), rest="\n".join(rest), names=names)
        # What is killed leaves its working directories behind.
        self._temporary = tempfile.TemporaryDirectory(prefix="hashscan-dying-")
        self._process = subprocess.Popen(
            [sys.executable, "-c", whole],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": self._temporary.name},
        )

    def run(self, left, *arguments):
        """One run, killed before call ``left`` (from 0) of those; how it ended."""
        print(
            json.dumps([left, [str(one) for one in arguments]]),
            file=self._process.stdin,
            flush=True,
        )
        return Done(*json.loads(self._process.stdout.readline()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)
        self._temporary.cleanup()
