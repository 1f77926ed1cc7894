"""hashscan's commands without the wait for their libraries.

Each runs from its arguments to its exit code in a process of its own, as ``python -m hashscan``
does: what differs is that the process is forked from one that has imported the libraries before.
That is most of what a short command costs, and the tests start more than a thousand of them.
``subprocess`` does what asks for more than this: other streams, another locale or user.
"""

import atexit
import contextlib
import ctypes
import gc
import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

import huge_pages
import namespaces
import surroundings
import unsynced

COMMAND = [sys.executable, "-m", "hashscan"]
#: Modules that commands import only when they need them.
_LATER = (
    "hashscan.jobs.check",
    "hashscan.jobs.status_complaints",
    "hashscan.jobs.volume_probe",
    "hashscan.jobs.report",
    "hashscan.jobs.scan",
    "hashscan.jobs.status",
    "hashscan.jobs.sync",
    "hashscan.cli.notice_add",
    "hashscan.config.parsing",
    "hashscan.daemon.daemon",
    "hashscan.jobs.doctor",
    "hashscan.known.confirmers.local_list",
    "hashscan.known.filters.build",
    "hashscan.known.filters.fill",
    "hashscan.known.lists.vics",
    "hashscan.known.sync.client",
    "hashscan.output.jsonl",
    "hashscan.output.notices",
    "hashscan.output.text",
    "hashscan.scan.rejudge",
    "hashscan.watch.choose_source",
    "hashscan.watch.inotify",
    "hashscan.watch.process",
)
_LONGEST = 60_000  # bytes of a request: a socket's buffer holds several


def hashscan(*arguments, cwd=None, env=None, timeout=60, within=None, **more):
    """What ``subprocess.run`` gives for ``python -m hashscan``, with its streams as bytes.

    ``within``: name and arguments of a function of ``surroundings``, which the process calls last.
    With ``more`` for ``subprocess.run``, it is that which starts it.

    Raises:
        subprocess.TimeoutExpired: it was killed after ``timeout`` seconds.
    """
    if within is not None and within[0] in surroundings.MOUNTING:
        namespaces.needed(namespaces.why_no_mounts)
    words = [os.fsencode(one) for one in arguments]
    values = {os.fsencode(name): os.fsencode(one) for name, one in (env or os.environ).items()}
    mask = os.umask(0o022)
    os.umask(mask)
    where = os.fspath(cwd) if cwd else os.getcwd()
    request = pickle.dumps((words, values, where, mask, within, False))
    plain = not more and len(request) <= _LONGEST and _is_plain(values)
    assert plain or within is None
    if plain and _LOCK.acquire(blocking=within is not None):
        try:
            return _run(words, request, timeout)
        except BaseException:  # a test's own time limit, too: the next one must not get this answer
            _end_starter()
            raise
        finally:
            _LOCK.release()
    stdin = {} if "input" in more else {"stdin": subprocess.DEVNULL}
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, cwd=cwd, env=env, timeout=timeout, check=False,
        **stdin, **more,
    )  # fmt: skip


def in_words(done):
    """The same with its streams as text."""
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def _is_plain(values):
    """Whether nothing in the environment decides how the interpreter itself starts."""
    decides = (b"PYTHON", b"LC_", b"LD_", b"MALLOC_")
    ours = (b"PYTHONUNBUFFERED", b"PYTHONDONTWRITEBYTECODE")
    others = [name for name in values if name.startswith(decides) and name not in ours]
    return not others and values.get(b"LANG", b"C.UTF-8") == b"C.UTF-8"


class Process:
    """A started command, with what tests use of ``subprocess.Popen``: it is their child as well."""

    def __init__(self, pid, stdout, stderr):
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode = None

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=100):
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(COMMAND, timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=100):
        streams = [one for one in (self.stdout, self.stderr) if one]
        found = {}
        reads = [
            threading.Thread(target=lambda one=one: found.update({one: one.read()}), daemon=True)
            for one in streams
        ]
        for read in reads:
            read.start()
        until = time.monotonic() + timeout
        for read in reads:
            read.join(max(0.1, until - time.monotonic()))
            if read.is_alive():
                raise subprocess.TimeoutExpired(COMMAND, timeout)
        self.wait(max(0.1, until - time.monotonic()))
        return found.get(self.stdout), found.get(self.stderr)


def start(*arguments, env=None, stdout=None, stderr=None, within=None):
    """Start a command as the leader of a session of its own, which ends with the tests.

    ``within``: as for ``hashscan``.
    ``stdout``, ``stderr``: a descriptor or file for the stream; else the process has a pipe for it.
    """
    words = [os.fsencode(one) for one in arguments]
    values = {os.fsencode(name): os.fsencode(one) for name, one in (env or os.environ).items()}
    if not _is_plain(values):
        assert within is None
        return subprocess.Popen(
            [*COMMAND, *words], env=env, start_new_session=True,
            stdout=stdout or subprocess.PIPE, stderr=stderr or subprocess.PIPE,
        )  # fmt: skip
    mask = os.umask(0o022)
    os.umask(mask)
    request = pickle.dumps((words, values, os.getcwd(), mask, within, True))
    assert len(request) <= _LONGEST
    ours, theirs, own = [], [], []
    with _LOCK:
        try:
            for given in (stdout, stderr):
                if given is None:
                    reading, writing = os.pipe()
                    own.append(writing)
                    ours.append(os.fdopen(reading, "rb"))
                    theirs.append(writing)
                else:
                    ours.append(None)
                    theirs.append(given if isinstance(given, int) else given.fileno())
            starter = _starter()
            _adopt(True)
            try:
                socket.send_fds(starter, [request], theirs)
                pid = max(int(starter.recv(64)) for _ in range(2))
            finally:
                _adopt(False)
        except BaseException:
            _end_starter()
            raise
        finally:
            for one in own:
                os.close(one)
    return Process(pid, *ours)


