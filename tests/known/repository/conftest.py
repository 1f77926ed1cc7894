"""A published repository, its server, and an agent."""

import pytest
from publishing import Agent, FileServer, Publisher, random_digests


@pytest.fixture
def digests():
    return random_digests(300)


@pytest.fixture
def publisher(tmp_path, digests):
    one = Publisher(tmp_path / "publisher").init()
    one.add(digests)
    return one


@pytest.fixture
def server(publisher):
    with FileServer(publisher.path) as running:
        yield running


@pytest.fixture
def agent(tmp_path, publisher, server):
    return Agent(tmp_path / "state", server.url, publisher.root)
