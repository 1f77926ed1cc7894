"""Each format: what it is recognised by, and what is taken from it."""

import json
import time
from datetime import UTC, datetime

import notice_samples as samples
import pytest
from notice_samples import MD5, SHA1, SHA256, attached, html, mail, plain

from hashscan.errors import NoticeError
from hashscan.notices import intake, values
from hashscan.notices.formats import source

ONE, TWO, THREE = (f"https://img.example/a/{number}.jpg" for number in (1, 2, 3))
TEN = datetime(2025, 1, 2, 10, tzinfo=UTC).timestamp()
HOUR = 3600.0


def read(content, format=None):  # noqa: A002
    return intake.read(
        content if isinstance(content, bytes) else content.encode(), format=format
    ).notice


def urls(notice):
    return [one.value for one in notice.items]


def refusal(content, format=None):  # noqa: A002
    with pytest.raises(NoticeError) as caught:
        read(content, format)
    return str(caught.value)


@pytest.mark.parametrize("name", intake.FORMATS)
def test_every_format_is_recognised_and_its_evidence_says_the_same(name):
    content = samples.every()[name]
    found = intake.read(content)
    assert found.notice.format == name
    assert found.notice.items[0].value.startswith(ONE)
    assert read(content, name).items == found.notice.items
    again = read(found.kept)
    assert (again.format, again.items) == (found.notice.format, found.notice.items)


@pytest.mark.parametrize("name", intake.FORMATS)
def test_every_format_forwarded_as_an_attachment(name):
    content = samples.every()[name]
    if not content.startswith(b"From:"):
        content = mail(plain(content.decode()))
    forwarded = mail(
        plain("See the mail below."),
        ("Content-Type: message/rfc822", content.replace(b"=_b", b"=_f")),
    )
    assert read(forwarded).format == name


@pytest.mark.parametrize(
    "name", ["list", "scart-csv", "iwf", "cybertip", "fsm", "ncmec", "pharos", "key-value"]
)
def test_every_format_quoted_below_a_signature(name):
    texts = {
        "list": samples.every()["list"].decode(), "scart-csv": samples.SCART_EN, "iwf": samples.IWF,
        "cybertip": samples.CYBERTIP, "fsm": samples.FSM, "ncmec": samples.NCMEC, "pharos": samples.PHAROS,
        "key-value": samples.KEY_VALUE,
    }  # fmt: skip
    text = texts[name] + "-- \nA hotline https://hotline.example/\n"
    quoted = "Please look.\n-- \nAn abuse desk\nhttps://host.example/\n" + "".join(
        f"> {line}\n" for line in text.split("\n")
    )
    found = read(mail(plain(quoted)))
    assert (found.format, found.items) == (name, read(mail(plain(texts[name]))).items)
    dashes = "Please look.\n-- \nAn abuse desk\n----- Forwarded -----\n" + text
    assert read(mail(plain(dashes))).items == found.items


def test_every_format_refuses_the_text_of_a_stranger():
    text = refusal("Dear all,\nwe meet at 10:00.\n")
    for name in intake.FORMATS:
        assert f"  {name}: it " in text, text


# SCART


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
    """Each place of the columns is tried: 20 such lines took a second, and 900 fit in a mail."""
    begin = time.process_time()
    found = read(
        "url;IP;firstseen;lastseen;note\nhttps://x.example/1;192.0.2.7;;;\n"
        + ("https://x.example/" + ";" * 16_000 + "\n") * 20
    )
    assert (len(found.items), found.remarks) == (
        1, ("20 lines below the headings without a URL, first: line 3",),
    )  # fmt: skip
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "https://x.example/1\n" * 9,
        "url;note\n" + "https://x.example/1;\n" * 9,
        "Subject: child sexual abuse\nFrom: a@b.example\n\n"
        + "URL: https://x.example/1\nNote: x\n" * 9,
        mail(html("<table class=urls>" + "<tr><td>https://x.example/1<td>192.0.2.7" * 9)),
    ],
)
def test_items_named_without_end_are_refused_before_they_fill_the_memory(monkeypatch, text):
    monkeypatch.setattr(source, "MOST_ITEMS", 4)
    assert "names more than 100,000 items" in refusal(text)
    monkeypatch.setattr(source, "MOST_ITEMS", 5)
    assert len(read(text).items) == 1


def test_scart_reference():
    assert read(samples.every()["scart-csv"]).reference == "A0000001234"
    assert read(samples.every()["scart-html"]).reference == "A0000001234"


