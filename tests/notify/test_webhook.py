"""Webhooks: signatures, formats, and receivers that do what they should not."""

import hmac
import json
import re
import ssl
import time
import tracemalloc

import pytest
import trustme
from fault_server import answer, drip, endless, reset
from notifications import message, secret
from receivers import HookPlace

from hashscan.notify.message import Event
from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.notify.open_notifier import open_notifier


def failure(settings):
    with pytest.raises(NotSentError) as caught:
        open_notifier(settings).send(message())
    return caught.value


def test_the_signature_covers_the_time_stamp_and_the_body(tmp_path):
    with HookPlace(tmp_path, secret_file=secret(tmp_path, "key")) as place:
        open_notifier(place.settings).send(message())
        (got,) = place.received
        stamp = got.headers["x-hashscan-timestamp"]
        assert abs(time.time() - int(stamp)) < 60
        signed = hmac.new(b"key", stamp.encode() + b"." + got.raw, "sha256").hexdigest()
        assert got.headers["x-hashscan-signature"] == f"v1={signed}"


def test_without_a_secret_there_is_no_signature(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login root password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with HookPlace(tmp_path) as place:
        open_notifier(place.settings).send(message())
        assert "x-hashscan-signature" not in place.received[0].headers
        assert "authorization" not in place.received[0].headers


def test_a_slack_message_mentions_nobody(tmp_path):
    with HookPlace(tmp_path, format="slack") as place:
        sent = message(dropped="<!channel> & <http://evil.example|here> @all")
        open_notifier(place.settings).send(sent)
        body = json.loads(place.received[0].raw)
        assert body.keys() == {"text"}
        assert "&lt;!channel&gt; &amp; &lt;http" in body["text"]
        assert "@\u200ball" in body["text"]


def test_a_name_makes_no_markup_in_a_slack_message(tmp_path):
    name = "/srv/[Click](www.evil.example) ![x](http:/evil.example) ```\n*b* @here"
    event = Event("match", "match", "2026-01-01T00:00:00Z", {"action": "held", "path": name})
    with HookPlace(tmp_path, format="slack") as place:
        open_notifier(place.settings).send(message(events=(event,)))
        said = json.loads(place.received[0].raw)["text"]
    first, block, end = re.split("```\n", said)
    assert "evil" not in first
    assert block.startswith("- 2026")
    assert "[Click](www.evil.example)" in block
    assert end == ""


@pytest.mark.parametrize("format_", ["slack", "matrix"])
def test_a_long_text_is_cut_at_a_number_of_bytes(tmp_path, format_):
    """A Matrix server refuses an event of more than 64 KiB, and the message would be lost."""
    more = (
        {"room": "!a:b.example", "token_file": secret(tmp_path, "t")} if format_ == "matrix" else {}
    )
    events = tuple(
        Event("match", "match", "2026-01-01T00:00:00Z", {"path": "\U0001f600" * 1000})
        for _ in range(50)
    )
    with HookPlace(tmp_path, format=format_, **more) as place:
        open_notifier(place.settings).send(message(events=events))
        body = json.loads(place.received[0].raw)
    assert len(json.dumps(body, ensure_ascii=False).encode()) < 32 << 10


def test_a_matrix_message_has_its_id_as_the_transaction(tmp_path):
    more = {"room": "!abc:host.example", "token_file": secret(tmp_path, "syt_token")}
    with HookPlace(tmp_path, format="matrix", **more) as place:
        sent = message()
        open_notifier(place.settings).send(sent)
        request = place.server.requests[0]
        assert request.line.startswith("PUT ")
        assert request.path.endswith(
            f"/_matrix/client/v3/rooms/%21abc%3Ahost.example/send/m.room.message/{sent.id}"
        )
        assert request.headers["authorization"] == "Bearer syt_token"
        body = json.loads(request.body)
        assert (body["msgtype"], body["m.mentions"]) == ("m.text", {})


def test_a_url_that_is_a_secret(tmp_path):
    with HookPlace(tmp_path) as place:
        file = secret(tmp_path, place.settings.url)
        settings = place.settings.model_copy(update={"url": None, "url_file": file})
        open_notifier(settings).send(message())
        assert len(place.received) == 1
        settings = settings.model_copy(update={"url_file": secret(tmp_path, "ftp://hush/x")})
        error = failure(settings)
        assert error.fault is SendFault.SETUP
        assert "hush" not in str(error)


def test_a_redirect_is_not_followed_and_gets_no_credentials(tmp_path):
    with (
        HookPlace(tmp_path) as other,
        HookPlace(tmp_path, token_file=secret(tmp_path, "token")) as place,
    ):
        place.server.always(answer(307, Location=f"{other.server.url}/x?secret"))
        error = failure(place.settings)
        assert error.fault is SendFault.SETUP
        assert "redirects to 127.0.0.1" in error.what
        assert "secret" not in str(error)
        assert other.server.requests == []
        place.server.always(answer(301, Location="file:///etc/shadow"))
        assert "redirects to a place that is no URL of the web" in failure(place.settings).what


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, SendFault.REFUSED),
        (401, SendFault.SETUP),
        (403, SendFault.SETUP),
        (404, SendFault.SETUP),
        (410, SendFault.SETUP),
        (413, SendFault.REFUSED),
        (429, SendFault.LATER),
        (500, SendFault.LATER),
        (503, SendFault.LATER),
        (504, SendFault.LATER),
    ],
)
def test_what_a_status_means(tmp_path, status, fault):
    with HookPlace(tmp_path) as place:
        place.server.always(answer(status, Retry_After="120"))
        error = failure(place.settings)
        assert error.fault is fault
        assert str(status) in error.what
        assert error.unsure == (status in {500, 504}), "it may have taken the message"
        assert error.wait == (120 if fault is SendFault.LATER else None)


def test_an_endless_answer_is_not_read(tmp_path):
    with HookPlace(tmp_path, timeout=300) as place:
        place.server.always(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536))
        tracemalloc.start()
        begun = time.monotonic()
        open_notifier(place.settings).send(message())
        assert time.monotonic() - begun < 60
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


def test_an_answer_by_drops_costs_the_time_limit(tmp_path):
    with HookPlace(tmp_path, timeout=0.5) as place:
        place.server.always(drip(b"HTTP/1.1 200 OK\r\n", 0.2, forever=b"X: y\r\n"))
        begun = time.monotonic()
        error = failure(place.settings)
        assert time.monotonic() - begun < 60
        assert error.unsure


def test_a_reset_leaves_it_open_whether_the_message_arrived(tmp_path):
    with HookPlace(tmp_path) as place:
        place.server.always(reset())
        assert failure(place.settings).unsure
        settings = place.settings
    error = failure(settings)
    assert not error.unsure
    assert error.fault is SendFault.LATER


def test_a_certificate_that_does_not_verify(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HookPlace(tmp_path, tls=context) as place:
        error = failure(place.settings)
        assert error.fault is SendFault.SETUP
        assert "does not verify" in error.what
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        settings = place.settings.model_copy(update={"ca_bundle": str(tmp_path / "ca.pem")})
        open_notifier(settings).send(message())
        assert len(place.received) == 1
