"""The service in a process of its own, with a list, a user, and the project's own client."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from service_clients import PASSWORD
from service_of_lists import running

from hashscan.known.confirmers.hashcheckservice import HashCheckService
from hashscan.service.data import Data, load_set
from hashscan.service.users import add_user


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@dataclass
class Served:
    data: Data
    known: list
    test: list
    directory: Path
    url: str = ""

    def load(self, digests, which="known"):
        listed = self.directory / "list"
        listed.write_text("".join(f"{digest}\n" for digest in digests))
        return load_set(self.data, which, [str(listed)])

    def client(self, password=PASSWORD, user="me", **options):
        options = {"timeout": 10.0, "backoff": 0.01, **options}
        return HashCheckService(url=self.url, username=user, password=password, **options)


def prepare(directory):
    one = Served(
        Data(str(directory / "data")),
        known=[os.urandom(20).hex() for _ in range(100)] + [os.urandom(16).hex()],
        test=[os.urandom(20).hex() for _ in range(3)],
        directory=directory,
    )
    one.load(one.known)
    one.load(one.test, "test")
    add_user(one.data, "me", PASSWORD)
    return one


@pytest.fixture(scope="session")
def prepare_in():
    """Makes the service's directory, loaded, in a directory."""
    return prepare


@pytest.fixture
def prepared(tmp_path):
    """The service's directory, loaded, and not running."""
    return prepare(tmp_path)


@pytest.fixture
def serve(prepared):
    """Starts the service with more options; one at a time."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*arguments):
            prepared.url = stack.enter_context(running(prepared.data.directory, arguments))
            return prepared

        yield start


@pytest.fixture
def served(serve):
    return serve()


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """One that runs for all tests that only ask, with the right password."""
    one = prepare(tmp_path_factory.mktemp("service"))
    with running(one.data.directory, ()) as one.url:
        yield one
