"""The reference service as the project's own client and agents use it."""

import pytest
from publishing import Agent, Publisher, random_digests
from service_clients import certificate_in, digest_of

from hashscan.errors import CredentialsError, ExitCode, ServiceRefusedError
from hashscan.model import Digest


def test_the_client_stops_at_wrong_credentials(served):
    client = served.client(password="wrong-word")
    with pytest.raises(CredentialsError):
        client.confirm(digest_of(served.known[0]))
    client.close()


def test_tls(tmp_path, serve):
    certificate, key = certificate_in(tmp_path)
    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add(random_digests(50))
    served = serve(
        "--tls-certificate", certificate, "--tls-key", key,
        "--repository", publisher.path,
    )  # fmt: skip
    assert served.url.startswith("https://")
    client = served.client(ca_bundle=str(tmp_path / "ca.pem"))
    assert client.confirm(digest_of(served.known[0])).known
    client.close()
    agent = Agent(tmp_path / "state", served.url + "/repository", publisher.root)
    (one,) = agent.sync().categories
    assert one.state == "unreachable"
    assert "does not verify" in one.message
    assert "filter.ca_bundle" in one.message
    agent.with_(ca_bundle=str(tmp_path / "ca.pem"))
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND


def test_refusals_are_told_by_the_client(served):
    client = served.client()
    with pytest.raises(ServiceRefusedError):
        client.confirm(Digest("md5", "0" * 40))
    client.close()
