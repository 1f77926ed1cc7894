"""A repository on a faulty web server: the message names the server's fault, not an attack."""

import gzip
import zlib

import pytest
from file_server import status
from publishing import random_digests

from hashscan.errors import ExitCode, Fault
from hashscan.known.sync.web_answers import FetchError, check_beginning, decoded

PAGE = b"\n<!doctype html><title>Welcome</title><p>index"


def sends(code, body, **headers):
    return lambda exchange: exchange.answer(code, body, **headers)


def compressed(pack, coding):
    def act(exchange):
        if exchange.content is None:
            exchange.answer(404, b"")
        else:
            exchange.answer(200, pack(exchange.content), Content_Encoding=coding)

    return act


def without_header(data):
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


def missing(act):
    """``act`` for files that are not there."""

    def answer(exchange):
        if exchange.content is None:
            act(exchange)
        else:
            exchange.answer(200, exchange.content)

    return answer


@pytest.mark.parametrize(
    ("pack", "coding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, "x-gzip"),
        (gzip.compress, "GZip"),
        (zlib.compress, "deflate"),
        (without_header, "deflate"),
        (gzip.compress, "identity, gzip,"),
        (bytes, "identity,"),
    ],
)
def test_a_server_that_compresses_is_understood(agent, publisher, server, pack, coding):
    server.fault("/", compressed(pack, coding))
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    assert agent.bytes == publisher.published
    publisher.add(random_digests(400))
    assert agent.sync().categories[0].state == "updated"
    assert agent.bytes == publisher.published


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "\x1b[2J"])
def test_other_compression_is_named(agent, server, coding):
    server.fault("/", compressed(bytes, coding))
    report = agent.sync()
    (one,) = report.categories
    assert report.exit_code == ExitCode.SERVICE
    assert "Content-Encoding" in one.message
    assert "\x1b" not in one.message
    assert "filter.root" not in one.message
    assert (coding in one.message) == coding.isprintable()


def test_a_part_that_is_compressed_is_not_gone_on_with(agent, publisher, server):
    from file_server import truncate

    publisher.add(random_digests(20_000))
    server.fault("filter.zst", truncate(0.7), times=1)
    assert agent.sync().categories[0].state == "unreachable"

    def part(exchange):
        if exchange.handler.headers.get("Range"):
            exchange.answer(
                206, gzip.compress(b"x"), Content_Encoding="gzip", Content_Range="bytes 5-9/99"
            )
        else:
            exchange.answer(200, gzip.compress(exchange.content), Content_Encoding="gzip")

    server.fault("filter.zst", part)
    assert agent.sync().categories[0].state == "updated"
    assert agent.bytes == publisher.published


#: What is there of the first begins like metadata.
CUT, NONE = gzip.compress(b"{" + bytes(range(256)), mtime=0)[:-20], b"no gzip at all"


@pytest.mark.parametrize(
    "body", [CUT, NONE, gzip.compress(b"{}", mtime=0) + b"more"], ids=["cut", "none", "more"]
)
def test_compression_that_is_broken(agent, server, body):
    server.fault("timestamp.json", sends(200, body, Content_Encoding="gzip"))
    (one,) = agent.sync().categories
    assert one.fault == Fault.ANSWER
    assert "gzip" in one.message


def test_a_bomb_is_stopped_at_the_length_that_is_allowed(agent, server):
    server.fault(
        "timestamp.json",
        sends(200, gzip.compress(b"{" + b" " * (64 << 20)), Content_Encoding="gzip"),
    )
    report = agent.sync()
    assert report.categories[0].state in {"refused", "unreachable"}
    assert report.fetched < 1 << 20


def test_pieces_are_small_whatever_they_are_unpacked_to():
    packed = gzip.compress(bytes(10 << 20))
    pieces = [len(piece) for piece in decoded(iter([packed]), "gzip", "url", 65536)]
    assert sum(pieces) == 10 << 20
    assert max(pieces) <= 65536
    with pytest.raises(FetchError):
        list(decoded(iter([packed[:-9]]), "gzip", "url", 65536))


#: Without the header of zlib: one whose first two bytes have a header's check, and one whose first
#: byte names a header's method.
CHECKED = without_header(b"x" * 23)
STORED = b"\x08\x03\x00\xfc\xffabc\x01\x00\x00\xff\xff"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("packed", "content"),
    [
        (zlib.compress(b"content"), b"content"),
        (without_header(b"content"), b"content"),
        (CHECKED, b"x" * 23),
        (STORED, b"abc"),
    ],
)
def test_deflate_in_pieces(packed, content, size):
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    if size == 1 and not packed.startswith(b"\x78"):  # taken as zlib until a second byte is there
        with pytest.raises(FetchError):
            list(decoded(iter(pieces), "deflate", "url", 65536))
        return
    assert b"".join(decoded(iter(pieces), "deflate", "url", 65536)) == content