def test_scart_table():
    notice = read(samples.every()["scart-html"])
    assert urls(notice) == [f"{ONE}?x=1&y=2", TWO]
    first, second = notice.items
    assert (first.ip, first.first_seen, first.last_seen, first.note) == (
        "192.0.2.7",
        TEN - HOUR,
        TEN,
        "né",
    )
    assert (second.ip, second.last_seen, second.note) == ("192.0.2.8", None, None)
    without_class = samples.SCART_TABLE.replace(' class="urls"', "")
    assert urls(read(without_class)) == urls(notice)
    without_headings = samples.SCART_TABLE.replace("<th>", "<i>").replace("</th>", "</i>")
    assert urls(read(without_headings)) == urls(notice)


# XARF and ARF


def test_xarf_4():
    notice = read(json.dumps(samples.XARF_4))
    (item,) = notice.items
    assert item.digests == (("md5", MD5), ("sha1", SHA1))
    assert (item.ip, item.classification) == ("192.0.2.7", "baseline")
    assert (notice.sender, notice.contact, notice.sent) == ("Hotline X", "ntd@x.example", TEN)
    assert notice.reference == samples.XARF_4["report_id"]
    several = [
        samples.XARF_4,
        {**samples.XARF_4, "url": TWO},
        {**samples.XARF_4, "type": "spam", "url": THREE},
    ]
    notice = read(json.dumps(several))
    assert urls(notice) == [ONE, TWO]
    assert notice.remarks == ("a report is about 'spam', not csam or csem",)


def test_xarf_3():
    notice = read(samples.xarf_3_mail())
    (item,) = notice.items
    assert (item.ip, item.first_seen) == ("192.0.2.7", TEN)
    assert (notice.sender, notice.contact, notice.reference) == (
        "Hotline X",
        "ntd@x.example",
        "X-1",
    )
    assert notice.sent == TEN - HOUR  # the mail's Date


def test_payloads_of_xarf_are_not_kept():
    for content in (json.dumps(samples.XARF_4).encode(), samples.xarf_3_mail()):
        kept = intake.read(content).kept
        assert b"characters dropped]" in kept
        assert samples.XARF_4["evidence"][0]["payload"].encode() not in kept


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '{"xarf_version": "4.0.0", "url": "http://x.example/", "url": "http://y.example/"}',
            "name url is there twice",
        ),
        ('{"xarf_version": "4.0.0", "a": NaN}', "NaN is no number"),
        ('{"xarf_version": "4.0.0", "a": ' + "9" * 5000 + "}", "cannot be read"),
        ('{"xarf_version": "4.0.0", "a": ' + "[" * 100_000, "nested too deeply"),
        ('{"xarf_version": "4.0.0", "a": [' + "[]," * 400_000, "more than 300,000 values"),
        ('{"xarf_version": "4.0.0", ', "it is no JSON: line 1"),
        (json.dumps({**samples.XARF_4, "url": 5, "hash_values": []}), "neither a URL nor a digest"),
        (json.dumps({**samples.XARF_4, "type": "spam"}), "is about 'spam', not csam"),
        (json.dumps({**samples.XARF_4, "xarf_version": 4}), 'no JSON object with "xarf_version"'),
    ],
)
def test_xarf_that_is_refused(text, why):
    assert why in refusal(text)


def test_a_report_of_another_type_counts_if_somebody_says_so():
    assert urls(read(json.dumps({**samples.XARF_4, "type": "spam"}), "xarf-4")) == [ONE]


def test_xarf_02():
    notice = read(samples.every()["xarf-0.2"])
    assert (urls(notice), notice.dropped) == ([ONE], 1)
    assert (notice.sender, notice.reference, notice.sent) == (
        "ntd@x.example",
        "42@x.example",
        TEN - HOUR,
    )

    def changed(old, new):
        text = samples.XARF_02.replace(old, new)
        return mail(
            plain("Hello"), attached("report.txt", text, "text/plain"), headers=["X-XARF: PLAIN"]
        )

    reports = [attached("report.txt", samples.XARF_02.replace("1.jpg", one), "text/plain")
               for one in ("1.jpg", "2.jpg")]  # fmt: skip
    several = read(mail(plain("Hello"), *reports, headers=["X-XARF: BULK"]))
    assert (len(several.items), several.reference) == (2, "42@x.example"), "one case, said once"
    assert "about 'spam', not child abuse" in refusal(changed("child-abuse", "spam"))
    assert "without a URL" in refusal(changed(ONE, "192.0.2.7"))
    # Not YAML: the lines count.
    assert urls(read(changed("User-Agent: reporter 1.0", "User-Agent: a: b: [c"))) == [ONE]
    aliases = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a]\n" for n in range(50))
    assert urls(read(changed("Port: 443\n", aliases))) == [ONE]
    assert "more than 16 KiB" in refusal(changed("Port: 443\n", "a: b\n" * 10_000), "xarf-0.2")


