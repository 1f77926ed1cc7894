"""The running intake follows changes of tokens, and is reached over TLS, a proxy or a socket."""

import json
import os
import socket
import threading
import time

import pytest
import requests
from sent_reports import REPORT
from service_clients import certificate_in

from hashscan.errors import StateError, UsageError
from hashscan.notices.reader import NoticeReader
from hashscan.service.intake.serve import data_of
from hashscan.service.intake.tokens import TOKENS, add_token


def test_the_state_directory_is_still_the_agents_own(intake):
    from hashscan.state import State

    intake.post(REPORT)
    State(intake.state.directory)
    with NoticeReader(intake.state.notices) as reader:
        assert reader.counts(time.time(), 3600.0).open


def test_tokens_are_followed_while_it_runs(intake, wait_for):
    data = data_of(intake.state)
    other = add_token(data, "other")
    with pytest.raises(UsageError, match="already"):
        add_token(data, "other")
    # fewer wrong tokens than are limited
    wait_for(lambda: intake.post(REPORT, token=other).status_code == 201, every=0.15)
    TOKENS.remove(data, "other")
    wait_for(lambda: intake.post(REPORT, token=other).status_code == 401)
    with pytest.raises(UsageError, match="there is no token other"):
        TOKENS.remove(data, "other")


def test_a_damaged_file_of_tokens_is_reported_and_the_old_ones_count(tmp_path, run_in, wait_for):
    with run_in(tmp_path) as one:
        path = data_of(one.state).path("tokens.json")
        os.rename(path, f"{path}.old")
        with open(path, "w") as file:
            file.write("{")
        wait_for(lambda: any("is damaged" in said for said in one.said))
        assert one.post(REPORT).status_code == 201
        os.rename(f"{path}.old", path)
        with pytest.raises(StateError), open(path, "w") as file:
            file.write('{"tokens": {"a": {}}}')
            file.flush()
            TOKENS.read(data_of(one.state))


def test_a_flood_of_wrong_tokens_silences_nobody(tmp_path, run_in, wait_for, scart_reads):
    with run_in(tmp_path) as one:
        assert one.post(REPORT).status_code == 201
        seen = []

        def flood():
            with requests.Session() as session:
                for _ in range(40):
                    answer = session.post(
                        one.url + "/api/v1/reports",
                        data=REPORT,
                        headers={"Authorization": "Bearer wrong"},
                        timeout=60,
                    )
                    seen.append((answer.status_code, scart_reads(answer)))

        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        answers = [one.post(REPORT).status_code for _ in range(10)]
        for thread in threads:
            thread.join()
        assert answers == [201] * 10
        assert set(seen) == {(401, None), (429, None)}
        assert seen.count((401, None)) <= 6
        wait_for(lambda: any("with a wrong token" in said for said in one.said))
        assert len(one.said) == 2, "once a minute"


@pytest.mark.parametrize("behind_proxy", [True, False])
def test_a_proxy_says_who_the_clients_are(behind_proxy, tmp_path, run_in):
    def wrong(address):
        return one.post(REPORT, token="wrong", headers={"X-Forwarded-For": address}).status_code

    with run_in(tmp_path, behind_proxy=behind_proxy) as one:
        assert [wrong("192.0.2.1") for _ in range(6)] == [401] * 5 + [429]
        assert wrong("192.0.2.2") == (401 if behind_proxy else 429)


def test_over_tls(tmp_path, run_in):
    certificate, key = certificate_in(tmp_path)
    with run_in(tmp_path, certificate=certificate, key=key) as one:
        assert one.url.startswith("https://")
        assert one.post(REPORT, verify=str(tmp_path / "ca.pem")).status_code == 201


def test_over_a_unix_socket(tmp_path, scart_reads):
    """The proxy at its other end says who the clients are."""
    from serving import serving

    from hashscan.service.intake.serve import IntakeOptions, serve
    from hashscan.state import State

    os.chmod(tmp_path, 0o700)
    state = State(str(tmp_path / "state"))
    token = add_token(data_of(state), "hotline")
    path = str(tmp_path / "socket")

    def ask(token, address):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(
                f"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n"
                f"Authorization: Bearer {token}\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
                "urls=http://a".encode()
            )
            answer = b""
            while data := sock.recv(4096):
                answer += data
        return answer

    with serving(serve, state, (), IntakeOptions(path=path, behind_proxy=True)):
        answers = [ask("wrong", "192.0.2.1")[:12] for _ in range(6)]
        assert answers == [b"HTTP/1.1 401"] * 5 + [b"HTTP/1.1 429"]
        answer = ask(token, "192.0.2.2")
    assert answer.startswith(b"HTTP/1.1 201")
    assert scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2]))
