"""A published repository, its server, and an agent."""

import shutil

import pytest
from publishing import Agent, FileServer, Publisher, random_digests


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Digests, and a publisher with one version of them; tests copy it, as its keys and filter cost."""
    digests = random_digests(300)
    one = Publisher(tmp_path_factory.mktemp("published") / "publisher").init()
    one.add(digests)
    return digests, one.directory


@pytest.fixture
def digests(published):
    return list(published[0])


@pytest.fixture
def publisher(tmp_path, published):
    return Publisher(shutil.copytree(published[1], tmp_path / "publisher"))


@pytest.fixture
def server(publisher):
    with FileServer(publisher.path) as running:
        yield running


@pytest.fixture
def agent(tmp_path, publisher, server):
    return Agent(tmp_path / "state", server.url, publisher.root)
