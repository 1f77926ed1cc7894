"""hashscan.jobs.report_xarf: matches in place, without a catalog, notices or a quarantine."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import QuarantineError, UsageError
from hashscan.jobs import report_xarf
from hashscan.jobs.report_xarf import WantedReports, abuses
from hashscan.notices.sites.location import UndecidedError


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
