"""Defaults, what a command needs, what has no effect, and single values."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from hashscan.config import (
    values,
)
from hashscan.config.explain import notes, retention, summary
from hashscan.config.loader import load, validate
from hashscan.config.parsing import Document
from hashscan.config.settings import (
    Settings,
    require_filter,
    require_organisation,
    require_service,
    require_volumes,
)
from hashscan.errors import ConfigError
from hashscan.text import local_time

LOCAL = {"kind": "local", "known": ["/list"]}


def test_settings_cannot_be_changed():
    settings = Settings.of(volumes=[{"path": "/srv"}])
    for change in (
        lambda: setattr(settings, "state", "/x"),
        lambda: setattr(settings.volumes[0], "path", "/x"),
    ):
        with pytest.raises(ValidationError):
            change()


@pytest.mark.parametrize("text", ["no", "false", "0", 0])
def test_a_switch_is_true_or_false_and_no_text(text):
    with pytest.raises(ValidationError, match="valid boolean"):
        Settings.of(volumes=[{"path": "/srv", "one_file_system": text}])


def test_what_a_command_needs_and_how_to_mend_it():
    nothing = Settings.of()
    for require, words in (
        (require_volumes, "name a PATH for `hashscan scan`"),
        (require_service, "--known FILE"),
        (require_filter, "URL of a repository"),
    ):
        with pytest.raises(ConfigError, match=words) as raised:
            require(nothing, "/etc/x.yaml")
        assert raised.value.findings[0].where.startswith("/etc/x.yaml: ")
    settings = Settings.of(volumes=[{"path": "/srv"}], service=LOCAL, filter={"source": "/f"})
    assert require_volumes(settings)[0].path == "/srv"
    assert require_service(settings).known == ("/list",)
    assert require_filter(settings) == "/f"
    repository = Settings.of(filter={"source": "https://x/", "root": "/r"})
    assert require_filter(repository) == "https://x/"


def test_what_is_set_without_effect_is_told(write, whole, files):
    told = [note.partition(":")[0] for note in notes(load(write(whole)))]
    assert told == [
        "filter.root",
    ]
    text = whole.replace("test: false", "test: true").replace(
        "known: []", f"known: [{files['known.txt']}]"
    )
    text = text.replace(files["baseline.filter"], "https://filters.example")
    told = [note.partition(":")[0] for note in notes(load(write(text)))]
    assert told == ["service.known", "quarantine.action"]
    given = {
        "service": {"url": "https://x", "username": "u", "test": True},
        "filter": {"source": "/f"},
        "notices": {"action": "quarantine"},
    }
    told = notes(Settings.of(**given))
    assert told == ["notices.action: no file is moved while service.test is true"]


def test_no_note_where_all_that_is_set_has_an_effect():
    assert notes(Settings.of()) == []
    effective = Settings.of(
        state="/s",
        volumes=[{"path": "/srv", "watch": "inotify", "exclude": ["a"], "one_file_system": False}],
        service=LOCAL,
        filter={"source": "/f", "max_age": "1d"},
        scan={
            "jobs": 2,
            "schedule": "1 1 * * *",
            "max_files": 9,
            "max_rate": "1M",
            "max_file_size": "1G",
            "pause_above_io_pressure": "1%",
        },
        quarantine={"action": "quarantine", "directory": "/q", "retention": "1d"},
    )
    assert notes(effective) == []


def test_local_says_what_of_the_service_it_does_not_use():
    remote = {
        "url": "https://x",
        "username": "u",
        "password_file": "/p",
        "timeout": 3,
        "test": True,
    }
    told = notes(Settings.of(service=LOCAL | remote))
    assert [note.partition(":")[0] for note in told] == [f"service.{name}" for name in remote]


def test_a_remote_service_says_that_it_does_not_use_categories():
    chosen = {"only_categories": ["vics-2", "Cat. B (free text)"]}
    assert notes(Settings.of(service=LOCAL | chosen)) == []
    remote = {"url": "https://x", "username": "u"} | chosen
    (note,) = notes(Settings.of(service=remote, filter={"source": "/f"}))
    assert note == "service.only_categories: has no effect with kind hashcheckservice"


def test_the_summary_says_who_is_asked_and_shows_names_safely():
    told = dict(summary(Settings.of(volumes=[{"path": "/a\nb"}], service=LOCAL)))
    assert told["volumes"] == "/a\\nb"
    assert told["service"] == "local: /list"
    assert told["filter"] == "made from the lists"
    remote = {"url": "https://x", "username": "u", "test": True}
    told = dict(summary(Settings.of(service=remote, filter={"source": "/f"})))
    assert told["service"] == "https://x as u (test)"
    assert told["filter"] == "/f, not older than 7d"


def test_every_setting_is_explained():
    from hashscan.config.messages import models_of

    def walk(model):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.examples or not field.is_required(), name
            for inner in models_of(field.annotation):
                walk(inner)

    walk(Settings)


@given(st.integers(1, 3660 * 86400 * 1000))
def test_durations_are_shown_as_they_are_read(milliseconds):
    seconds = milliseconds / 1000
    assert values.duration(values.human_duration(seconds)) == seconds


@given(st.integers(1, values.LARGEST) | st.integers(1, 1 << 13).map(lambda n: n << 40))
def test_sizes_are_shown_as_they_are_read(count):
    assert values.size(values.shown_size(count)) == count


@given(st.integers(1, 10000))
def test_shares_are_shown_as_they_are_read(hundredths):
    share = values.percent(f"{hundredths // 100}.{hundredths % 100:02}%")
    assert 0 < share <= 1
    assert values.percent(values.human_percent(share)) == share


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("10s", 10.0), ("5m", 300.0), ("7d", 604800.0), (90, 90.0), (0.5, 0.5), ("250ms", 0.25)],
)
def test_durations(given, seconds):
    assert values.duration(given) == seconds


@pytest.mark.parametrize(
    ("given", "count"), [("50MiB", 50 << 20), ("1.5K", 1536), (7, 7), ("2GB", 2 * 10**9)]
)
def test_sizes(given, count):
    assert values.size(given) == count


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90d", 90 * 86400), ("12h", 43200), ("30min", 1800), ("2w", 14 * 86400), (" 1.5 d ", 129600)],
)
def test_what_cannot_be_undone_has_a_unit(given, seconds):
    assert values.exact_duration(given) == seconds
    assert values.exact_duration(values.human_retention(seconds)) == seconds


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (30, "has no unit"),
        (2.5, "has no unit"),
        (True, "has no unit"),
        ("30", "has no unit"),
        ("1.5", "has no unit"),
        (" 7 ", "has no unit"),
        ("7m", "minutes or as months"),
        ("7 m", "minutes or as months"),
        ("0.5m", "minutes or as months"),
        ("3mo", "not a duration"),
        ("6M", "not a duration"),
        ("1y", "not a duration"),
        ("3 months", "not a duration"),
        ("30 days", "not a duration"),
        ("", "not a duration"),
        ("d", "not a duration"),
        ("-30d", "not a duration"),
        ("1e9d", "not a duration"),
        ("\u0663\u0660d", "not a duration"),
        ("9999d", "not a sensible"),
        ("9" * 50 + "d", "not a sensible"),
        ("0d", "not a sensible"),
        (None, "not a duration"),
    ],
)
def test_what_cannot_be_undone_is_not_guessed(given, what):
    with pytest.raises(PydanticCustomError) as caught:
        values.exact_duration(given)
    assert what in caught.value.message()


def test_retention_is_shown_with_the_date_that_follows():
    assert "kept until" in retention(None)
    before = local_time(time.time() - 1800)
    assert retention(1800.0) == f"30min: contents quarantined before {before} are removed for good"
    told = dict(summary(Settings.of(quarantine={"retention": "90d"})))
    assert told["retention"].startswith("90d: contents quarantined before 2")


def test_a_path_is_as_long_as_the_kernel_takes_it():
    assert values.absolute_path("/" + "x" * 4094) == "/" + "x" * 4094
    for longer in ("/" + "x" * 4095, "/" + "ä" * 2048):
        with pytest.raises(ValueError, match="longer than a path can be"):
            values.absolute_path(longer)


def test_the_summary_names_where_the_metrics_are():
    section = {"listen": "127.0.0.1:9464", "textfile": "/n/hashscan.prom"}
    told = dict(summary(Settings.of(metrics=section)))
    assert told["metrics"] == "http://127.0.0.1:9464/metrics, /n/hashscan.prom"
    assert "metrics" not in dict(summary(Settings.of()))


def test_an_error_shows_no_value():
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"service": {"kind": "web", "usrname": "hidden-words"}})
    assert "usrname" in str(caught.value)
    assert "hidden-words" not in str(caught.value)


def test_who_answers_must_be_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        require_organisation(validate(Document(data={"state": str(tmp_path)})), "answer")
    assert "answer: notices.organisation" in str(caught.value)
    assert "no organisation is named that answers notices" in str(caught.value)
    organisation = {"name": "Host BV", "contact": "abuse@host.example", "domain": "host.example"}
    given = validate(
        Document(data={"state": str(tmp_path), "notices": {"organisation": organisation}})
    )
    assert require_organisation(given).name == "Host BV"
