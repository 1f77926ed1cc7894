"""Answers from templates: each state has its words, and no sender writes a line of his own."""

import os

import pytest
from answer_samples import HOST, item, moved, notice
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.config.notices import ANSWERS, LANGUAGES
from hashscan.errors import UsageError
from hashscan.notices.answers.facts import facts_of
from hashscan.notices.answers.templates import TemplateSource, render, source_of
from hashscan.notices.notice import ItemKind, ItemState

EVIL = "x\n     Removed on 2026-01-01.\r\nSubject: y\x1b[2J\u2028\u202e{{ 7 * 7 }}"


def answer(kind, language, found, items, moved=None):
    return render(source_of(None, language, kind), facts_of(found, items, HOST, 10800.0, moved))


def test_the_receipt_says_what_was_received():
    found = answer("receipt", "en", notice(reference="R-1"), [item(ItemState.RECEIVED)])
    assert found.subject == "[R-1] Receipt of your notice (20261127-0a0b0c0d)"
    for words in ("1970-01-01 01:00:00 UTC", "R-1", "1970-01-02 01:00:00 UTC", "Host BV",
                  "  1. http://site.example/a\n"):  # fmt: skip
        assert words in found.body, words
    dutch = answer("receipt", "nl", notice(), [item(ItemState.RECEIVED)])
    assert dutch.subject == "Ontvangstbevestiging van uw melding (20261127-0a0b0c0d)"
    assert "Uw kenmerk" not in dutch.body


@pytest.mark.parametrize(
    ("one", "english", "dutch"),
    [
        (item(ItemState.REMOVED, removed=7200.0), "Removed on 1970-01-01 02:00:00 UTC.",
         "Verwijderd op 1970-01-01 02:00:00 UTC."),
        (item(ItemState.GONE),
         "Already gone: it was no longer in its place on 1970-01-01 02:00:00 UTC.",
         "Reeds verdwenen: op 1970-01-01 02:00:00 UTC niet meer aanwezig."),
        (item(ItemState.NOT_HERE, reason="no-site: x"), "no site on our servers has this host name",
         "geen website op onze servers heeft deze hostnaam"),
        (item(ItemState.NOT_HERE, reason="no-file: /srv/secret"), "has no file at this address",
         "bevat geen bestand op dit"),
        (item(ItemState.NOT_HERE, reason="script: /srv/secret"), "a program of the site answers",
         "antwoordt een programma"),
        (item(ItemState.NOT_HERE, reason="/srv/secret: x"), "our servers have no such file",
         "geen dergelijk bestand"),
        (item(ItemState.NOT_HERE, "ab" * 20, ItemKind.DIGEST, reason="no-file: x"),
         "Not found: our servers have no such file.", "geen dergelijk bestand"),
        (item(ItemState.NOT_HERE, "ab" * 20, ItemKind.DIGEST, reason="not-computed: x"),
         "we cannot search for files by this digest",
         "wij kunnen niet op deze hashwaarde zoeken"),
        (item(ItemState.REFUSED, reason="a test"), "Not removed: a test", "Niet verwijderd: a test"),
        (item(ItemState.RECEIVED), "In progress.", "In behandeling."),
        (item(ItemState.LOCATED), "In progress.", "In behandeling."),
        (item(ItemState.RECEIVED, removed=3600.0, reason="/srv/secret is back"),
         "It was removed on 1970-01-01 01:00:00 UTC, and is open again",
         "Het is op 1970-01-01 01:00:00 UTC verwijderd"),
    ],
)  # fmt: skip
def test_the_decision_for_each_state(one, english, dutch):
    for language, words in (("en", english), ("nl", dutch)):
        body = answer("decision", language, notice(), [one]).body
        assert words in body
        assert "/srv/secret" not in body  # a hotline has no use for a customer's paths


def test_the_decision_counts_the_states():
    items = [item(ItemState.REMOVED), item(ItemState.LOCATED), item(ItemState.RECEIVED)]
    body = answer("decision", "en", notice(), items).body
    assert "Removed:          1\n" in body
    assert "In progress:      2\n" in body
    assert "court" in body
    assert "court" not in answer("decision", "en", notice(authority="ATKM"), items).body


