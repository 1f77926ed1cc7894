"""hashscan.jobs.report_xarf: matches in place, without a catalog, notices or a quarantine."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import QuarantineError, UsageError
from hashscan.jobs import (
    report_xarf,
)
from hashscan.jobs.report_xarf import NotReported, WantedReports, abuses
from hashscan.notices.notice import ItemKind, ItemState, Role
from hashscan.notices.sites.location import UndecidedError
from hashscan.quarantine.records import AWAY


@pytest.fixture
def sites(monkeypatch):
    """The answers for the matches ``/v/a`` and ``/v/b``, which a scan found."""
    answers = {b"/v/a": "http://a.example/", b"/v/b": None}

    def url_of(path, *, moved):
        assert moved is False
        if isinstance(answers[path], Exception):
            raise answers[path]
        return answers[path]

    def matches(_catalog, since, until):
        return [
            SimpleNamespace(path=path, category="c", found=5.0, digests={"sha1": "ab"})
            for path in answers
            if since <= 5.0 < until
        ]

    monkeypatch.setattr(report_xarf, "Sites", lambda _sites: SimpleNamespace(url_of=url_of))
    monkeypatch.setattr(report_xarf, "matches_in_place", matches)
    return answers


@pytest.fixture
def settings(tmp_path):
    return Settings.of(state=str(tmp_path / "state"))


def test_a_site_that_cannot_be_decided_gives_no_url(sites, settings):
    sites[b"/v/b"] = UndecidedError("a macro is used")
    first, second = abuses(settings, WantedReports(0.0, 9.0))
    assert (first.url, second.url) == ("http://a.example/", None)
    assert first.key == "match /v/a [('sha1', 'ab')]"
    assert (first.categories, first.when, first.removed) == (("c",), 5.0, False)
    assert list(abuses(settings, WantedReports(0.0, 5.0))) == []


def test_a_notice_that_nobody_stored_is_an_error(settings):
    with pytest.raises(UsageError, match="no notice was ever stored"):
        list(abuses(settings, WantedReports(0.0, 9.0, ("N1",))))


def test_a_quarantine_that_cannot_be_read_is_an_error(sites, settings, monkeypatch):
    def refused(*_a, **_k):
        raise QuarantineError("others can write to it", reason="unsafe")

    monkeypatch.setattr(report_xarf.Store, "open", refused)
    with pytest.raises(QuarantineError, match="others can write"):
        list(abuses(settings, WantedReports(0.0, 9.0)))


@pytest.fixture
def found():
    """The finder of what to report; ``record``: what the quarantine has of the file."""
    one = object.__new__(report_xarf._Found)
    one.record = None

    def load(_number):
        if isinstance(one.record, Exception):
            raise one.record
        return one.record

    one._wanted, one._reported, one._store = (
        WantedReports(0.0, 9.0),
        set(),
        SimpleNamespace(load=load),
    )
    one._url_of = lambda path, *, moved: f"url of {path.decode()} {moved}"
    return one


def named(role=Role.NAMED, **facts):
    given = {"category": "c", "quarantine_id": None, "away": None, "digests": (), **facts}
    return SimpleNamespace(role=role, volume=b"/v", path=b"a", **given)


def of_item(found, *files, state=ItemState.LOCATED, kind=ItemKind.URL):
    parsed = SimpleNamespace(
        kind=kind, value="http://x.example/a", ip="192.0.2.1", classification="k", digests=()
    )
    item = SimpleNamespace(number=3, state=state, parsed=parsed)
    return list(found._of_item(SimpleNamespace(received=5.0), item, list(files)))


def test_a_named_file_is_reported_with_its_url(found):
    (one,) = of_item(found, named())
    assert (one.key, one.name, one.url) == ("item 3 /v/a", *["http://x.example/a"] * 2)
    assert (one.source, one.categories, one.method) == ("192.0.2.1", ("c", "k"), "hash_match")
    assert (one.when, one.removed) == (5.0, False)
    assert of_item(found, named()) == [], "each path once"


def test_a_copy_and_a_path_have_the_url_of_their_site(found):
    (one,) = of_item(found, named(Role.COPY, away=1.0))
    assert (one.name, one.url, one.removed) == ("/v/a", "url of /v/a True", True)
    found._reported.clear()
    (one,) = of_item(found, named(), kind=ItemKind.PATH)
    assert one.url == "url of /v/a False"


def test_what_no_list_knows_is_reported_once_it_is_removed(found):
    assert of_item(found, named(category=None)) == []
    (one,) = of_item(found, named(category=None), state=ItemState.REMOVED)
    assert one.method == "user_report"
    found._reported.clear()
    assert of_item(found, named(Role.PART)) == []


def test_a_file_in_quarantine_is_that_of_its_record(found):
    found.record = SimpleNamespace(id="r1", state=next(iter(AWAY)))
    (one,) = of_item(found, named(quarantine_id="r1"))
    assert one.removed
    assert found._reported == {b"/v/a", "r1"}
    found._reported = {"r1"}
    assert of_item(found, named(quarantine_id="r1")) == []
    found._reported.clear()
    found.record.state = "restored"
    assert of_item(found, named(quarantine_id="r1")) == []
    found.record = QuarantineError("its record is damaged", reason="damaged")
    assert of_item(found, named(quarantine_id="r1")) == [
        NotReported("http://x.example/a", "its record is damaged")
    ]


def test_records_of_the_period_that_no_notice_made(found, monkeypatch):
    digests = SimpleNamespace(as_dict=lambda: {"sha1": "ab"})

    def listed(number, **facts):
        record = SimpleNamespace(
            **{
                "id": number, "state": next(iter(AWAY)), "authority": None, "category": "c",
                "origin": SimpleNamespace(full_path=b"/v/" + number.encode()),
                "digests": digests, "expected": {"md5": "cd"}, "detected": "1970-01-01T00:00:05Z",
                **facts,
            }
        )  # fmt: skip
        return SimpleNamespace(record=record, record_id=number, trouble="")

    all_of_them = [
        SimpleNamespace(record=None, record_id="damaged", trouble="it cannot be read"),
        listed("first"), listed("bare", digests=None), listed("back", state="restored"),
        listed("late", detected="1970-01-01T00:00:09Z"), listed("odd", detected="yesterday"),
        listed("named", authority=SimpleNamespace(kind="notice")),
        listed("ordered", authority=SimpleNamespace(kind="order")), listed("told"),
    ]  # fmt: skip
    monkeypatch.setattr(report_xarf, "records", lambda _store: all_of_them)
    found._reported.add("told")
    damaged, *others = found._of_records()
    assert damaged == NotReported("damaged", "it cannot be read")
    assert [one.key for one in others] == ["record first", "record bare", "record ordered"]
    assert [one.digests for one in others[:2]] == [{"sha1": "ab"}, {"md5": "cd"}]
    assert (others[0].url, others[0].removed, others[0].when) == ("url of /v/first True", True, 5.0)
    assert found._reported == {"told", b"/v/first", b"/v/bare", b"/v/ordered"}
    found._store = None
    assert list(found._of_records()) == []
