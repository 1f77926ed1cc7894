"""The central service as seen from the command line: never a false "clean", nothing lost or told."""

import base64
import os
import secrets
import signal
import socket
import ssl
import time

import pytest
import trustme
from commandline import Agent, contents, entries, hashscan, members, sha1, started, until, write
from fault_server import (
    KnownServer,
    answer,
    close,
    drip,
    endless,
    hang,
    raw,
    reset,
    slow,
)

USERNAME = "agent-17"
PASSWORD = "zq-8a61 pässwörd"

KNOWN_CONTENTS = [secrets.token_bytes(600) for _ in range(3)]
WRONG_CONTENTS = [secrets.token_bytes(600) for _ in range(2)]  # the filter errs about them


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """A filter of all candidates."""
    directory = tmp_path_factory.mktemp("filter")
    listed = directory / "list"
    listed.write_text("".join(f"{sha1(one)}\n" for one in KNOWN_CONTENTS + WRONG_CONTENTS))
    built = hashscan("filter", "build", listed, "-o", directory / "baseline.filter")
    assert built.code == 0, built.err
    return directory / "baseline.filter"


class Site:
    """A volume with known files and a configuration that names a service."""

    def __init__(self, agent, directory, baseline):
        self.agent = agent
        self.directory = directory
        self.filter = baseline
        self.known = KNOWN_CONTENTS
        self.wrong = WRONG_CONTENTS
        root = os.fsencode(agent.volume)
        for number, content in enumerate(self.known):
            write(root, b"a/known%d" % number, content)
        for number, content in enumerate(self.wrong):
            write(root, b"a/wrong%d" % number, content)
        for number in range(40):
            write(root, b"b/other%d" % number, secrets.token_bytes(600))
        self.password = directory / "password"
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)

    @property
    def digests(self):
        return {sha1(content) for content in self.known}

    def server(self, **options):
        return KnownServer(self.digests, username=USERNAME, password=PASSWORD, **options)

    def use(self, url, **more):
        extra = "".join(f"  {key}: {value}\n" for key, value in more.items())
        config = self.directory / "config.yaml"
        config.write_text(
            f"state: {self.agent.state}\n"
            f"volumes:\n  - path: {self.agent.volume}\n"
            "service:\n  kind: hashcheckservice\n"
            f"  url: {url}\n  username: {USERNAME}\n  password_file: {self.password}\n"
            f"  timeout: 1s\n{extra}"
            f"filter:\n  source: {self.filter}\n"
        )
        self.agent.config = config

    def secrets(self):
        pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode())
        latin = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode("latin-1"))
        return [
            b"zq-8a61",
            PASSWORD.encode(),
            PASSWORD.encode("latin-1"),
            pair.rstrip(b"=")[:-1],
            latin.rstrip(b"=")[:-1],
            base64.b64encode(PASSWORD.encode()).rstrip(b"=")[:-1],
        ]

    def check_secrets(self, *runs):
        """Neither what was said nor what was kept holds the password."""
        said = [(ran.out + ran.err).encode() for ran in runs]
        kept = [path.read_bytes() for path in self.agent.state.rglob("*") if path.is_file()]
        for text in said + kept:
            for secret in self.secrets():
                assert secret not in text


@pytest.fixture
def site(agent, tmp_path, baseline):
    return Site(agent, tmp_path, baseline)


