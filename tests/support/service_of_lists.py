"""The reference service on a port that is known before it runs, with a filter for its digests."""

import hashlib
import os
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ready

from hashscan.known.filters.build import build
from hashscan.service.data import Data, load_set
from hashscan.service.serve import _wait_until_ready
from hashscan.service.users import add_user

PASSWORD = "a password of some length"


@contextmanager
def running(data, arguments=()):
    """What ``hashscan.service.serve.running`` does, with a process that is forked (``ready``)."""
    process = ready.start(
        "service", "run", "--data", data, "--listen", "127.0.0.1:0", *arguments, env=os.environ
    )
    try:
        yield _wait_until_ready(process)
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


class LateService:
    """Everything of a service but the process; ``start`` and ``stop`` it at will."""

    def __init__(self, directory, contents):
        self.directory = Path(directory)
        self.data = Data(str(self.directory / "service"))
        add_user(self.data, "me", PASSWORD)
        self.filter = self.directory / "baseline.filter"
        self.load(contents)
        self.password = self.directory / "password"
        self.password.write_text(PASSWORD)
        self.password.chmod(0o600)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self._stack = ExitStack()

    def load(self, contents, *, service=True):
        """Make these known to the filter, and to the service."""
        listed = self.directory / "list.txt"
        digests = [hashlib.sha1(content).hexdigest() for content in contents]
        listed.write_text("".join(f"{digest}\n" for digest in digests))
        if service:
            load_set(self.data, "known", [str(listed)])
        beside = str(self.directory / "next.filter")
        build([str(listed)], beside, force=True)
        os.replace(beside + ".json", f"{self.filter}.json")
        os.replace(beside, self.filter)

    @property
    def section(self):
        """Of the configuration."""
        return (
            f"service: {{kind: hashcheckservice, url: 'http://127.0.0.1:{self.port}',"
            f" username: me, password_file: {self.password}, timeout: 5s}}\n"
            f"filter: {{source: {self.filter}, refresh: 1s}}"
        )

    def start(self):
        self._stack.enter_context(
            running(self.data.directory, ("--listen", f"127.0.0.1:{self.port}"))
        )

    def close(self):
        self._stack.close()
