"""Notices of SCART as CSV: the columns, wherever a mail has them."""

import time
from datetime import UTC, datetime

import notice_samples as samples
import pytest
from notice_samples import attached, html, mail, plain
from read_notice import HOUR, ONE, TEN, TWO, read, refusal, urls


@pytest.mark.parametrize(
    "wrap",
    [
        str.encode,
        lambda text: mail(plain("Dear all,"), attached("urls-A0000001234.csv", text)),
        lambda text: mail(plain(f"Dear all,\n\n{text}\n-- \nHotline;https://hotline.example")),
        lambda text: mail(html("<p>" + text.replace("\n", "<br>\n"))),
        lambda text: ("\ufeff" + text).replace("\n", "\r\n").encode("utf-16"),
    ],
)
@pytest.mark.parametrize(
    "text", [samples.SCART_EN, samples.SCART_NL, samples.SCART_URL, samples.SCART_POLICE]
)
def test_scart_csv(wrap, text):
    notice = read(wrap(text))
    first = notice.items[0]
    assert (notice.format, first.value) == ("scart-csv", ONE)
    if "IP" in text:
        assert (first.ip, first.first_seen, first.last_seen) == ("192.0.2.7", TEN - HOUR, TEN)
    assert first.classification == ("article 240b" if "reason" in text else None)
    assert first.note == ("let op" if "notitie" in text else None)


def test_scart_csv_with_the_separator_in_a_url():
    second = read(samples.SCART_EN).items[1]
    assert (second.value, second.ip, second.note) == (f"{TWO};x=1", "2001:db8::7", "second; third")
    assert second.first_seen == datetime(2025, 7, 2, 8, tzinfo=UTC).timestamp()  # summer time
    assert read(samples.SCART_URL).items[1].value == f"{TWO};j=1"
    notice = read(f"url;note\n{ONE};see this; and that\n")
    assert (notice.items[0].value, notice.items[0].note) == (ONE, "see this; and that")
    notice = read(f"url;reason;IP;firstseen;lastseen\n{ONE};j=1;reason b;;;\n")
    assert notice.items[0].value == f"{ONE};j=1"


def test_scart_csv_says_what_it_leaves_out():
    notice = read(f"url;note\n{ONE};\nnot here;\n\nxyz\n")
    assert urls(notice) == [ONE]
    assert notice.remarks == ("2 lines below the headings without a URL, first: line 3",)
    assert "no line of headings" in refusal(f"{ONE};192.0.2.7\n", "scart-csv")


def test_scart_csv_with_thousands_of_separators_costs_no_more_than_its_length():
    """Each place of the columns is tried: 200 such lines took ten seconds, and 900 fit in a mail."""
    begin = time.process_time()
    found = read(
        "url;IP;firstseen;lastseen;note\nhttps://x.example/1;192.0.2.7;;;\n"
        + ("https://x.example/" + ";" * 16_000 + "\n") * 200
    )
    assert (len(found.items), found.remarks) == (
        1, ("200 lines below the headings without a URL, first: line 3",),
    )  # fmt: skip
    assert time.process_time() - begin < 5
