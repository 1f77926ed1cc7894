"""The real command line in a test: run it, read its events, and look at volumes and stores."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import ready

PYTHON = [sys.executable, "-m", "hashscan"]
MATCH_KEYS = [
    "event", "path", "size", "digests", "algorithm", "category", "action", "quarantine_id", "uid",
    "time",
]  # fmt: skip
SUMMARY_KEYS = [
    "event", "files", "hashed", "unchanged", "skipped", "problems", "bytes_hashed", "candidates",
    "false_positives", "matches", "quarantined", "held", "pending", "seconds",
]  # fmt: skip
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def sha1(content):
    return hashlib.sha1(content).hexdigest()


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code (negative: killed by that signal) and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def events(self):
        """Its JSON lines, after a look at what is promised of each."""
        found = [json.loads(line) for line in self.out.splitlines()]
        for line, event in zip(self.out.splitlines(), found, strict=True):
            assert line.startswith('{"event":'), line
            assert line.isascii()
            assert next(iter(event)) == "event"
        return found

    def of(self, kind):
        return [event for event in self.events if event["event"] == kind]

    @property
    def matches(self):
        return self.of("match")

    @property
    def paths(self):
        """The matches' paths as the kernel knows them."""
        return sorted(os.fsencode(event["path"]) for event in self.matches)

    @property
    def summary(self):
        """The counts, which come last and must add up."""
        (found,) = self.of("summary")
        assert self.events[-1] == found
        outcomes = found["hashed"] + found["unchanged"] + found["problems"]
        assert found["files"] == outcomes + sum(found["skipped"].values())
        assert found["matches"] == len(self.matches)
        assert found["pending"] == len(self.of("pending"))
        assert found["quarantined"] == sum(m["action"] == "quarantined" for m in self.matches)
        assert found["held"] == sum(m["action"] == "held" for m in self.matches)
        return found

    def is_clean(self):
        """Neither a trace nor a line that says that hashscan itself is wrong."""
        return "Traceback" not in self.err and "internal error" not in self.err


def environment(**more):
    # What the tests' own process has in there must not decide what the agent does.
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", **more}


def hashscan(*arguments, timeout=60, env=None, **options):
    """Run ``python -m hashscan`` to its end."""
    ended = ready.hashscan(*arguments, timeout=timeout, env=env or environment(), **options)
    return Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@contextmanager
def started(*arguments, **options):
    """Start it as the leader of a process group of its own; what is left of that is killed."""
    process = ready.start(*arguments, env=environment(), **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def ended(process, timeout=60):
    """What a started one came to."""
    out, err = process.communicate(timeout=timeout)
    return Ran(process.returncode, (out or b"").decode(), (err or b"").decode())


def members(group):
    """Processes of a group that live (zombies do not)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError, IndexError):
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(name))
    return found


def until(true, seconds, what, pause=0.02):
    """Wait until ``true()`` is; returns the seconds that took."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s: {what}"
        time.sleep(pause)
    return time.monotonic() - begin


class Agent:
    """A state directory, a volume and a digest list, with the commands about them."""

    def __init__(self, state, volume, known=(), config=None):
        self.state = state
        self.volume = volume
        self.config = config
        self.list = Path(f"{os.fspath(state)}.list")
        self.know(known)

    def know(self, contents):
        """Make the digest list anew."""
        self.list.write_text(
            "".join(f"{sha1(content)}\n" for content in contents) + "ab" * 20 + "\n"
        )

    @property
    def store(self):
        return Path(self.state, "quarantine")

    def arguments(self, *more, quarantine=False):
        """Those of a scan of the volume."""
        first = ["--config", self.config] if self.config else []
        known = [] if self.config else ["--known", self.list]
        action = ["--action", "quarantine" if quarantine else "report"]
        return [*first, "scan", self.volume, *known, "--state", self.state, *action, *more]

    def scan(self, *more, quarantine=False, text=False, timeout=60, **options):
        form = [] if text else ["--json"]
        arguments = self.arguments(*form, *more, quarantine=quarantine)
        return hashscan(*arguments, timeout=timeout, **options)

    def quarantine(self, command, *more, **options):
        return hashscan("quarantine", command, "--state", self.state, *more, **options)

    def records(self):
        """All records, with unfinished jobs ended first: the command is a next start too."""
        ran = self.quarantine("list", "--all", "--json")
        assert ran.code == 0, ran.err
        return ran.of("record")

    def restore(self, ids):
        ran = self.quarantine("restore", *ids)
        assert ran.code == 0, ran.err
        return ran


@contextmanager
def parent_of(root, path):
    """A descriptor of the directory of ``path`` (bytes, of any length) and its last name."""
    *names, last = path.split(b"/")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            following = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = following
        yield here, last
    finally:
        os.close(here)


def write(root, path, content, mode=0o644):
    """A new file, and the directories to it."""
    names = path.split(b"/")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names[:-1]:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=here)
            following = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = following
        fd = os.open(names[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=here)
        with open(fd, "wb") as file:
            file.write(content)
    finally:
        os.close(here)


def snapshot(root, path):
    """All of a file but its inode's number and change time; reading it leaves no trace."""
    with parent_of(root, path) as (parent, name):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME, dir_fd=parent)
        try:
            status = os.fstat(fd)
            attributes = {one: os.getxattr(fd, one) for one in os.listxattr(fd)}
            content = os.pread(fd, status.st_size + 1, 0)
        finally:
            os.close(fd)
    times = (status.st_atime_ns, status.st_mtime_ns)
    owner = (status.st_uid, status.st_gid)
    return oct(status.st_mode), owner, status.st_nlink, times, attributes, content


def exists(root, path):
    try:
        with parent_of(root, path) as (parent, name):
            os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    return True


def entries(root, form="%P\\0"):
    """What ``find`` shows of everything below ``root`` that is no directory."""
    found = subprocess.run(
        ["find", os.fsencode(root), "!", "-type", "d", "-printf", form],
        capture_output=True,
        check=False,  # what vanishes meanwhile makes it fail
    )
    return sorted(found.stdout.split(b"\0")[:-1])


def contents(*roots):
    """How often each content, by SHA-1, lies in a regular file below any of the roots."""
    counts = {}
    for root in roots:
        found = subprocess.run(
            f"find {os.fsencode(root).decode()!r} -type f -print0 2>/dev/null"
            " | xargs -0r sha1sum -z | cut -zc1-40",
            shell=True,
            capture_output=True,
            check=False,
        )
        for digest in found.stdout.decode().split("\0")[:-1]:
            counts[digest.lstrip("\\")] = counts.get(digest.lstrip("\\"), 0) + 1
    return counts


def settle(root, seconds=0.2):
    """Let every stamp below ``root`` be old enough to be believed (racy time stamps)."""
    newest = max((float(one) for one in entries(root, "%C@\\0")), default=0.0)
    time.sleep(max(0.0, newest + seconds - time.time()))


def unprintable(text):
    """Characters in ``text`` that can forge a line or move something on a terminal."""
    forbidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {one for one in text if one != "\n" and unicodedata.category(one) in forbidden}
