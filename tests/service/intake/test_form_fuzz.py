"""Forms of any bytes: each is a report or an error for the sender, never anything else."""

import os
import time
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.notices.notice import Channel
from hashscan.notices.store import NoticeStore
from hashscan.service.intake.form import ReportRefusedError, fields, read
from hashscan.text import shown

LONG = bool(os.environ.get("HASHSCAN_LONG"))

PIECES = st.sampled_from(
    ["http://a.example/1", "hxxp://a[.]b/", "\n", "\r\n", " ", "\x00", "\u202e", "\ud800", "://",
     "[", "]", "%", "&", "=", "é", "ftp://x", "http://[::1]/", "http://a:99999/", "x" * 500]
)  # fmt: skip
VALUES = st.lists(PIECES, max_size=12).map("".join)
NAMES = st.sampled_from(["urls", "urls[]", "ip", "sender", "reference", "received", "x", ""])


def encoded(pairs):
    return "&".join(
        f"{name}={quote_plus(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs
    ).encode()


BODIES = st.one_of(
    st.binary(max_size=400),
    st.lists(st.tuples(NAMES, VALUES), max_size=6).map(encoded),
    VALUES.map(lambda text: b"urls=http://a/%0A" + text.encode("utf-8", "surrogatepass")),
)
TYPES = st.one_of(
    st.sampled_from(["", "application/x-www-form-urlencoded"]),
    st.text(max_size=30).map("application/x-www-form-urlencoded; charset={}".format),
    st.text(max_size=60),
)


def refused(body, kind):
    """The report, or the error."""
    try:
        return read(fields(body, kind), "hotline")
    except ReportRefusedError as error:
        return error


@pytest.mark.timeout(3600 if LONG else 180)
def test_any_form(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fuzz")
    taken = []
    with NoticeStore(str(directory / "notices.sqlite3")) as store:
        store._connection.execute("PRAGMA synchronous = OFF")

        @settings(
            max_examples=20_000 if LONG else 40, deadline=None, derandomize=not LONG, database=None
        )
        @given(BODIES, TYPES)
        def one(body, kind):
            report = refused(body, kind)
            if isinstance(report, ReportRefusedError):
                assert 400 <= report.status_code < 500
                assert report.detail
                return
            assert report.received is None or report.received <= time.time()
            added = store.add(
                report.notice, channel=Channel.HTTP, key=os.urandom(16), content=report.content
            )
            items = store.items(added.id)
            assert items
            assert [one.parsed.value for one in items] == [one.value for one in report.notice.items]
            for item in items:
                assert "\n" not in item.parsed.value
                shown(item.parsed.value).encode()
            taken.append(added.id)

        one()
    assert taken
