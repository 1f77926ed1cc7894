"""The link checker as SCART's add-ons call it, by their form or by ours."""

import os
import threading
from urllib.parse import quote

import notice_machine
import pytest
import requests

from hashscan.config.settings import Settings
from hashscan.notices.notice import ItemFile, Role
from hashscan.notices.online import REASONS
from hashscan.notices.store import NoticeStore
from hashscan.service.intake.links import LinkOptions

PATH = "/api/v1/online"
HERE, AWAY, OTHER = (f"http://a.example/{name}?x=1&y=2" for name in ("here", "away", "other"))


@pytest.fixture
def serve_links(tmp_path, run_in):
    """Runs the intake with a site: one file is there, one was removed."""
    root = tmp_path / "www"
    root.mkdir()
    (root / "here").write_bytes(b"x")
    sites = Settings.of(sites=[{"host": "a.example", "root": str(root)}]).sites

    def start(**options):
        return run_in(tmp_path, sites=sites, links=LinkOptions(**options))

    def notice(one):
        identifier = one.post({"urls": f"{HERE}\n{AWAY}"}).json()["data"]["id"]
        with NoticeStore(one.state.notices) as store:
            for item, name in zip(store.items(identifier), (b"here", b"away"), strict=True):
                store.put_file(ItemFile(item.number, Role.NAMED, os.fsencode(root), name, away=1.0))
        return one

    start.notice = notice
    return start


def ask(one, url, *, path=PATH, parameter="url", token=True, **headers):
    if token:
        headers["Authorization"] = f"Bearer {one.token}"
    return requests.get(
        f"{one.url}{path}?{parameter}={quote(url, safe='')}", headers=headers, timeout=60
    )


def told(answer):
    return answer.status_code, answer.text


def test_the_answers_in_words(serve_links):
    with serve_links() as one:
        serve_links.notice(one)
        assert told(ask(one, HERE)) == (200, "online")
        assert told(ask(one, AWAY)) == (200, "offline")
        assert told(ask(one, OTHER)) == (202, "unknown")
        assert told(ask(one, "http://elsewhere.test/")) == (202, "unknown")
        assert ask(one, AWAY).headers["Content-Type"].startswith("text/plain")
        assert ask(one, AWAY).headers["Cache-Control"] == "no-store"


def test_the_answers_in_json(serve_links):
    with serve_links() as one:
        serve_links.notice(one)
        found = [ask(one, url, Accept="application/json") for url in (HERE, AWAY, OTHER)]
        assert [one.json()["data"] for one in found] == [
            {"state": "online", "online": True, "reason": "file", "removed": None},
            {"state": "offline", "online": False, "reason": "removed", "removed": None},
            {"state": "unknown", "online": None, "reason": "never-here", "removed": None},
        ]


def test_an_empty_body_except_for_offline(serve_links):
    """Errors, too: another body would be taken for offline."""
    with serve_links(empty=True, path="/cgi-bin/zapi.cgi", parameter="check") as one:
        serve_links.notice(one)

        def asked(url, **options):
            return ask(one, url, path="/cgi-bin/zapi.cgi", parameter="check", **options)

        assert told(asked(HERE)) == (200, "")
        assert told(asked(AWAY)) == (200, "offline")
        assert told(asked(OTHER, Accept="application/json")) == (202, "")
        assert told(asked("no url")) == (422, "")
        assert told(asked(AWAY, token=False)) == (401, "")
        assert ask(one, HERE).status_code == 404


def test_clients_without_a_token(serve_links, monkeypatch):
    monkeypatch.setattr("hashscan.service.intake.links._STRANGERS_BURST", 3.0)
    monkeypatch.setattr("hashscan.service.intake.links._STRANGERS_RATE", 0.01)
    with serve_links(without_token=True) as one:
        serve_links.notice(one)
        found = ask(one, AWAY, token=False, Accept="application/json")
        assert found.json() == {"data": {"state": "offline", "online": False}}
        wrong = requests.get(
            f"{one.url}{PATH}?url=x", headers={"Authorization": "Bearer x"}, timeout=60
        )
        assert wrong.status_code == 401
        answers = [ask(one, HERE, token=False) for _ in range(4)]
        assert answers[0].text == "online"
        assert (answers[-1].status_code, "Retry-After" in answers[-1].headers) == (429, True)
        assert ask(one, HERE).text == "online", "a sender has a rate of its own"
        assert requests.post(one.url + "/api/v1/reports", timeout=60).status_code == 401