@pytest.mark.parametrize(
    ("pattern", "body"),
    [
        ("2.root.json", PAGE),
        ("2.root.json", b""),
        ("2.root.json", b"Not Found\n"),
        ("2.root.json", b'{"error": "no such file"}'),
        ("2.root.json", b"null"),
        ("2.root.json", "\ufeff<html>".encode()),
        ("timestamp.json", PAGE),
        ("timestamp.json", b"Not Found " * 10_000),
        ("snapshot.json", PAGE),
        ("filter.zst", PAGE),
        ("filter.zst", b"Not Found\n"),
        ("filter.zst", b'{"error": "no such file"}'),
        ("filter.zst", "nicht gefunden: \u00e4".encode() * 100),
    ],
)
def test_a_page_instead_of_a_file_is_the_servers_fault(agent, server, pattern, body):
    server.fault(pattern, sends(200, body))
    report = agent.sync()
    (one,) = report.categories
    assert (one.state, one.fault) == ("unreachable", Fault.ANSWER)
    assert report.exit_code == ExitCode.SERVICE
    assert server.url in one.message
    assert pattern in one.message
    assert "404" in one.message
    assert "filter.root" not in one.message
    assert "not to be trusted" not in one.message
    server.heal()
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND


@pytest.mark.parametrize(
    ("code", "headers", "fault", "words"),
    [
        (500, {}, Fault.ANSWER, "HTTP 500: it fails"),
        (502, {}, Fault.ANSWER, "HTTP 502"),
        (403, {}, Fault.CREDENTIALS, "filter.username"),
        (401, {"WWW_Authenticate": "Basic"}, Fault.CREDENTIALS, "filter.password_file"),
        (407, {}, Fault.CREDENTIALS, "filter.proxy"),
        (429, {"Retry_After": "7"}, Fault.BUSY, "wait 7 s"),
        (503, {"Retry_After": "9" * 30}, Fault.BUSY, "to wait 11574074 days"),
        (503, {"Retry_After": "Fri, 01 Jan 2100 00:00:00 GMT"}, Fault.BUSY, "too busy"),
        (204, {}, Fault.ANSWER, "HTTP 204"),
        (206, {"Content_Range": "bytes 0-5/9"}, Fault.ANSWER, "HTTP 206"),
        (304, {}, Fault.ANSWER, "HTTP 304"),
        (302, {"Location": "https://login.example/?x"}, Fault.ANSWER, "login.example"),
        (511, {}, Fault.ANSWER, "HTTP 511"),
        (404, {}, Fault.ANSWER, "is not there"),
        (410, {}, Fault.ANSWER, "is not there"),
        (418, {}, Fault.ANSWER, "HTTP 418"),
    ],
)
def test_every_status_is_named_as_what_it_is(agent, server, code, headers, fault, words):
    server.fault("timestamp.json", sends(code, b"" if code in {204, 304} else b"x", **headers))
    report = agent.sync()
    (one,) = report.categories
    assert (one.state, one.fault) == ("unreachable", fault)
    assert words in one.message
    assert "timestamp.json" in one.message or code in {404, 410}
    assert report.exit_code == ExitCode.SERVICE
    assert ("reach" in one.trouble) == (fault != Fault.CREDENTIALS)


@pytest.mark.parametrize("code", [404, 403, 410])
def test_roots_end_at_one_that_is_not_there(agent, server, code):
    server.fault("2.root.json", missing(status(code)))
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND


def test_a_server_that_fails_for_files_that_are_missing(agent, server):
    server.fault("2.root.json", missing(status(500)))
    (one,) = agent.sync().categories
    assert one.fault == Fault.ANSWER
    assert "2.root.json" in one.message
    assert "must answer 404" in one.message


def test_a_server_that_is_not_there_cannot_be_reached(agent):
    agent.with_(url="http://127.0.0.1:9")
    (one,) = agent.sync().categories
    assert one.fault == Fault.UNREACHABLE
    assert one.trouble == "unreachable"


def test_damaged_metadata_is_still_refused(agent, server):
    server.fault("timestamp.json", sends(200, b'{"signed": '))
    report = agent.sync()
    assert report.exit_code == ExitCode.FILTER


@pytest.mark.parametrize(
    ("beginning", "name", "what"),
    [
        (b"<html>", "1.json", "a web page"),
        (b" \r\n<!doctype html>", "a.filter", "a web page"),
        (b"<\0\1\2", "a.filter", "a web page"),
        (b"Moved", "1.json", "something else"),
        (b"Moved", "a.filter", "text"),
    ],
)
def test_an_answer_that_is_no_file_is_named(beginning, name, what):
    with pytest.raises(FetchError, match=f"{name}: .* HTTP 200 with {what} instead of the file"):
        check_beginning(beginning, f"http://x.example/{name}")


@pytest.mark.parametrize(
    ("beginning", "name"), [(b' {"a": 1}', "1.json"), (b"[", "1.json"), (b"\x28\xb5\x2f\xfd", "a.filter")]
)  # fmt: skip
def test_a_beginning_that_fits_the_name_is_taken(beginning, name):
    check_beginning(beginning, f"http://x.example/{name}")
