"""XARF reports in JSON: what is read, and what is refused."""

import json

import notice_samples as samples
import pytest
from notice_samples import MD5, SHA1
from read_notice import ONE, TEN, THREE, TWO, read, refusal, urls

from hashscan.notices import intake


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
