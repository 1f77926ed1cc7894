"""Downloads from a repository: where the credentials go, what is continued, and their bounds."""

import errno
import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from file_server import status, truncate
from publishing import FileServer, fetched_targets, random_digests, states
from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError

from hashscan.errors import Fault
from hashscan.known.sync.fetcher import DiskError, Fetcher, _on_disk
from hashscan.known.sync.repository_settings import RepositorySource
from hashscan.known.sync.synced_filters import KeptPlace
from hashscan.known.sync.trust import wanted
from hashscan.known.sync.web_answers import FetchError


def test_basic_authentication(agent, server):
    import base64

    server.credentials = "Basic " + base64.b64encode(b"me:s3cret-word").decode()
    report = agent.sync()
    assert "refuses the credentials" in report.categories[0].message
    agent.with_(username="me", password="s3cret-word")
    assert states(agent.sync()) == [("updated", "whole")]
    assert "s3cret-word" not in repr(agent.source)
    server.credentials = "Basic other"
    agent.sync()
    assert "s3cret-word" not in str(agent.sync()) + str(agent.notices)


def test_without_a_user_nobody_looks_into_netrc(tmp_path, monkeypatch, agent, server):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret-word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    agent.sync()
    assert all("Authorization" not in headers for headers in server.sent.values())


def test_a_proxy_is_used(agent, server):
    """An HTTP proxy gets the whole URL; this server takes the path of it and answers."""
    url = agent.source.url
    agent.with_(url="http://filters.example", proxy=url)
    agent.sync()
    assert server.requests[0] == "http://filters.example/metadata/2.root.json"


def test_a_download_that_broke_off_goes_on(agent, publisher, server):
    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    report = agent.sync()
    assert report.categories[0].state == "unreachable"
    server.requests.clear()
    report = agent.sync()
    assert states(report) == [("updated", "whole")]
    (path,) = fetched_targets(server)
    assert server.sent[path]["Range"].startswith("bytes=")
    assert report.fetched < 0.5 * len(publisher.published[0])
    assert agent.bytes == publisher.published
    assert os.listdir(os.path.join(KeptPlace(agent.source, agent.state).directory, "partial")) == []


def test_what_broke_off_does_not_pile_up(agent, publisher, server):
    """A mirror that cuts off every version must not fill the disk with their parts."""
    agent.sync()
    for _ in range(3):
        publisher.add(random_digests(5_000))
        server.fault("filter.zst", truncate(0.7))
        assert agent.sync().categories[0].state == "unreachable"
        partial = os.path.join(KeptPlace(agent.source, agent.state).directory, "partial")
        assert len(os.listdir(partial)) == 1


def test_a_part_of_a_download_is_kept_until_all_is_up_to_date(agent):
    agent.sync()
    place = KeptPlace(agent.source, agent.state)
    partial = Path(place.directory, "partial")
    (named, *_) = wanted(place)
    for name in (named, "0" * 64):
        (partial / name).write_bytes(b"part")
    # Another category that cannot be had: the next sync may go on with the part.
    agent.with_(categories=("baseline", "none")).sync()
    assert [one.name for one in partial.iterdir()] == [named]
    agent.with_(categories=("baseline",)).sync()
    assert list(partial.iterdir()) == []


def test_a_password_for_this_machine_does_not_go_to_a_proxy(agent, server, monkeypatch):
    with FileServer(os.devnull) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        agent.with_(username="me", password="s3cret-word").sync()
        assert proxy.requests == []
        assert server.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_repository_on_this_machine_does_not_go_to_a_proxy(
    agent, server, monkeypatch, host, scheme
):
    with FileServer(os.devnull) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("http", scheme))
        monkeypatch.delenv("no_proxy", raising=False)
        agent.with_(url=server.url.replace("127.0.0.1", host))
        (one,) = agent.sync().categories
        assert proxy.requests == []
        assert "proxy" not in one.message
        if host in {"127.0.0.1", "localhost"}:  # the server listens on that address only
            assert one.state == "updated", one.message