# Of the tests

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LOCK = threading.Lock()
_STARTER = []
_MORE = {}  # of the environment of the process that forks


def _adopt(whether):
    """Whether processes become children of this one if their parent ends."""
    assert ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0) == 0


@contextlib.contextmanager
def forked_within(env):
    """Within the block, commands are forked from a process with more in its environment.

    A library that it preloads, e.g. another clock, is in the commands, too.
    """
    kept = list(_STARTER)
    _STARTER.clear()
    _MORE.update(env)
    try:
        yield
    finally:
        _end_starter()
        _MORE.clear()
        _STARTER[:] = kept


def _starter():
    if not _STARTER or _STARTER[0] != os.getpid():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import ready; "
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}ready.serve({theirs.fileno()})"],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, **_MORE},
        )  # fmt: skip
        theirs.close()
        _STARTER[:] = [os.getpid(), ours, process]
    return _STARTER[1]


@atexit.register
def _end_starter():
    if _STARTER and _STARTER[0] == os.getpid():
        _, ours, process = _STARTER
        _STARTER.clear()
        ours.close()
        process.kill()
        process.wait()


def _run(words, request, timeout):
    starter = _starter()
    pipes = [os.pipe(), os.pipe()]
    try:
        socket.send_fds(starter, [request], [theirs for _, theirs in pipes])
    finally:
        for _, theirs in pipes:
            os.close(theirs)
    pid = int(starter.recv(64))
    found = [b"", b""]

    def drain(number):
        with open(pipes[number][0], "rb") as stream:
            found[number] = stream.read()

    drains = [threading.Thread(target=drain, args=(number,)) for number in range(2)]
    for one in drains:
        one.start()
    until = time.monotonic() + timeout
    late = False
    starter.settimeout(timeout)
    try:
        code = int(starter.recv(64))
    except TimeoutError:
        late, code = True, -signal.SIGKILL
        os.kill(pid, signal.SIGKILL)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        starter.settimeout(None)
    for one in drains:
        one.join(max(0.1, until - time.monotonic()))
        late = late or one.is_alive()
    if late:
        raise subprocess.TimeoutExpired([*COMMAND, *words], timeout, *found)
    return subprocess.CompletedProcess([*COMMAND, *words], code, *found)


# Of the process that is forked


def serve(descriptor):
    """Fork a process for each request, until the tests end."""
    connection = socket.socket(fileno=descriptor)
    unsynced.install()
    import hashscan.cli

    for module, _ in hashscan.cli.COMMANDS.values():
        __import__(f"hashscan.cli.{module}")
    for module in _LATER:
        __import__(module)
    with contextlib.suppress(ImportError):  # an extra
        import hashscan.service.serve
    _use_once()
    os.chdir("/")
    gc.collect()
    gc.freeze()
    huge_pages.collapse()
    while True:
        request, streams, _, _ = socket.recv_fds(connection, 2 * _LONGEST, 2)
        if not request:
            os._exit(0)
        *values, on_its_own = pickle.loads(request)
        pid = os.fork()
        if not pid and on_its_own:
            between = os.getpid()
            if os.fork():
                os._exit(0)
            os.setsid()
            while os.getppid() == between:  # until the tests have it
                time.sleep(0.0005)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            connection.send(b"%d" % os.getpid())
            connection.close()
            _become(streams, *values)
        if not pid:
            connection.close()
            _become(streams, *values)
        for one in streams:
            os.close(one)
        if on_its_own:
            os.waitpid(pid, 0)
            connection.send(b"0")  # its parent has changed
            continue
        connection.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            connection.send(b"%d" % os.waitstatus_to_exitcode(status))


def _use_once():
    """Do what each command does first: otherwise each process does it, for 30 ms.

    Pydantic sets up a model when it is used first; click and re remember what they have seen.
    """
    import pydantic

    import hashscan.cli
    from hashscan.config.loader import validate
    from hashscan.config.parsing import parse

    models = pydantic.BaseModel.__subclasses__()
    for model in models:
        models += model.__subclasses__()
        if model.__module__.startswith("hashscan."):
            model.model_rebuild()
    for words in (["config", "check", "--help"], ["scan", "--help"], ["status", "--help"]):
        sys.argv = ["hashscan", *words]
        hashscan.cli._run()
    known = b"service: {kind: local, known: [/known]}"
    validate(parse(b"state: /state\nvolumes: [path: /srv]\n" + known), check_files=False)


def _become(streams, words, values, where, mask, within):
    """Be what ``python -m hashscan`` would be at its first line."""
    try:
        for number, one in enumerate(streams, 1):
            os.dup2(one, number)
            os.close(one)
        out, err = io.FileIO(1, "w", closefd=False), io.FileIO(2, "w", closefd=False)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(out), "utf-8", "surrogateescape")
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(err), "utf-8", "backslashreplace", line_buffering=True
        )
        os.environb.clear()
        os.environb.update(values)
        time.tzset()
        os.umask(mask)
        os.chdir(where)
        gc.unfreeze()
        sys.argv = ["hashscan", *map(os.fsdecode, words)]
        from hashscan.cli import main

        if within is not None:
            getattr(surroundings, within[0])(*within[1:])
        main()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(99)  # main ends by itself
