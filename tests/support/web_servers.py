"""Real web servers on loopback, each with a configuration of the test's own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess

import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def running(command, port):
    """Run a server in the foreground until the block ends; returns when it takes connections."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command],  # killed tests leave no server behind
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(process.stdout.read().decode("utf-8", "replace"))
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


def get(port, host, target):
    """Status, value of Location, and body of the answer to one raw GET."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(
            b"GET "
            + target
            + b" HTTP/1.1\r\nHost: "
            + host.encode()
            + b"\r\nConnection: close\r\n\r\n"
        )
        content = b""
        while more := connection.recv(65536):
            content += more
    head, _, body = content.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    location = b""
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"location":
            location = value.strip()
    if b"\r\nTransfer-Encoding: chunked" in head:
        body = _joined(body)
    return int(lines[0].split()[1]), location, body


def _joined(body):
    joined = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        joined += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return joined


class Comparison:
    """A running server, and the sites read from its configuration."""

    def __init__(self, port, sites):
        self.port = port
        self.sites = sites

    def bytes_of(self, host, target):
        """The content that a client gets that follows redirects; ``None``: no file's."""
        for _ in range(5):
            status, location, body = get(self.port, f"{host}:{self.port}", target)
            if status not in {301, 302} or not location.startswith(b"http://"):
                break
            authority, _, path = location.removeprefix(b"http://").partition(b"/")
            host, target = authority.decode().partition(":")[0], b"/" + path
        return body if status == 200 and body.startswith(b"file ") else None

    def named(self, host, target):
        """The content of the file that is located, and the location."""
        location = self.sites.locate(f"http://{host}:{self.port}{os.fsdecode(target)}")
        if location.kind.value != "file":
            return None, location
        with open(location.full, "rb") as file:
            return file.read(), location

    def differences(self, host, targets):
        """Targets that the server answers with other bytes than are located; and how many it served.

        Links that lead out of a document root are no difference: servers follow them.
        """
        wrong, served = [], 0
        for text in targets:
            target = text.partition("#")[0].encode()
            content = self.bytes_of(host, target)
            named, location = self.named(host, target)
            served += content is not None
            if content != named and "link out of the document root" not in location.reason:
                wrong.append((text, content, location))
        return wrong, served
