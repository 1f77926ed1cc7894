"""A Python script that is killed (SIGKILL) at the n-th of some calls into the kernel."""

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from examples import LONG

# Imports once; then forks for each run, which is a process of its own like any other.
_RUNNER = """
import json, os, re, signal, sys, traceback
{imports}
_names = {names!r}.split(",")
_code = compile({rest!r}, "script", "exec")

def _child(left, arguments, errors, calls):
    write = os.write
    def dies(real):
        def call(*given, **options):
            nonlocal left
            paths = [os.fsdecode(one) for one in given if isinstance(one, str | bytes | os.PathLike)]
            last = os.path.basename(paths[-1]) if paths else ""
            kind = real.__name__ + " " + re.sub("\\b[a-z0-9_]{{8}}$|[0-9a-f]{{8,}}|[0-9]+", "#", last)
            if isinstance(left, int):
                left -= 1
            if left == kind or left == -1:
                os.kill(os.getpid(), signal.SIGKILL)
            write(calls, kind.encode() + b"\\n")
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
    _files = [os.memfd_create("errors"), os.memfd_create("calls")]
    _pid = os.fork()
    if not _pid:
        _child(_left, _arguments, *_files)
    _, _status = os.waitpid(_pid, 0)
    _texts = []
    for _file in _files:
        os.lseek(_file, 0, 0)
        _texts.append(os.read(_file, 1 << 20).decode(errors="replace"))
        os.close(_file)
    print(json.dumps([os.waitstatus_to_exitcode(_status), *_texts]), flush=True)
"""


@dataclass
class Done:
    """How one run ended, as subprocess tells it.

    ``kinds``: of each call that it made: its name, and the name of its file without numbers.
    """

    returncode: int
    stderr: str
    kinds: list


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

    def instants(self):
        """Yield ``left`` for one run after another. The first run is whole: it shows the calls.

        The others are killed before the first call of each kind; in ``make test-long`` before each
        call, until one is whole.
        """
        yield None
        assert self._done.returncode == 0, self._done
        kinds, killed = list(dict.fromkeys(self._done.kinds)), 0
        for left in itertools.count() if LONG else kinds:
            yield left
            assert self._done.returncode in {0, -signal.SIGKILL}, self._done
            if self._done.returncode == 0 and LONG:
                break
            killed += self._done.returncode != 0
        assert 2 * killed > len(kinds), (killed, kinds)  # a few calls are made in a first run only

    def run(self, left, *arguments):
        """One run; how it ended.

        ``left``: it is killed before that call of those, from 0, or before the first call of that
        kind; None: it is not killed.
        """
        print(
            json.dumps([left, [str(one) for one in arguments]]),
            file=self._process.stdin,
            flush=True,
        )
        code, errors, kinds = json.loads(self._process.stdout.readline())
        self._done = Done(code, errors, kinds.splitlines())
        return self._done

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)
        self._temporary.cleanup()
