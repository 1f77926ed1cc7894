"""The parts of requests and answers that all services share."""

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from hashscan.service.answers import address_of, body_of, later


def request(*chunks, client=("192.0.2.7", 50_000)):
    """A request whose body arrives in chunks."""
    left = list(chunks)

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return Request({"type": "http", "client": client, "headers": []}, receive)


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (1.0, "1"), (1.2, "2"), (60.0, "60")])
def test_a_client_is_never_asked_back_too_early(seconds, header):
    error = later(429, seconds, "too many questions")
    assert (error.status_code, error.detail) == (429, "too many questions")
    assert error.headers == {"Retry-After": header}


@pytest.mark.parametrize(
    ("client", "address"), [(("2001:db8::1", 1), "2001:db8::1"), (None, "")], ids=["tcp", "unix"]
)
def test_the_address_of_a_client(client, address):
    assert address_of(request(b"", client=client)) == address


def test_a_body_is_put_together_up_to_its_bound():
    assert asyncio.run(body_of(request(b"ab", b"", b"cd"), 4, "too long")) == b"abcd"
    with pytest.raises(HTTPException) as found:
        asyncio.run(body_of(request(b"ab", b"cde"), 4, "too long"))
    assert (found.value.status_code, found.value.detail) == (413, "too long")


def test_the_rest_of_a_long_body_is_not_read():
    read = []

    async def receive():
        read.append(3)
        assert len(read) < 10, "the body is read without an end"
        return {"type": "http.request", "body": b"abc", "more_body": True}

    endless = Request({"type": "http", "headers": []}, receive)
    with pytest.raises(HTTPException):
        asyncio.run(body_of(endless, 4, "too long"))
    assert read == [3, 3]
