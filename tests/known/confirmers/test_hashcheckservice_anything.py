"""Whatever bytes a server says: no verdict unless it is a 200 with true or false."""

import re

import pytest
from examples import examples
from fault_server import KnownServer, raw
from hcs_words import KNOWN, PASSWORD, USERNAME
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashscan.errors import ServiceError
from hashscan.known.confirmers.circuit_breaker import CircuitBreaker
from hashscan.known.confirmers.hashcheckservice import HashCheckService
from hashscan.model import Answer

quick = settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def say():
    """What a client makes of these bytes: a verdict, or ``None`` for an error of ours."""
    with KnownServer() as server:

        def hear(whole: bytes) -> bool | None:
            server.always(raw(whole))
            client = HashCheckService(
                url=server.url,
                username=USERNAME,
                password=PASSWORD,
                timeout=2,
                attempts=1,
                breaker=CircuitBreaker(threshold=10**9),
            )
            try:
                found = client.confirm(KNOWN)
            except ServiceError:
                return None
            finally:
                client.close()
            assert type(found) is Answer
            return found.known

        yield hear


def may_be(whole: bytes, verdict: bool) -> bool:
    """Necessary for a verdict, by other means than the client's: its status and its word."""
    final = re.sub(rb"\A(HTTP/1\.[01] 100[^\n]*\n([^\r\n]+\r?\n)*\r?\n)+", b"", whole)
    if not re.match(rb"HTTP/1\.[01] 200[ \r\n]", final):
        return False
    body = re.split(rb"\r?\n\r?\n", final, maxsplit=1)[1:]
    letters = re.sub(rb"[^a-z]", b"", b"".join(body))
    return (b"true" if verdict else b"false") in letters and (
        b"false" if verdict else b"true"
    ) not in letters


@quick
@given(st.binary(max_size=200))
@example(b"true")
@example(b"HTTP/1.1 200 OK\r\n\r\n")
def test_arbitrary_bytes(say, whole):
    heard = say(whole)
    assert heard is None or may_be(whole, heard)


PROPER = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nfalse\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nfalse",
    b"HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\ntrue",
    b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nfalse",
]


@quick
@given(st.data())
def test_answers_that_were_damaged_on_the_way(say, data):
    whole = data.draw(st.sampled_from(PROPER))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(whole)))
        length = data.draw(st.integers(0, 4) | st.integers(0, len(whole)))
        new = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\r\n", b"\n\n", b"true", b"false", b"200"])
        )
        whole = whole[:start] + new + whole[start + length :]
    heard = say(whole)
    assert heard is None or may_be(whole, heard)


@quick
@given(
    status=st.sampled_from(
        [200, 200, 200, 201, 204, 206, 299, 301, 304, 400, 403, 404, 429, 500, 503]
    ),
    word=st.sampled_from([b"true", b"false"]),
    spaces=st.tuples(*[st.text(" \t\r\n\v\f", max_size=5).map(str.encode)] * 2),
    extra=st.sampled_from([b"", b"", b"", b".", b"\0", b"true", b"\xa0", b"1", b'"']),
    framing=st.sampled_from(["sized", "chunked", "closed"]),
    cut=st.integers(0, 3).map(lambda number: max(0, number - 2)),
)
def test_a_verdict_just_when_it_is_one(say, status, word, spaces, extra, framing, cut):
    """Both ways: every proper answer is heard, and nothing else is."""
    body = spaces[0] + word + extra + spaces[1]
    head = b"HTTP/1.1 %d Whatever\r\n" % status
    whole = {
        "sized": head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": head
        + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        "closed": head + b"\r\n" + body,
    }[framing]
    whole = whole[: len(whole) - cut]
    # A body that ends with its connection has whatever length it has; otherwise all must be there.
    if framing == "closed":
        body = body[: len(body) - cut]
    complete = cut == 0 or framing == "closed"
    proper = status == 200 and complete and body.strip(b" \t\r\n\v\f") == word
    assert say(whole) == ((word == b"true") if proper else None)