def test_a_socks_proxy_is_named(agent, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5h://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    agent.with_(url="http://filters.example")
    (one,) = agent.sync().categories
    assert one.state == "unreachable"
    assert "SOCKS" in one.message
    assert "no_proxy" in one.message


_REFUSED = status(416)


@pytest.mark.parametrize(
    "part",
    [
        _REFUSED,
        status(206, Content_Range="bytes 4-9/10"),
        status(206, Content_Range="bytes 0-9/10"),
        status(206, Content_Range="all"),
        status(206),
    ],
)
def test_a_download_that_cannot_be_continued(part, agent, publisher, server):
    """A server that refuses a part is asked for the whole; another part is not used."""
    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    agent.sync()
    server.fault("filter.zst", part, times=1)
    (one,) = agent.sync().categories
    if part is not _REFUSED:
        assert (one.state, one.fault) == ("unreachable", Fault.ANSWER)
        assert "another part than was asked for" in one.message
        assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_a_server_without_ranges_serves_the_whole(agent, publisher, server):
    publisher.add(random_digests(20_000))
    server.ranges = False
    server.fault("filter.zst", truncate(0.7), times=1)
    agent.sync()
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_a_wrong_part_is_thrown_away(agent, publisher, server):
    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    agent.sync()
    partial = Path(KeptPlace(agent.source, agent.state).directory, "partial")
    (part,) = partial.iterdir()
    content = bytearray(part.read_bytes())
    content[5] ^= 1
    part.write_bytes(content)
    assert states(agent.sync()) == [("updated", "whole")]
    assert agent.bytes == publisher.published


def test_the_disk_is_not_the_network():
    with pytest.raises(DiskError, match="No space") as caught, _on_disk():
        raise OSError(errno.ENOSPC, "No space")
    assert caught.value.error.errno == errno.ENOSPC
    with _on_disk():
        pass


# -- one file ---------------------------------------------------------------------------------------

TARGET = "a" * 64 + ".filter.zst"
CONTENT = bytes(range(256)) * 8


class Served:
    """A server with ``TARGET``, and a fetcher of its files; ``part``: of an interrupted download."""

    def __init__(self, top, server):
        self.server = server
        (top / "partial").mkdir()
        self.part = top / "partial" / ("a" * 64)
        source = RepositorySource(server.url, "root", ("baseline",), timeout=60.0)
        self.fetcher = Fetcher(source, str(top / "partial"))

    def fetch(self, name=TARGET, most=2048):
        with self.fetcher.download_file(f"{self.server.url}/{name}", most) as file:
            return file.read()


@pytest.fixture
def served(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / TARGET).write_bytes(CONTENT)
    (tmp_path / "www" / "1.json").write_bytes(b'{"signatures": []}')
    with FileServer(str(tmp_path / "www")) as server:
        yield Served(tmp_path, server)


def test_a_certificate_that_does_not_verify_is_refused(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / TARGET).write_bytes(CONTENT)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FileServer(str(tmp_path / "www"), tls=context) as server:
        served = Served(tmp_path, server)
        with pytest.raises(FetchError, match=r"certificate does not verify .*filter\.ca_bundle"):
            served.fetch()
        assert server.requests == []
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        served.fetcher._source = replace(served.fetcher._source, ca_bundle=str(tmp_path / "ca.pem"))
        assert served.fetch() == CONTENT


def test_a_whole_target_is_not_kept(served):
    assert served.fetch() == CONTENT
    assert (served.fetcher.fetched, served.fetcher.resumed) == (len(CONTENT), False)
    assert not served.part.exists()


@pytest.mark.parametrize(
    ("have", "asked", "resumed"),
    [(1, "bytes=1-", True), (2047, "bytes=2047-", True), (2048, None, False), (3000, None, False)],
)
def test_a_part_is_continued_unless_it_is_as_long_as_the_whole(served, have, asked, resumed):
    served.part.write_bytes((CONTENT * 2)[:have])
    assert served.fetch() == CONTENT
    assert served.fetcher.resumed == resumed
    assert served.server.sent[f"/{TARGET}"].get("Range") == asked


def test_more_bytes_than_allowed(served):
    with pytest.raises(DownloadLengthMismatchError, match="more than the 2047 bytes allowed"):
        served.fetch(most=2047)
    assert served.fetch(most=2048) == CONTENT


def test_an_answer_that_is_shorter_than_announced_is_no_file(served):
    served.server.fault(TARGET, truncate(0.5), times=1)
    with pytest.raises(FetchError, match="the connection broke") as caught:
        served.fetch()
    assert str(caught.value).startswith(served.server.url)
    assert 0 < served.part.stat().st_size < len(CONTENT)
    assert served.fetch() == CONTENT


def test_metadata_is_never_continued(served):
    assert served.fetch("1.json") == b'{"signatures": []}'
    assert list(served.part.parent.iterdir()) == []
    with pytest.raises(DownloadHTTPError):
        served.fetch("2.root.json")


def test_a_link_in_the_place_of_a_part_is_not_followed(served, tmp_path):
    (tmp_path / "other").write_bytes(b"keep")
    served.part.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        served.fetch()
    assert (tmp_path / "other").read_bytes() == b"keep"


def test_parts_of_earlier_targets_are_removed(served):
    for name in ("a", "b", "c"):
        (served.part.parent / (name * 64)).write_bytes(b"x")
    served.fetcher.forget({"b" * 64})
    assert [one.name[0] for one in served.part.parent.iterdir()] == ["b"]
    served.fetcher.forget()
    assert list(served.part.parent.iterdir()) == []