def test_xarf_02_with_much_text_in_its_reports_is_refused():
    """Each is read as YAML, which is slow: 200 of 16 KiB took most of a minute."""
    one = "--b\nContent-Type: text/plain; name=report.txt\n\nReport-Type: child\nSource: {}\n{}"
    text = "From: a@b.example\nX-XARF: PLAIN\nContent-Type: multipart/mixed; boundary=b\n\n"

    def reports(number, more=""):
        each = (one.format(f"https://x.example/{at}", more) for at in range(number))
        return text + "".join(each)

    assert len(read(reports(150)).items) == 150
    large = "#" + "x" * 15_000 + "\n"
    assert len(read(reports(21, large)).items) == 21
    assert "has reports of more than 320 KiB together" in refusal(reports(22, large), "xarf-0.2")


def test_arf():
    notice = read(samples.every()["arf"])
    assert urls(notice) == [ONE, TWO]
    assert (notice.items[0].ip, notice.items[0].first_seen) == ("192.0.2.7", TEN)

    def changed(old, new):
        return mail(("Content-Type: message/feedback-report", samples.ARF.replace(old, new)))

    assert "names no Reported-URI" in refusal(changed("Reported-URI", "X-URI"), "arf")
    assert "of the type fraud, not abuse" in refusal(changed("Type: abuse", "Type: fraud"))
    assert urls(read(changed("Type: abuse", "Type: fraud"), "arf")) == [ONE, TWO]


# Keys and values


def test_iwf():
    notice = read(samples.IWF)
    assert urls(notice) == [ONE, TWO, THREE, "https://img.example/b/1.jpg"]
    first, second, _, other = notice.items
    assert (first.note, first.classification, first.ip, first.first_seen) == (
        "a zip file",
        "A",
        "192.0.2.7",
        TEN,
    )
    assert (second.classification, other.ip) == ("A", "192.0.2.8")
    assert (notice.reference, notice.password) == ("123456, 123457", "secret 1")
    assert notice.remarks == (
        "1 URL in the text not taken as items, first: https://hotline.example/",
    )
    assert read(samples.IWF.replace("\n", "\r\n> ")).items == notice.items


def test_cybertip():
    notice = read(samples.every()["cybertip"])
    assert urls(notice) == [ONE, "https://img.example/a/page.html", TWO]
    first, page, second = notice.items
    assert first.digests == (("sha1", SHA1), ("md5", MD5))
    assert (first.referrer, first.ip) == ("https://other.example/", "192.0.2.7")
    assert (page.digests, second.digests) == ((), (("sha1", "0d" * 20),))
    assert notice.reference == "123"


def test_cybertip_paths_of_a_host():
    text = "hxxps://img[.]example/\nImage Path: /a/1.jpg\nImage Path: /a/2.jpg\n"
    assert urls(read(text)) == [ONE, TWO]


def test_a_digest_without_a_url_is_an_item():
    (item,) = read(f"Report ID: 7\nMD5: {MD5}\nSHA1: {SHA1}\n").items
    assert (item.kind, item.value, item.digests) == ("digest", SHA1, (("md5", MD5), ("sha1", SHA1)))


def test_fsm():
    notice = read(samples.FSM)
    assert (urls(notice), notice.reference) == ([ONE, TWO], "77")
    assert [(one.ip, one.first_seen) for one in notice.items] == [("192.0.2.7", TEN)] * 2


def test_key_value():
    notice = read(samples.KEY_VALUE)
    (item,) = notice.items
    assert (item.value, item.digests, item.ip) == (ONE, (("sha256", SHA256),), "192.0.2.7")
    text = f"URL: {ONE}\nSee {TWO} and\nsee {THREE}\n"
    assert "more URLs outside of lines" in refusal(text)
    assert urls(read(text, "key-value")) == [ONE]


@pytest.mark.parametrize("name", ["ncmec", "pharos"])
def test_sentences(name):
    notice = read(samples.every()[name])
    assert urls(notice) == [ONE, TWO]
    assert {one.ip for one in notice.items} == {"192.0.2.7"}


def test_jugendschutz():
    (item,) = read(samples.JUGENDSCHUTZ).items
    assert (item.value, item.ip) == (ONE, "192.0.2.7")


def test_meldpunt():
    notice = read(samples.every()["meldpunt"])
    assert [(one.value, one.ip) for one in notice.items] == [(ONE, "192.0.2.7"), (TWO, "192.0.2.8")]
    assert notice.items[0].first_seen == values.moment("2025-01-02 10:00", values.dutch())
