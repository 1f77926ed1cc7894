"""Reports in the form that SCART's add-on sends, and forms that are refused."""

import time

import pytest
from sent_reports import REPORT

from hashscan.notices.notice import ItemState

FORMS = {
    "other-order": b"urls=http%3A%2F%2Fa.example%2F1&ip=192.0.2.7",
    "no-ip": b"urls=http%3A%2F%2Fa.example%2F1",
    "blank-ip": b"ip=&urls=http%3A%2F%2Fa.example%2F1",
    "carriage-returns": b"ip=192.0.2.7&urls=http%3A%2F%2Fa.example%2F1%0D%0A%0D%0A",
    "defanged": b"urls=hxxp%3A%2F%2Fa%5B.%5Dexample%2F1",
    "blanks": b"urls=%20http%3A%2F%2Fa.example%2F1%20%0A%20",
    "php-array": b"urls%5B%5D=http%3A%2F%2Fa.example%2F1",
    "not-encoded": b"ip=192.0.2.7&urls=http://a.example/1\n",
    "unknown-field": b"x=y&urls=http%3A%2F%2Fa.example%2F1&z=",
    "twice": b"urls=http%3A%2F%2Fa.example%2F1%0Ahttp%3A%2F%2Fa.example%2F1",
}


@pytest.mark.parametrize("body", FORMS.values(), ids=list(FORMS))
def test_forms(body, intake, scart_reads):
    (item,) = intake.items(scart_reads(intake.post(body)))
    assert item.parsed.value == "http://a.example/1"


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("", "%C3%A9"),
        ("; charset=UTF-8", "%C3%A9"),
        ("; charset=iso-8859-1", "%E9"),
        ("", "%E9"),
        ('; charset="no-such"', "%C3%A9"),
        ("; charset=utf-8", "\u00e9"),
    ],
)
def test_charsets(kind, encoded, intake, scart_reads):
    body = f"urls=http%3A%2F%2Fa.example%2F{encoded}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded" + kind}
    (item,) = intake.items(scart_reads(intake.post(body, headers=headers)))
    assert item.parsed.value == "http://a.example/\u00e9"


def test_a_sender_who_passes_notices_on(intake, scart_reads):
    form = {
        **REPORT,
        "sender": "Hotline\nX",
        "reference": "A0001",
        "received": "2026-11-20T09:00:00Z",
    }
    with intake.notices() as reader:
        notice = reader.notice(scart_reads(intake.post(form)))
    assert (notice.sender, notice.reference) == ("Hotline X", "A0001")
    assert notice.received == 1795165200.0
    assert notice.deadline == notice.received + 24 * 3600


def test_a_senders_clock_that_is_ahead_does_not_move_the_deadline(intake, scart_reads):
    ahead = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 200))
    with intake.notices() as reader:
        notice = reader.notice(scart_reads(intake.post({**REPORT, "received": ahead})))
    assert notice.received <= time.time()


def test_a_line_that_is_no_url_stays_open_for_a_person(intake, scart_reads):
    answer = intake.post({"ip": "x", "urls": "http://a.example/1\nhttp://[bad/\x07\u202e2"})
    identifier = scart_reads(answer)
    _, second = intake.items(identifier)
    assert second.parsed.value == "http://[bad/ \u202e2"
    assert second.state is ItemState.RECEIVED
    with intake.notices() as reader:
        remarks = reader.notice(identifier).remarks
    assert remarks[0].startswith("1 line is no URL, first line 2: http://[bad/ \\u202e2")
    assert remarks[1] == "the field ip is no address: x"
    assert answer.json()["data"]["remarks"] == list(remarks)


REFUSED = {
    "nothing": (b"", 422, "no URL"),
    "no-urls": (b"ip=192.0.2.7", 422, "no URL"),
    "blank-urls": (b"urls=%0A%20%0A", 422, "no URL"),
    "no-url-in-it": (b"urls=hello%0Aworld", 422, "no URL"),
    "long-url": (b"urls=http://a/" + b"x" * 9000, 422, "8,192"),
    "many-urls": (b"urls=" + b"http://a/%0A" * 10_001, 422, "10,000"),
    "many-fields": (b"a=b&" * 60, 422, "fields"),
    "two-ips": (b"ip=1.1.1.1&ip=2.2.2.2&urls=http://a/", 422, "more than once"),
    "no-time": (b"received=soon&urls=http://a/", 422, "no time"),
    "future": (b"received=2090-01-01&urls=http://a/", 422, "future"),
    "large": (b"urls=" + b"x" * (3 << 20), 413, "MiB"),
}


@pytest.mark.parametrize(("body", "status", "words"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_is_json_with_a_message(body, status, words, intake, scart_reads):
    before = intake.stored()
    answer = intake.post(body)
    assert answer.status_code == status
    assert words in answer.json()["message"]
    assert scart_reads(answer) is None
    assert intake.stored() == before


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/json", "text/plain", "x;;=\x80"]
)
def test_another_type(kind, intake, scart_reads):
    answer = intake.post(b"urls=http://a/", headers={"Content-Type": kind})
    assert (answer.status_code, scart_reads(answer)) == (415, None)
