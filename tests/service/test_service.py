"""The reference central service on a real socket, asked by the project's own client."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from dying import Dying
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from publishing import Agent, Publisher, random_digests
from raw_http import ask_raw

from hashscan.errors import (
    CredentialsError,
    ExitCode,
    ServiceRefusedError,
    ServiceUnavailableError,
    StateError,
    UsageError,
)
from hashscan.model import ALGORITHM_BY_LENGTH, Digest
from hashscan.service.data import Data
from hashscan.service.limits import Limiter
from hashscan.service.serve import ServeOptions, running, serve
from hashscan.service.users import USERS, Credentials, add_user

PASSWORD = "a pässword: of some length"


def digest_of(text):
    return Digest(ALGORITHM_BY_LENGTH[len(text)], text)


def post(served, path, body, user="me", password=PASSWORD, **headers):
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return requests.post(
        served.url + path, data=body, headers={"Authorization": f"Basic {token}", **headers},
        timeout=60,
    )  # fmt: skip


# -- answers ------------------------------------------------------------------------------------


def test_each_answer_is_right(asked):
    unknown = random_digests(100)
    with ThreadPoolExecutor(4) as threads:
        client = asked.client()
        answers = list(
            threads.map(lambda d: client.confirm(digest_of(d)).known, asked.known + unknown)
        )
        client.close()
    assert answers == [True] * len(asked.known) + [False] * len(unknown)


def test_the_test_twin_answers_from_its_own_list(asked):
    client = asked.client(test=True)
    assert client.confirm(digest_of(asked.test[0])).known
    assert not client.confirm(digest_of(asked.known[0])).known
    client.close()


@pytest.mark.parametrize("form", ["{}", " {}\r\n", "\t{}\n"])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_both_letter_cases_and_white_space(form, case, asked):
    answer = post(asked, "/v1/check/sha1", form.format(case(asked.known[0])))
    assert (answer.status_code, answer.text) == (200, "true")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/check/sha1", "", 400),
        ("/v1/check/sha1", "0" * 39, 400),
        ("/v1/check/sha1", "0" * 32, 400),
        ("/v1/check/sha1", "g" * 40, 400),
        ("/v1/check/sha1", "0x" + "0" * 38, 400),
        ("/v1/check/sha1", "0" * 20 + "\n" + "0" * 20, 400),
        ("/v1/check/sha1", "0" * 100_000, 413),
        ("/v1/check/photodna", "0" * 40, 404),
        ("/v1/check/SHA1", "0" * 40, 404),
        ("/v1/check/", "0" * 40, 404),
        ("/v1/test/sha1", "0" * 40, 404),
        ("/", "", 404),
    ],
)
def test_what_is_no_question_has_no_verdict(path, body, status, asked):
    answer = post(asked, path, body)
    assert answer.status_code == status
    assert answer.text.strip() not in {"true", "false"}


def test_other_methods(asked):
    assert requests.get(asked.url + "/v1/check/sha1", timeout=60).status_code == 405
    assert requests.get(asked.url + "/healthz", timeout=60).text == "ok"


# -- users --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "password"), [("me", "wrong-word"), ("you", PASSWORD), ("", ""), ("me", "x" * 5000)]
)
def test_wrong_credentials(user, password, asked):
    answer = post(asked, "/v1/check/sha1", asked.known[0], user, password)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert answer.text.strip() not in {"true", "false"}


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "Bearer x", "Basic " + "A" * 9000])
def test_credentials_that_are_none(header, asked):
    headers = {"Authorization": header} if header else {}
    answer = requests.post(asked.url + "/v1/check/sha1", data="0" * 40, headers=headers, timeout=60)
    assert answer.status_code in {400, 401, 431}


def test_the_client_stops_at_wrong_credentials(served):
    client = served.client(password="wrong-word")
    with pytest.raises(CredentialsError):
        client.confirm(digest_of(served.known[0]))
    client.close()


def test_guessing_is_slowed_down_and_locks_nobody_else_out(served):
    codes = [
        post(served, "/v1/check/sha1", "0" * 40, "me", f"guess-{n}").status_code for n in range(8)
    ]
    assert codes[:5] == [401] * 5
    assert codes[5:] == [429] * 3
    answer = post(served, "/v1/check/sha1", "0" * 40, "you", "guess-of-another")
    assert answer.status_code == 401
    add_user(served.data, "you", "the password of you")
    _until(lambda: post(served, "/v1/check/sha1", "0" * 40, "you", "the password of you").ok)


def _until(happens):
    """Ask once in more than a second: wrong credentials are counted meanwhile."""
    for _ in range(5):
        time.sleep(1.2)
        if happens():
            return
    pytest.fail("it did not happen")


def test_a_running_service_follows_changes_of_users(served):
    def code(user, password):
        return post(served, "/v1/check/sha1", "0" * 40, user, password).status_code

    assert code("me", PASSWORD) == 200
    add_user(served.data, "new", "the first password")
    _until(lambda: code("new", "the first password") == 200)
    add_user(served.data, "new", "the second password")
    _until(lambda: code("new", "the first password") == 401)
    assert code("new", "the second password") == 200
    USERS.remove(served.data, "me")
    _until(lambda: code("me", PASSWORD) == 401)


def test_passwords_are_hashed_and_salted(prepared):
    add_user(prepared.data, "other", PASSWORD)
    users = USERS.read(prepared.data)
    assert users["me"].result != users["other"].result
    for path in Path(prepared.data.directory).rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 65, "ü", "-x", "a\n"])
def test_names_that_are_none(name, prepared):
    with pytest.raises(UsageError, match="no user name"):
        add_user(prepared.data, name, PASSWORD)


@pytest.mark.parametrize("password", ["short", "x" * 2000, "two\nlines of text"])
def test_passwords_that_are_none(password, prepared):
    with pytest.raises(UsageError, match="password"):
        add_user(prepared.data, "new", password)


def test_what_was_right_is_remembered_until_the_user_changes(prepared):
    credentials = Credentials()
    credentials.take(USERS.read(prepared.data))
    assert not credentials.remembered("me", PASSWORD)
    assert credentials.check("me", PASSWORD)
    assert credentials.remembered("me", PASSWORD)
    assert not credentials.check("me", "other password")
    assert not credentials.remembered("me", "other password")
    assert not credentials.check("nobody", PASSWORD)
    add_user(prepared.data, "me", PASSWORD)  # the same word with a new salt
    credentials.take(USERS.read(prepared.data))
    assert not credentials.remembered("me", PASSWORD)


# -- limits ---------------------------------------------------------------------------------------


def test_a_user_who_asks_too_often_is_told_to_wait(serve):
    served = serve("--rate", "0.02")
    answers = [post(served, "/v1/check/sha1", "0" * 40) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert 40 <= int(answers[1].headers["Retry-After"]) <= 50
    client = served.client(timeout=1.0)
    with pytest.raises(ServiceUnavailableError):
        client.confirm(digest_of(served.known[0]))
    client.close()


def test_the_bucket():
    now = 0.0
    limiter = Limiter(2.0, 3.0, lambda: now)
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.wait("b") == 0
    now = 0.5
    assert [limiter.wait("a"), limiter.wait("a")] == [0, 0.5]
    now = 100.0
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    for number in range(30_000):
        limiter.wait(number)
    assert len(limiter._buckets) <= 10_000


# -- the known set ----------------------------------------------------------------------------------


def test_a_new_list_is_taken_over_while_it_runs(served):
    fresh = random_digests(5)
    client = served.client()
    assert not client.confirm(digest_of(fresh[0])).known
    served.load(fresh)
    _until(lambda: client.confirm(digest_of(fresh[0])).known)
    assert not client.confirm(digest_of(served.known[0])).known
    client.close()
    sets = [name for name in os.listdir(served.data.directory) if name.startswith("set-")]
    assert len(sets) == 2


def test_without_a_list_there_is_no_verdict(tmp_path):
    data = Data(str(tmp_path / "data"))
    add_user(data, "me", PASSWORD)
    with running(data.directory) as url:
        token = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        answer = requests.post(
            url + "/v1/check/sha1", data="0" * 40, headers={"Authorization": f"Basic {token}"},
            timeout=60,
        )  # fmt: skip
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_damaged_set_is_told_and_answers_nothing(prepared):
    (directory,) = {one["directory"] for one in prepared.data.sets().values()} - {
        prepared.data.sets()["test"]["directory"]
    }
    path = Path(prepared.data.path(directory), "index.sqlite3")
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match="damaged"):
        prepared.data.open_set("known")


LOAD = """
import sys
from hashscan.service.data import Data, load_set
load_set(Data(sys.argv[1]), "known", [sys.argv[2]])
"""


def test_killed_while_a_list_is_loaded_the_old_or_the_new_one_is_whole(prepared):
    old = prepared.known
    with Dying(LOAD) as script:
        for step in range(40):
            new = random_digests(20)
            (prepared.directory / "new").write_text("\n".join(new))
            done = script.run(step, prepared.data.directory, prepared.directory / "new")
            one = prepared.data.open_set("known")
            answers = {one.confirm(digest_of(digest)).known for digest in old}
            others = {one.confirm(digest_of(digest)).known for digest in new}
            one.close()
            assert (answers, others) in [({True}, {False}), ({False}, {True})], step
            old = old if True in answers else new
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL, done.stderr
    assert step > 5
    assert len([n for n in os.listdir(prepared.data.directory) if n.startswith("set-")]) == 2


# -- how it runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ServeOptions(host="0.0.0.0"), "readable on the way"),
        (ServeOptions(host="192.0.2.1"), "readable on the way"),
        (ServeOptions(host="192.0.2.1", behind_proxy=True), "cannot listen there"),
        (ServeOptions(certificate="/none"), "together"),
        (ServeOptions(certificate="/none", key="/none"), "cannot be read"),
        (ServeOptions(repository="/none"), "is no directory"),
    ],
)
def test_what_cannot_be_served(options, words, prepared):
    with pytest.raises(UsageError, match=words):
        serve(prepared.data, options, print)


def test_answers_do_not_wait_for_acknowledgements():
    """Nagle's algorithm and delayed acknowledgements would make each answer take 40 ms."""
    with ServeOptions(port=0).opened() as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for one in (client, accepted):
            one.close()


