"""XARF reports are valid against the published schema, and hold no content."""

import json

import published
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.config.notices import OrganisationSettings
from hashscan.report.xarf import Abuse, NotReported, report_of, uri_of

HOST = OrganisationSettings(name="Host BV", contact="abuse@host.example", domain="host.example")
DIGESTS = {"md5": "ab" * 16, "sha1": "ab" * 20, "sha256": "ab" * 32}


def abuse(**more):
    values = {
        "key": "item 1", "name": "a", "url": "https://img.example/a/1.jpg", "source": "192.0.2.7",
        "categories": ("baseline",), "method": "hash_match", "when": 0.0, "digests": DIGESTS,
        "removed": True,
    }  # fmt: skip
    return Abuse(**values | more)


def made(classifications=None, **more):
    found = report_of(abuse(**more), HOST, classifications or {})
    if isinstance(found, NotReported):
        return found
    result = published.parse(json.loads(json.dumps(found)))
    assert not result.errors, result.errors
    assert result.report is not None
    assert not {"evidence", "_internal"} & set(found)
    return found


def test_a_report():
    assert made() == {
        "xarf_version": "4.2.0",
        "report_id": made()["report_id"],
        "timestamp": "1970-01-01T00:00:00.000Z",
        "reporter": {"org": "Host BV", "contact": "abuse@host.example", "domain": "host.example"},
        "sender": {"org": "Host BV", "contact": "abuse@host.example", "domain": "host.example"},
        "source_identifier": "192.0.2.7",
        "category": "content",
        "type": "csam",
        "url": "https://img.example/a/1.jpg",
        "classification": "baseline",
        "detection_method": "hash_match",
        "hash_values": DIGESTS,
        "content_removed": True,
        "hosting_provider": "Host BV",
    }


def test_the_schema_would_notice_a_mistake():
    for name in ("url", "classification", "detection_method", "source_identifier"):
        report = made()
        del report[name]
        assert published.parse(report).errors, name


def test_the_same_match_has_the_same_id():
    first = made()["report_id"]
    assert made()["report_id"] == first
    assert len({first, made(key="item 2")["report_id"], made(removed=False)["report_id"]}) == 3


def test_the_source_is_an_address_or_the_host():
    assert made(source="2001:DB8::1")["source_identifier"] == "2001:db8::1"
    for source in (None, "", "not an address", "192.0.2.7\n"):
        expected = "192.0.2.7" if source and source.startswith("1") else "img.example"
        assert made(source=source)["source_identifier"] == expected


@pytest.mark.parametrize("name", ["baseline", "A1", "A2", "B1", "B2"])
def test_each_classification_by_its_name(name):
    assert made(categories=(name.lower(),))["classification"] == name


def test_the_classification_comes_from_the_category():
    given = {"vics-1": "baseline", "hotline c": "B2"}
    assert made(given, categories=("vics-1", "A1"))["classification"] == "baseline"
    assert made(given, categories=(None, " Hotline C "))["classification"] == "B2"
    assert made(given, categories=("other", "A1"))["classification"] == "A1"
    assert made({"baseline": "A2"})["classification"] == "A2"


def test_what_cannot_be_known_is_refused():
    assert "its URL is not known" in made(url=None).why
    assert "notices.classifications" in made(categories=("x\x1b", None)).why
    assert "x\\x1b" in made(categories=("x\x1b", None)).why
    assert "neither a list nor the notice names a category" in made(categories=(None, "")).why
    assert "XARF requires a URL" in made(url="ftp://img.example/a").why
    assert "XARF requires a URL" in made(url="http:///a").why


def test_no_digests():
    assert "hash_values" not in made(digests={}, method="user_report", removed=False)


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("HTTP://Img.Example:80/a b?c d#e", "http://img.example/a%20b?c%20d"),
        ("https://u:p@img.example:8443/%41%zz%", "https://img.example:8443/%41%25zz%25"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
        ('http://[::1]/[x]|^`{}"<>\\', "http://[::1]/%5Bx%5D%7C%5E%60%7B%7D%22%3C%3E%5C"),
        ("img.example/a", "http://img.example/a"),
    ],
)  # fmt: skip
def test_uris(url, uri):
    assert uri_of(url) == uri


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_any_text_of_a_sender_is_valid_or_refused(path, source, category):
    found = made(
        {category.strip().lower(): "A1"}, url=f"http://img.example/{path}", source=source,
        categories=(category,),
    )  # fmt: skip
    if not isinstance(found, NotReported):
        assert found["url"].isascii()
        assert not set(found["url"]) & set(' "<>\\^`{|}')
