"""The repository that the service serves beside its answers."""

from pathlib import Path

import requests
from publishing import Agent, Publisher, random_digests
from raw_http import ask_raw
from service_clients import PASSWORD

from hashscan.errors import (
    ExitCode,
)


def test_agents_sync_from_the_service(tmp_path, serve):
    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add(random_digests(50))
    served = serve("--repository", publisher.path)
    agent = Agent(tmp_path / "state", served.url + "/repository", publisher.root)
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    publisher.add(random_digests(50))
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    assert agent.bytes == publisher.published
    answer = requests.get(
        served.url + "/repository/metadata/timestamp.json",
        headers={"Range": "bytes=5-9"},
        timeout=60,
    )
    assert (answer.status_code, len(answer.content)) == (206, 5)


def test_a_private_repository_is_for_users(tmp_path, serve):
    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add(random_digests(50))
    served = serve("--repository", publisher.path, "--private-repository")
    agent = Agent(tmp_path / "state", served.url + "/repository", publisher.root)
    assert "refuses the credentials" in agent.sync().categories[0].message
    agent.with_(username="me", password=PASSWORD)
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND


def test_nothing_else_of_the_disk_is_served(tmp_path, serve):
    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add(random_digests(50))
    secret = tmp_path / "secret"
    secret.write_text("s3cret-content")
    metadata = Path(publisher.path, "metadata")
    (metadata / "link").symlink_to(secret)
    (metadata / ".hidden").write_text("s3cret-content")
    (metadata / "inner").symlink_to(publisher.keys)
    served = serve("--repository", publisher.path)
    port = int(served.url.rpartition(":")[2])
    for path in (
        "metadata/link", "metadata/.hidden", "metadata/inner/root-1.pem", "metadata/", "metadata",
        "metadata/../../secret", "metadata/..%2f..%2fsecret", "metadata//etc/passwd", "targets/",
        "metadata/%2e%2e/%2e%2e/secret", "../users.json", "metadata/\\..\\..\\secret", "",
        f"metadata/{secret}", "metadata/%00", "metadata/" + "x" * 5000,
    ):  # fmt: skip
        answer = ask_raw(
            port, f"GET /repository/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert b"s3cret-content" not in answer, path
        assert b"PRIVATE" not in answer, path
        assert not answer.startswith(b"HTTP/1.1 200"), path
        assert not answer.startswith(b"HTTP/1.1 5"), (path, answer[:200])