def test_tls(tmp_path, serve):
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add(random_digests(50))
    served = serve(
        "--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"),
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


def test_a_service_that_cannot_start_says_why(tmp_path):
    (tmp_path / "data").mkdir(mode=0o755)
    with pytest.raises(StateError, match="chmod 700"), running(str(tmp_path / "data")):
        pass


def test_killed_it_leaves_nothing_that_keeps_it_from_starting(prepared):
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-m", "hashscan", "service", "run", "--data",
             prepared.data.directory, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            prepared.url = process.stderr.readline().decode().split()[-1]
            assert post(prepared, "/v1/check/sha1", prepared.known[0]).text == "true"
            process.kill()


def test_an_idle_connection_holds_up_nobody(asked):
    port = int(asked.url.rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for one in idle:
        one.sendall(b"POST /v1/check/sha1 HTTP/1.1\r\nHost")
    assert post(asked, "/v1/check/sha1", asked.known[0]).text == "true"
    for one in idle:
        one.close()


# -- anything -----------------------------------------------------------------------------------------


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(["POST", "GET", "PUT", "X"]),
    path=st.one_of(
        st.sampled_from(["/v1/check/sha1", "/v1/check/md5", "/v1/test/check/sha1"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40).map("/{}".format),
    ),
    body=st.one_of(st.binary(max_size=300), st.from_regex(rb"[0-9a-fA-F]{30,66}", fullmatch=True)),
    right=st.booleans(),
)
def test_anything_is_answered_without_a_fault_and_never_true(served, method, path, body, right):
    port = int(served.url.rpartition(":")[2])
    token = base64.b64encode(f"me:{PASSWORD if right else 'x'}".encode()).decode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Basic {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = ask_raw(port, head.encode() + body)
    assert answer.startswith(b"HTTP/1.1 ")
    status = int(answer.split()[1])
    assert status < 500, answer[:300]
    content = answer.partition(b"\r\n\r\n")[2].strip()
    assert content != b"true"
    if content == b"false":
        assert status == 200
        assert right
        assert body.strip().isalnum()


def test_refusals_are_told_by_the_client(served):
    client = served.client()
    with pytest.raises(ServiceRefusedError):
        client.confirm(Digest("md5", "0" * 40))
    client.close()