@pytest.mark.parametrize(
    "query",
    ["", "url=", "url=x", f"url={HERE}", f"url={quote(HERE)}&url={quote(HERE)}", f"u={quote(HERE)}",
     "url=" + "http://a/" + "x" * 9000, "&".join(["a=b"] * 60), "url=http://a%00/"],
)  # fmt: skip
def test_what_is_no_url_is_an_error_and_not_offline(query, intake, scart_reads):
    """The third has a part of its own query outside."""
    answer = requests.get(
        f"{intake.url}{PATH}?{query}",
        headers={"Authorization": f"Bearer {intake.token}"},
        timeout=60,
    )
    assert (answer.status_code, scart_reads(answer)) == (422, None)
    assert "offline" not in answer.text


@pytest.mark.parametrize(
    "url", ["http://a.example/%C3%A9", "http://a.example/\u00e9", "hxxp://a[.]example/é"]
)
def test_spellings_of_a_url_have_one_answer(url, serve_links, tmp_path):
    with serve_links() as one:
        (tmp_path / "www" / "\u00e9").touch()
        assert ask(one, url).text == "online"


def test_no_reason_has_the_word_that_a_client_may_search():
    for reason, text in REASONS.items():
        assert "offline" not in reason + text


@pytest.mark.parametrize("fault", ["slow", "error", "bug"])
def test_a_check_that_does_not_end_is_not_offline(fault, serve_links, monkeypatch, scart_reads):
    from hashscan.errors import StateError

    go = threading.Event()

    def failing(*_, **__):
        if fault == "slow":
            go.wait(20)
        raise StateError("/secret: damaged") if fault == "error" else RuntimeError

    monkeypatch.setattr("hashscan.service.intake.links.check", failing)
    monkeypatch.setattr("hashscan.service.intake.links._PATIENCE", 0.1)
    with serve_links() as one:
        answer = ask(one, AWAY)
        if fault == "bug":
            assert (answer.status_code, scart_reads(answer)) == (500, None)
        else:
            assert told(answer) == (202, "unknown")
        assert ("a link was not checked: /secret: damaged" in one.said) == (fault == "error")
        go.set()


def test_many_checks_that_hang_delay_no_report(serve_links, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr("hashscan.service.intake.links.check", lambda *_, **__: go.wait(20))
    monkeypatch.setattr("hashscan.service.intake.links._PATIENCE", 0.3)
    monkeypatch.setattr("hashscan.service.intake.links._WAITING", 3)
    with serve_links() as one:
        found = []
        threads = [
            threading.Thread(
                target=lambda: found.append(ask(one, AWAY, Accept="application/json").json())
            )
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        assert one.post({"urls": HERE}).status_code == 201
        for thread in threads:
            thread.join()
        go.set()
        assert {one["data"]["state"] for one in found} == {"unknown"}
        assert {one["data"]["reason"] for one in found} == {"slow", "busy"}


def test_the_audit_has_the_answer_and_no_url(serve_links):
    import contextlib
    import sqlite3

    from hashscan.service.intake.serve import data_of

    with serve_links() as one:
        ask(one, OTHER)
    path = data_of(one.state).path("audit.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as found:
        rows = found.execute("SELECT user, request, outcome FROM request").fetchall()
    assert rows == [("hotline", f"GET {PATH}", "unknown")]


def test_from_the_report_to_the_removal_and_back(tmp_path, run_in):
    """By the rounds of the agent: nothing but them says that a file is away."""
    machine = notice_machine.Machine(tmp_path, action="report")
    url = "https://x.example/a/1.jpg"
    content = machine.file("a/1.jpg")
    machine.file("a/2.jpg")
    with run_in(tmp_path, sites=machine.settings.sites) as one:
        assert told(ask(one, url)) == (200, "online")
        notice = one.post({"urls": url}).json()["data"]["id"]
        machine.round()
        assert machine.states(notice) == ["located"]
        assert told(ask(one, url)) == (200, "online")
        (machine.site / "a/1.jpg").rename(tmp_path / "aside")
        assert told(ask(one, url)) == (202, "unknown"), "no round has seen it away"
        (tmp_path / "aside").rename(machine.site / "a/1.jpg")
        machine.use(action="quarantine")
        machine.round()
        assert machine.states(notice) == ["removed"]
        assert told(ask(one, url)) == (200, "offline")
        machine.file("a/1.jpg", content)
        assert told(ask(one, url)) == (200, "online")
        machine.round()
        assert machine.states(notice) == ["received"]
        machine.round()
        assert machine.states(notice) == ["removed"]
        assert told(ask(one, url)) == (200, "offline")
        (machine.site / "a/2.jpg").unlink()
        assert told(ask(one, "https://x.example/a/2.jpg")) == (202, "unknown"), "never noticed"
    machine.close()
