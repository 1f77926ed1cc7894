"""The values that a template of an answer may use: plain, printable, and of one customer only."""

import pytest
from answer_samples import HOST, item, moved, notice

from hashscan.notices.answers.facts import facts_of, moment, safe
from hashscan.notices.answers.templates import TemplateSource, render
from hashscan.notices.notice import Item, ItemKind, ItemState, ParsedItem


def test_a_statement_names_neither_the_sender_nor_other_customers_whatever_its_template():
    found = notice(sender="Hotline", contact="ntd@hotline.example", reference="R-1")
    urls = [ParsedItem(ItemKind.URL, f"http://{name}.example/") for name in "abc"]
    items = [Item(number, "n", one, ItemState.REMOVED, 7200.0) for number, one in enumerate(urls)]
    files = [moved(item=1), moved(b"/srv/www/copy", item=2, is_named=False)]
    everything = TemplateSource(
        "t", "Subject: x\n\n{{ notice }}\n{{ items }}\n{{ files }}\n{{ states }}"
    )
    text = render(everything, facts_of(found, items, HOST, 10800.0, files)).body
    assert "http://b.example/" in text
    for words in ("otline", "R-1", "http://a.example", "http://c.example"):
        assert words not in text, words
    assert "'removed': 1" in text
    text = render(everything, facts_of(found, items, HOST, 10800.0)).body
    assert all(words in text for words in ("Hotline", "R-1", "http://c.example"))


def test_times_are_in_utc():
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(1e9 + 0.9) == "2001-09-09 01:46:40 UTC"


def test_each_text_becomes_one_printable_line():
    given = {"a": ["x\ny", ("\x1b[2J", 1)], "b": None, "c": 1.5, "d": True}
    assert safe(given) == {"a": ["x\\ny", ["\\x1b[2J", 1]], "b": None, "c": 1.5, "d": True}


def test_the_facts_of_a_notice():
    facts = facts_of(notice(), [], HOST, 10800.0)
    assert facts["notice"] == {
        "id": "20261127-0a0b0c0d", "reference": "", "sender": "", "authority": "",
        "legal_basis": "", "sent": "", "received": "1970-01-01 01:00:00 UTC",
        "deadline": "1970-01-02 01:00:00 UTC", "repeat_of": "",
    }  # fmt: skip
    assert facts["organisation"] == {
        "name": "Host BV", "contact": "abuse@host.example", "domain": "host.example",
    }  # fmt: skip
    assert (facts["now"], facts["files"], facts["open"]) == ("1970-01-01 03:00:00 UTC", [], 0)
    assert set(facts["states"]) == {
        "received", "located", "removed", "gone", "not_here", "refused",
    }  # fmt: skip
    given = {"reference": "R", "sender": "S", "authority": "A", "legal_basis": "L", "sent": 0.0,
             "repeat_of": "20260101-00000000"}  # fmt: skip
    facts = facts_of(notice(**given), [], HOST, 0.0)["notice"]
    assert {name: facts[name] for name in given} == given | {"sent": "1970-01-01 00:00:00 UTC"}


def test_the_states_are_counted():
    items = [item(state) for state in (*ItemState, ItemState.NOT_HERE)]
    facts = facts_of(notice(), items, HOST, 0.0)
    assert facts["states"] == {
        "received": 1, "located": 1, "removed": 1, "gone": 1, "not_here": 2, "refused": 1,
    }  # fmt: skip
    assert facts["open"] == 2
    assert [one["number"] for one in facts["items"]] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"state": ItemState.REMOVED, "removed": 60.0}, {"when": "1970-01-01 00:01:00 UTC",
          "removed": "1970-01-01 00:01:00 UTC", "state": "removed"}),
        ({"state": ItemState.REMOVED}, {"when": "1970-01-01 02:00:00 UTC", "removed": ""}),
        ({"state": ItemState.RECEIVED, "removed": 60.0}, {"when": "1970-01-01 02:00:00 UTC",
          "removed": "1970-01-01 00:01:00 UTC"}),
        ({"state": ItemState.NOT_HERE, "reason": "no-file: /srv/x"}, {"state": "not_here",
          "reason_kind": "no-file", "decision": ""}),
        ({"state": ItemState.NOT_HERE, "reason": "script"}, {"reason_kind": "script"}),
        ({"state": ItemState.NOT_HERE, "reason": "/srv/x: no"}, {"reason_kind": ""}),
        ({"state": ItemState.NOT_HERE, "reason": "no file"}, {"reason_kind": ""}),
        ({"state": ItemState.NOT_HERE, "reason": "a" * 32}, {"reason_kind": ""}),
        ({"state": ItemState.REFUSED, "reason": "art: a customer"}, {"reason_kind": "art",
          "decision": "art: a customer"}),
        ({"state": ItemState.GONE}, {"kind": "url", "value": "http://site.example/a"}),
        ({"state": ItemState.GONE, "kind": ItemKind.DIGEST, "value": "ab"}, {"kind": "digest",
          "value": "ab"}),
    ],
)  # fmt: skip
def test_the_facts_of_an_item(given, facts):
    (found,) = facts_of(notice(), [item(**given)], HOST, 0.0)["items"]
    assert {name: found[name] for name in facts} == facts


def test_the_facts_of_moved_files():
    files = [
        moved(b"/srv/\xff", category="baseline"),
        moved(b"/srv/b", is_named=False),
        moved(item=2),
    ]
    facts = facts_of(notice(), [item(ItemState.REMOVED)], HOST, 0.0, files)
    assert facts["files"] == [
        {"path": "/srv/\\xff", "url": "http://site.example/a", "when": "1970-01-01 02:00:00 UTC",
         "category": "baseline"},
        {"path": "/srv/b", "url": "", "when": "1970-01-01 02:00:00 UTC", "category": ""},
        {"path": "/srv/www/a", "url": "", "when": "1970-01-01 02:00:00 UTC", "category": ""},
    ]  # fmt: skip
    digest = item(ItemState.REMOVED, "ab", ItemKind.DIGEST)
    assert facts_of(notice(), [digest], HOST, 0.0, [moved()])["files"][0]["url"] == ""
