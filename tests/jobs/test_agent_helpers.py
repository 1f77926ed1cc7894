"""Where filters come from, and what status says of a configuration and of files that it cannot read."""

import errno
import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import (
    ConfigError,
    FilterError,
    QuarantineError,
    StateError,
    UsageError,
)
from hashscan.jobs import (
    known_set,
    status,
)
from hashscan.quarantine.summary import Briefed

URL = "https://filters.example/"


def settings_of(tmp_path, **sections):
    return Settings.of(state=str(tmp_path / "state"), **sections)


def thrown(error):
    def throw(*_a, **_k):
        raise error

    return throw


# syncing


@pytest.fixture
def repository(tmp_path):
    return settings_of(
        tmp_path, filter={"source": URL, "root": str(tmp_path / "r"), "categories": ["a", "b"]}
    )


# known_set


@pytest.fixture
def service(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)

    def settings(**more):
        given = {
            "kind": "hashcheckservice", "url": "https://hcs.example", "username": "u",
            "password_file": str(tmp_path / "password"), **more,
        }  # fmt: skip
        sections = {
            "service": given, "filter": {"source": "/f.filter"},
            "quarantine": {"action": "quarantine"},
        }  # fmt: skip
        return settings_of(tmp_path, **sections)

    return settings


@pytest.mark.parametrize("test", [False, True])
def test_the_known_set_of_a_service(service, monkeypatch, test):
    monkeypatch.setattr(known_set, "open_configured", lambda *_: ("filter",))
    given = service(test=test)
    opened = known_set._open_known_set(given, None, (), print, nullcontext, only_categories=())
    assert (opened.filters, opened.remote, opened.test) == (("filter",), True, test)
    assert opened.service.startswith("https://hcs.example")
    assert opened.service.endswith(" (test)") is test, "verdicts of a test are not the service's"
    confirmer = opened.make_confirmer()
    confirmer.close()
    with pytest.raises(UsageError, match="--only-category chooses from digest lists"):
        known_set._open_known_set(given, None, (), print, nullcontext, only_categories=["a"])


def test_a_service_without_a_password_is_reported_when_it_is_opened(service, tmp_path, monkeypatch):
    monkeypatch.setattr(known_set, "open_configured", lambda *_: ())
    given = service()
    (tmp_path / "password").unlink()
    with pytest.raises(ConfigError):
        known_set._open_known_set(given, None, (), print, nullcontext, only_categories=())


def test_the_files_of_a_known_set(tmp_path, repository):
    assert known_set.files_of(settings_of(tmp_path)) == []
    assert known_set.files_of(repository) == []
    local = {"kind": "local", "known": ["/a", "/b"]}
    settings = settings_of(tmp_path, service=local, filter={"source": "/f.filter"})
    found = known_set.files_of(settings)
    assert found[:3] == ["/a", "/b", "/f.filter"]
    assert len(found) == 3 + len(known_set.TIER_NAMES)


# status


def test_where_the_filters_come_from(tmp_path, repository, monkeypatch):
    assert status.filters_of(settings_of(tmp_path), None) == (
        "none is configured: give digest lists with --known",
        (),
    )
    (tmp_path / "l").touch()
    local = {"kind": "local", "known": [str(tmp_path / "l"), str(tmp_path / "none")]}
    words, found = status.filters_of(settings_of(tmp_path, service=local), None)
    assert words == "made from the lists of service.known"
    (one,) = found
    assert one.name == str(tmp_path / "none")
    assert one.trouble

    def open_kept(source, _directory, *, max_age):
        (category,) = source.categories
        if category == "b":
            raise FilterError("b is too old")
        return [SimpleNamespace(loaded="filter a", verified=5.0)]

    monkeypatch.setattr(status, "open_kept", open_kept)
    monkeypatch.setattr(status, "_filter", lambda *given: given)
    words, found = status.filters_of(repository, SimpleNamespace(filters="d"))
    assert words == URL
    assert found[0] == ("a", "filter a", 5.0)
    assert (found[1].name, found[1].trouble) == ("b", "b is too old")


def test_records_are_counted_by_state(tmp_path, monkeypatch):
    directory = str(tmp_path / "quarantine")
    assert status.quarantine_counts(directory, None) == {}
    assert not os.path.exists(directory)
    (tmp_path / "quarantine").write_bytes(b"")
    with pytest.raises(QuarantineError):
        status.quarantine_counts(directory, None)
    os.unlink(directory)
    os.mkdir(directory, 0o700)
    listed = [
        Briefed("1", SimpleNamespace(word="quarantined")),
        Briefed("2", SimpleNamespace(word="quarantined")),
        Briefed("3", SimpleNamespace(word="restored")),
        Briefed("4", None, "damaged"),
    ]
    monkeypatch.setattr(status, "briefs", lambda _store: listed)
    ages = iter(["old", "doubtful", None])
    monkeypatch.setattr(status, "passed", lambda *_: next(ages))
    counts = {"quarantined": 2, "restored": 1, "damaged": 1}
    assert dict(status.quarantine_counts(directory, None)) == counts
    found = status.quarantine_counts(directory, 5.0)
    assert found.pop(status._DOUBTFUL) == 1
    assert dict(found) == counts


def test_why_matches_are_only_reported(tmp_path, service):
    assert status.reports_only(service()) == ""
    assert status.reports_only(service(test=True)) == "service.test is true"
    report = settings_of(tmp_path, quarantine={"action": "report"})
    assert status.reports_only(report) == "quarantine.action is 'report'"


def test_a_limit_of_this_process_is_no_trouble_of_the_state():
    error = StateError("the catalog cannot be read")
    assert status._trouble_of(error).message == "the catalog cannot be read"
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(StateError):
        status._trouble_of(error)


def test_a_configuration_that_a_start_would_refuse(tmp_path):
    assert status._refusals(settings_of(tmp_path)) == ()
    config = tmp_path / "config.yaml"
    config.write_text("volumes: 5\nscan: 6\n")
    config.chmod(0o600)
    settings = settings_of(tmp_path).read_from(str(config))
    found = status._refusals(settings)
    assert len(found) == 2
    assert "volumes" in found[0]
    config.write_text("volumes: []\n")
    assert status._refusals(settings) == ()


# reporting


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("overview", StateError("damaged")),
        ("deadlines_of", StateError("damaged")),
        ("running_intake", UsageError("damaged")),
        ("receiver_states", StateError("damaged")),
        ("waiting_holds", StateError("damaged")),
        ("quarantine_counts", QuarantineError("damaged", reason="damaged")),
    ],
)
def test_status_says_which_of_its_files_cannot_be_read(tmp_path, monkeypatch, name, error):
    settings = settings_of(tmp_path)
    (tmp_path / "state").mkdir(mode=0o700)
    first = status.status_of(settings)
    before = [one.message for one in first.trouble]
    assert "damaged" not in before
    monkeypatch.setattr(status, name, thrown(error))
    found = status.status_of(settings)
    assert sorted(one.message for one in found.trouble) == sorted([*before, "damaged"])
    told = {one.message for one in found.uncovered}
    assert not any("wall clock" in one or one.startswith("quarantine:") for one in told)
