"""The intake of notices, with a token, and the requests of SCART's add-ons."""

import contextlib
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
import requests
from raw_http import ask_raw
from serving import serving

from hashscan.notices.reader import open_existing
from hashscan.service.intake.serve import IntakeOptions, data_of, serve
from hashscan.service.intake.tokens import add_token
from hashscan.state import State

REPORTS = "/api/v1/reports"


@pytest.fixture(autouse=True, scope="session")
def no_proxy_of_this_machine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@dataclass
class Served:
    state: State
    token: str
    sites: tuple = ()
    url: str = ""
    said: list = field(default_factory=list)

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def post(self, data, token=None, **options):
        """As SCART's add-on, which sends what PHP's http_build_query makes."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        headers |= options.pop("headers", {})
        if isinstance(data, dict):
            data = urlencode(data)
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return requests.post(self.url + REPORTS, data=data, headers=headers, timeout=60, **options)

    def raw(self, body, *headers, host="x"):
        """The whole answer to a request with these bytes as its body."""
        lines = [
            f"POST {REPORTS} HTTP/1.1", f"Host: {host}", "Connection: close",
            f"Authorization: Bearer {self.token}", *headers,
        ]  # fmt: skip
        return ask_raw(self.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    @contextlib.contextmanager
    def notices(self):
        with open_existing(self.state.notices) as reader:
            yield reader

    def stored(self):
        """Ids of all notices."""
        with self.notices() as reader:
            return {one.id for one in reader.notices()}

    def items(self, notice):
        with self.notices() as reader:
            return reader.items(notice)


def as_scart_reads(answer):
    """What SCART's add-on makes of an answer: the id, or an error; it does not see the status."""
    found = answer if isinstance(answer, dict) else answer.json()
    if found.get("message"):
        assert "errors" in found
        return None
    return found["data"]["id"]


@pytest.fixture(scope="session")
def scart_reads():
    return as_scart_reads


@pytest.fixture(autouse=True, scope="session")
def hurry():
    """Changed tokens count soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashscan.service.intake.serve._EVERY", 0.05)
        yield


def prepare(directory):
    """An intake with a token, which is made only once for a directory."""
    state = State(str(directory / "state"))
    kept = directory / "token"
    if not kept.exists():
        kept.write_text(add_token(data_of(state), "hotline"))
    return Served(state, kept.read_text())


@contextlib.contextmanager
def running(one, **options):
    with serving(
        serve, one.state, one.sites, IntakeOptions(port=0, **options), said=one.said
    ) as one.url:
        yield one


@pytest.fixture(scope="session")
def run_in():
    """Makes an intake in a directory, and runs it with options for as long as the block."""

    @contextlib.contextmanager
    def run(directory, sites=(), **options):
        prepared = prepare(directory)
        prepared.sites = sites
        with running(prepared, **options) as one:
            yield one

    return run


@pytest.fixture(scope="module")
def intake(tmp_path_factory):
    """One that runs for all tests of a module that only send."""
    with running(prepare(tmp_path_factory.mktemp("intake"))) as one:
        yield one


@pytest.fixture(scope="session")
def wait_for():
    def wait(condition, seconds=60, every=0.02):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(every)

    return wait