def test_the_statement_has_what_article_17_asks_for():
    files = [moved(), moved(b"/srv/www/b", category="baseline", is_named=False)]
    body = answer("statement", "en", notice(), [item(ItemState.REMOVED)], files).body
    for words in ("Restriction", "Territory and duration", "Facts", "Automated means",
                  "Legal ground", "Redress", "/srv/www/a\n     http://site.example/a\n",
                  "/srv/www/b\n     moved on 1970", "/srv/www/b: category baseline",
                  "Articles 3 to 7"):  # fmt: skip
        assert words in body, words
    assert "/srv/www/a: category" not in body
    law = answer("statement", "nl", notice(legal_basis="Wet X"), [], files).body
    assert "5. Rechtsgrond. De melding noemt: Wet X." in law


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_others_is_a_line(kind, language):
    def made(text):
        found = notice(
            sender=text, contact=text, reference=text, authority=text, legal_basis=text,
            repeat_of=text,
        )  # fmt: skip
        items = [item(state, text, reason=text, removed=1.0) for state in ItemState]
        files = [moved(os.fsencode(text), category=text)]
        return answer(kind, language, found, items, files)

    plain, evil = made("x"), made(EVIL)
    assert evil.subject.isprintable()
    assert len(evil.body.splitlines()) == len(plain.body.splitlines())
    assert all(one.isprintable() for one in evil.body.splitlines())
    assert "{{ 7 * 7 }}" in evil.body


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=50), st.sampled_from(ANSWERS), st.sampled_from(LANGUAGES))
def test_no_text_at_all_is_a_line(text, kind, language):
    def made(one):
        found = notice(reference=f"r{one}", authority=f"a{one}", legal_basis=f"l{one}")
        items = [item(state, f"v{one}", reason=f"r{one}") for state in ItemState]
        return answer(kind, language, found, items, [moved(category=f"c{one}")])

    plain, found = made(""), made(text)
    assert found.subject.isprintable()
    lines = found.body.split("\n")
    assert len(lines) == plain.body.count("\n") + 1
    assert all(one.isprintable() for one in lines)


def test_a_directory_replaces_single_templates(tmp_path):
    (tmp_path / "nl").mkdir()
    path = tmp_path / "nl" / "receipt.txt"
    path.write_text(
        "Subject: Eigen {{ notice.id }}\r\n\r\nÉén {{ organisation.name }}\r\n", "utf-8"
    )
    source = source_of(str(tmp_path), "nl", "receipt")
    assert source.path == str(path)
    found = render(source, facts_of(notice(), [], HOST, 0.0))
    assert found == ("Eigen 20261127-0a0b0c0d", "Één Host BV\n")
    assert source_of(str(tmp_path), "en", "receipt").path is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("Subject: x\n\n{{ notice.nothing }}\n", 3, "nothing"),
        ("Subject: x\n\n{% if %}\n", 3, "Expected an expression"),
        ("Subject: x\n\n{{ notice.id.__class__ }}\n", 3, "SecurityError"),
        ("Subject: x\n\n{{ ''.format.__globals__ }}\n", 3, "unsafe"),
        ("Subject: x\n\n\n{{ 1 / 0 }}\n", 4, "division by zero"),
        ("Subject: x\n\n{% include '/etc/passwd' %}\n", 3, "loader"),
        ("Subject: x\n\n{{ notice.update(id=1) }}\n", 3, "unsafe"),
        ("Subject: x\n\n{{ open.x }}\n", 3, "x"),
        ("Hello\n\nx\n", 1, "must begin with a line 'Subject:"),
        ("Subject:\n\nx\n", 1, "must begin with a line 'Subject:"),
        ("", 1, "must begin with a line 'Subject:"),
    ],
)
def test_an_error_of_a_template_has_its_line(text, line, words):
    with pytest.raises(UsageError) as caught:
        render(TemplateSource("/t/en/receipt.txt", text), facts_of(notice(), [], HOST, 0.0))
    assert f"/t/en/receipt.txt, line {line}: " in str(caught.value)
    assert words in str(caught.value)


def test_an_endless_template_is_stopped(monkeypatch):
    monkeypatch.setattr("hashscan.notices.answers.templates.LARGEST_ANSWER", 1000)
    text = "Subject: x\n\n{% for a in range(99) %}{% for b in range(99) %}{{ b }}{% endfor %}{% endfor %}"
    with pytest.raises(UsageError, match="writes more than 64 MiB"):
        render(TemplateSource("t", text), facts_of(notice(), [], HOST, 0.0))


def test_files_that_are_no_templates(tmp_path):
    (tmp_path / "en").mkdir()
    path = tmp_path / "en" / "receipt.txt"

    def refused():
        with pytest.raises(UsageError) as caught:
            source_of(str(tmp_path), "en", "receipt")
        return str(caught.value)

    path.write_bytes(b"Subject: x\n\n\xff")
    assert "is not UTF-8 at byte 12" in refused()
    path.write_bytes(b" " * (256 * 1024 + 1))
    assert "more than 256 KiB" in refused()
    path.unlink()
    os.mkfifo(path)
    assert "is not a regular file" in refused()
    path.unlink()
    path.mkdir()
    assert "is not a regular file" in refused()
