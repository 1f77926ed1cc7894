"""Clients of the HashCheckService on a real loopback server."""

import logging
import os
import traceback

import pytest
from fault_server import KnownServer
from hcs_words import KNOWN, PASSWORD, SECRETS, USERNAME

from hashscan.errors import ServiceError
from hashscan.known.confirmers.hashcheckservice import HashCheckService


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in {
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "NETRC",
        }:
            monkeypatch.delenv(name)


@pytest.fixture
def server():
    with KnownServer({KNOWN.hex}, username=USERNAME, password=PASSWORD) as running:
        yield running


@pytest.fixture
def connect():
    """Makes clients with short times, and closes them."""
    clients = []

    def make(url, **options):
        options = {"timeout": 0.3, "backoff": 0.01, **options}
        client = HashCheckService(url=url, username=USERNAME, password=PASSWORD, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def refusal(caplog, capfd):
    """Asks, expects an error, and looks for the credentials in all that it leaves behind."""

    def ask(client, error_class, digest=KNOWN) -> ServiceError:
        with caplog.at_level(logging.DEBUG), pytest.raises(error_class) as caught:
            client.confirm(digest)
        error = caught.value
        assert type(error) is error_class
        assert error.__context__ is None
        assert error.__cause__ is None
        left_behind = [
            str(error),
            repr(error),
            repr(vars(error)),
            *traceback.format_exception(error),
        ]
        left_behind += [
            repr(client),
            repr(vars(client)),
            client.name,
            *capfd.readouterr(),
            caplog.text,
        ]
        left_behind += [repr(vars(record)) for record in caplog.records]
        for secret in SECRETS:
            assert secret not in "\n".join(left_behind)
        return error

    return ask
