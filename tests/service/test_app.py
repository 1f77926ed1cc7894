"""The HTTP side of the reference service: questions, verdicts, credentials, anything else."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from publishing import random_digests
from raw_http import ask_raw
from service_clients import PASSWORD, digest_of, post, until

from hashscan.errors import (
    ServiceUnavailableError,
)
from hashscan.service.users import add_user


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


def test_guessing_is_slowed_down_and_locks_nobody_else_out(served):
    codes = [
        post(served, "/v1/check/sha1", "0" * 40, "me", f"guess-{n}").status_code for n in range(8)
    ]
    assert codes[:5] == [401] * 5
    assert codes[5:] == [429] * 3
    answer = post(served, "/v1/check/sha1", "0" * 40, "you", "guess-of-another")
    assert answer.status_code == 401
    add_user(served.data, "you", "the password of you")
    until(lambda: post(served, "/v1/check/sha1", "0" * 40, "you", "the password of you").ok)


def test_a_user_who_asks_too_often_is_told_to_wait(serve):
    served = serve("--rate", "0.02")
    answers = [post(served, "/v1/check/sha1", "0" * 40) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert 40 <= int(answers[1].headers["Retry-After"]) <= 50
    client = served.client(timeout=1.0)
    with pytest.raises(ServiceUnavailableError):
        client.confirm(digest_of(served.known[0]))
    client.close()


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