FAULTS = {
    "slow": slow(3, answer(200, b"true")),
    "silent": hang(),
    "dripping": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue", 0.2),
    "half an answer": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntr"),
    "closed": close(),
    "reset": reset(),
    "reset in the body": reset(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfals"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "TRUE": answer(200, b"TRUE\n"),
    "FALSE": answer(200, b"FALSE"),
    "quoted": answer(200, b'"true"'),
    "JSON": answer(200, b'{"known": false}'),
    "empty": answer(200, b""),
    "false and more": answer(200, b"false\nfalse"),
    "page": answer(200, b"<html><body>false</body></html>", Content_Type="text/html"),
    "no content": answer(204, b""),
    "partial": answer(206, b"false"),
    "moved": answer(302, b"false", Location="http://127.0.0.1:1/v1/check/sha1"),
    "moved for good": answer(308, b"false", Location="/elsewhere"),
    "bad request": answer(400, b"false"),
    "unauthorized": answer(401, b"false"),
    "forbidden": answer(403, b"false"),
    "not found": answer(404, b"false"),
    "unprocessable": answer(422, b"false"),
    "too many": answer(429, b"false"),
    "too many, for now": answer(429, b"false", Retry_After="1"),
    "too many, for a year": answer(429, b"false", Retry_After="31536000"),
    "error": answer(500, b"false"),
    "unavailable": answer(503, b"false", Retry_After="Fri, 31 Dec 2999 23:59:59 GMT"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(site, name):
    """Exit 6 and every candidate pending; then the service is well, and nothing was lost."""
    agent = site.agent
    with site.server() as server:
        site.use(server.url)
        server.always(FAULTS[name])
        ill = agent.scan(quarantine=True, timeout=40)
        assert ill.code == 6, ill.err
        summary = ill.summary
        assert summary["candidates"] == summary["pending"] == 5
        assert (summary["matches"], summary["false_positives"]) == (0, 0)
        assert summary["files"] == summary["hashed"] == 45
        assert {os.path.basename(one["path"]) for one in ill.of("pending")} == {
            "known0", "known1", "known2", "wrong0", "wrong1",
        }  # fmt: skip
        assert "candidates are kept" in ill.err
        assert ill.is_clean()
        still = agent.scan(quarantine=True, timeout=40) if name == "error" else ill
        assert (still.code, still.summary["pending"]) == (6, 5), "asked again, and kept again"
        server.always(None)
        asked = len(server.requests)
        well = agent.scan(quarantine=True)
    assert len(server.requests) > asked
    assert sha1(site.known[0]) in server.counts
    assert well.code == 1, well.err
    assert well.summary["pending"] == 0
    assert well.summary["false_positives"] == 2
    assert [os.path.basename(path) for path in well.paths] == [b"known0", b"known1", b"known2"]
    assert {one["action"] for one in well.matches} == {"quarantined"}
    assert len(entries(agent.volume)) == 42
    assert (agent.state / "catalog.sqlite3").exists()
    site.check_secrets(ill, still, well)


def test_gigabyte_of_answer(site):
    fault = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n", b"false" * 20000)
    with site.server() as server:
        site.use(server.url)
        server.always(fault)
        begin = time.monotonic()
        ran = site.agent.scan()
        assert time.monotonic() - begin < 60
    assert (ran.code, ran.summary["pending"]) == (6, 5)
    assert fault.sent < 500 << 20, "all but the first bytes lie in the kernel's buffers"


def test_refused(site):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        site.use(f"http://127.0.0.1:{unused.getsockname()[1]}")
        ran = site.agent.scan(quarantine=True)
        assert (ran.code, ran.summary["pending"]) == (6, 5)
        assert ran.is_clean()
    site.check_secrets(ran)


def test_redirect_does_not_take_the_credentials_along(site):
    with site.server() as server, site.server() as thief:
        site.use(server.url)
        server.always(answer(307, b"", Location=f"{thief.url}/v1/check/sha1"))
        ran = site.agent.scan()
        assert ran.code == 6
        assert (thief.connections, thief.requests) == (0, [])


def test_plain_http_to_another_machine_is_refused(site):
    site.use("http://192.0.2.1")
    ran = site.agent.scan()
    assert ran.code == 2
    assert "https" in ran.err
    assert ran.is_clean()


def test_certificate(site, tmp_path):
    """One that does not verify is no service; one that does is asked."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with site.server(tls=context) as server:
        site.use(server.url)
        ran = site.agent.scan(quarantine=True)
        assert (ran.code, ran.summary["pending"]) == (6, 5)
        assert "certificate" in ran.err
        assert server.requests == [], "nothing is said before the certificate is verified"
        site.use(server.url, ca_bundle=tmp_path / "authority.pem")
        well = site.agent.scan()
        assert (well.code, well.summary["matches"]) == (1, 3)
    site.check_secrets(ran, well)


def test_wrong_host_in_certificate(site, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hcs.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with site.server(tls=context) as server:
        site.use(server.url, ca_bundle=tmp_path / "authority.pem")
        ran = site.agent.scan()
        assert (ran.code, server.requests) == (6, [])


def test_refused_credentials_stop_the_questions(site):
    root = os.fsencode(site.agent.volume)
    many = [secrets.token_bytes(100) for _ in range(300)]
    for number, content in enumerate(many):
        write(root, b"c/many%d" % number, content)
    site.agent.know(site.known + many)
    site.filter = site.directory / "large.filter"
    assert hashscan("filter", "build", site.agent.list, "-o", site.filter).code == 0
    with site.server() as server:
        site.use(server.url)
        site.password.write_text("not the password\n")
        ran = site.agent.scan(quarantine=True)
        assert ran.code == 6
        assert ran.summary["pending"] == ran.summary["candidates"] >= 300
        # those that were under way when the first refusal came
        assert len(server.requests) <= 8
        assert "service.username and the password" in ran.err
        assert "not the password" not in ran.err + ran.out


def test_one_question_for_each_digest(site):
    """Over many files, two scans and two names: each digest leaves once, and no other does."""
    root = os.fsencode(site.agent.volume)
    for number in range(60):
        write(root, b"c/copy%d" % number, site.known[number % 3])
    os.link(site.agent.volume / "a/known0", site.agent.volume / "link")
    with site.server() as server:
        site.use(server.url)
        first = site.agent.scan()
        second = site.agent.scan("--full")
        third = site.agent.scan(quarantine=True)
        asked = server.counts
    assert [one.summary["matches"] for one in (first, second, third)] == [64, 64, 64]
    candidates = {sha1(content) for content in site.known + site.wrong}
    assert asked == dict.fromkeys(candidates, 1)
    for request in server.requests:
        assert request.line == "POST /v1/check/sha1 HTTP/1.1"
        assert request.credentials == f"{USERNAME}:{PASSWORD}"
        told = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        assert "known" not in told
        assert os.fspath(site.agent.volume) not in told
    site.check_secrets(first, second, third)


def test_some_answers_are_missing(site):
    """One digest refused: its candidate waits, the others are judged; exit 1 before 6."""
    with site.server() as server:
        site.use(server.url)
        server.inject(answer(404))
        ran = site.agent.scan(quarantine=True)
    assert ran.summary["candidates"] == 5
    assert ran.summary["pending"] in {0, 1}  # asked once more at the end of the scan
    assert ran.summary["matches"] + ran.summary["pending"] + ran.summary["false_positives"] == 5


def test_false_positives_alone_are_nothing(site):
    with site.server() as server:
        server.known.clear()
        site.use(server.url)
        ran = site.agent.scan(quarantine=True)
    assert ran.code == 0
    assert (ran.summary["false_positives"], ran.summary["matches"]) == (5, 0)
    assert len(entries(site.agent.volume)) == 45


def test_unknown_for_some_and_silence_for_others_is_not_clean(site):
    with site.server() as server:
        server.known.clear()
        site.use(server.url)
        known = site.digests

        def silent_about_known(exchange):
            digest = exchange.request.body.decode()
            answer(500)(exchange) if digest in known else answer(200, b"false")(exchange)

        server.always(silent_about_known)
        ran = site.agent.scan()
    assert ran.code == 6
    assert ran.summary["pending"] >= 3


def test_test_twin_moves_nothing_and_decides_nothing(site):
    """``service.test``: another path, no move; and its verdicts never stand for the real ones."""
    before = contents(site.agent.volume)
    with site.server() as server:
        site.use(server.url, test="true")
        ran = site.agent.scan(quarantine=True)
        assert (ran.code, ran.summary["matches"], ran.summary["quarantined"]) == (1, 3, 0)
        assert {one["action"] for one in ran.matches} == {"reported"}
        assert contents(site.agent.volume) == before
        assert {request.path for request in server.requests} == {"/v1/test/check/sha1"}
        with open(site.agent.config, "a") as config:
            config.write("quarantine: {action: quarantine}\n")
        told = hashscan("--config", site.agent.config, "status")
        assert told.code == 1
        assert "3 matches not moved, because service.test is true" in told.out
        server.known = {sha1(site.known[0])}
        site.use(server.url)
        real = site.agent.scan(quarantine=True)
        assert [os.path.basename(one["path"]) for one in real.matches] == ["known0"]
        assert real.summary["quarantined"] == 1
        server.known = site.digests
        site.use(server.url, test="true")
        assert site.agent.scan().summary["matches"] == 2


def test_check_asks_and_fails_closed(site):
    with site.server() as server:
        site.use(server.url)
        subject = site.agent.volume / "a" / "known1"
        arguments = ["--config", site.agent.config, "check", "--json", "--state", site.agent.state]
        ran = hashscan(*arguments, subject)
        assert (ran.code, ran.of("check")[0]["verdict"]) == (1, "known")
        assert hashscan(*arguments, sha1(site.wrong[0])).code == 0
        asked = len(server.requests)
        assert hashscan(*arguments, site.agent.volume / "b" / "other1").code == 0
        assert len(server.requests) == asked, "what no filter holds never leaves"
        server.always(answer(500))
        ill = hashscan(*arguments, subject)
        assert (ill.code, ill.of("check")[0]["verdict"]) == (6, "pending")
        both = hashscan(*arguments, site.agent.volume / "b" / "other1", subject)
        assert both.code == 6
    site.check_secrets(ran, ill, both)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_ended_while_the_service_is_silent(site, how):
    """No process is left that goes on asking, and no candidate is lost."""
    with site.server() as server:
        site.use(server.url, timeout="20s")
        config = site.agent.config
        text = config.read_text().replace("  timeout: 1s\n", "")
        config.write_text(text)
        server.always(hang())
        with started(*site.agent.arguments("--json", quarantine=True)) as process:
            until(lambda: len(server.requests) >= 4, 60, "it asks")
            time.sleep(1.3)  # what it found is committed once a second
            process.send_signal(how)
            out, _ = process.communicate(timeout=60)
            until(lambda: not members(process.pid), 60, "the process that asks ends too")
        assert process.returncode == (-how if how == signal.SIGKILL else 130)
        if how == signal.SIGTERM:
            assert b'"pending":5' in out.splitlines()[-1]
        asked = len(server.requests)
        time.sleep(0.5)
        assert len(server.requests) == asked
        server.always(None)
        well = site.agent.scan(quarantine=True)
    assert (well.code, well.summary["pending"]) == (1, 0)
    taken = [one for one in well.matches if one["action"] == "quarantined"]
    assert len(taken) == 3


def test_pending_candidate_whose_file_is_gone(site):
    """It was there, and its digest is asked for all the same; nothing is made of it but a word."""
    with site.server() as server:
        site.use(server.url)
        server.always(answer(500))
        assert site.agent.scan(quarantine=True).summary["pending"] == 5
        (site.agent.volume / "a/known0").unlink()
        server.always(None)
        ran = site.agent.scan(quarantine=True)
        assert ran.code == 1
        taken = {one["path"] for one in ran.matches if one["action"] == "quarantined"}
        assert len(taken) == 2
        assert site.agent.scan(quarantine=True).code == 0
    assert Agent(site.agent.state, site.agent.volume).quarantine("verify").code == 0
