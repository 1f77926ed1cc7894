"""hashscan.jobs.doctor: the checks one by one; what they look at is the test's."""

import os
from collections import Counter
from types import SimpleNamespace

import pytest
from faulty import raising

from hashscan.config.settings import Settings
from hashscan.errors import (
    CredentialsError,
    ExitCode,
    HashscanError,
    ServiceError,
    ServiceRefusedError,
    ServiceUnavailableError,
)
from hashscan.jobs import doctor
from hashscan.jobs.doctor import Check
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Identity


@pytest.fixture
def settings(tmp_path):
    def make(**sections):
        return Settings.of(state=str(tmp_path / "state"), **sections)

    return make


def results(checks):
    return [(one.name, one.result) for one in checks]


def test_a_check_that_fails_is_reported_and_the_others_follow(settings, monkeypatch):
    def failing(*_):
        yield Check("some", "ok", "well")
        raise HashscanError("damaged")

    monkeypatch.setattr(doctor, "check_all", list)
    names = ("_trust", "_volumes", "_watch", "_filters", "_service", "_state", "_quarantine",
             "_notices", "_sites", "_receivers", "_kernel", "_priority")  # fmt: skip
    for name in names:
        monkeypatch.setattr(doctor, name, lambda *_, name=name: iter([Check(name, "ok", "")]))
    monkeypatch.setattr(doctor, "_watch", failing)
    monkeypatch.setattr(doctor, "_kernel", raising(5))
    found = list(doctor.examine(settings()))
    assert [one.name for one in found] == [
        "_trust", "_volumes", "some", "watch", "_filters", "_service", "_state", "_quarantine",
        "_notices", "_sites", "_receivers", "kernel", "_priority",
    ]  # fmt: skip
    failed = [(one.name, one.message, one.code) for one in found if one.result == "fail"]
    assert failed[0] == ("watch", "damaged", ExitCode.USAGE)
    assert failed[1][0] == "kernel"
    assert "Input/output error" in failed[1][1]
    assert len(failed) == 2


@pytest.mark.parametrize(("action", "result"), [("report", "note"), ("quarantine", "fail")])
def test_a_file_that_others_can_change_is_a_failure_if_files_move(
    settings, monkeypatch, action, result
):
    found = [(("allow", 0), "others can change it", "chmod"), ((), "writable", "chmod o-w")]
    monkeypatch.setattr(doctor, "faults", lambda _settings: found)
    given = settings(quarantine={"action": action})
    first, second = doctor._trust(given)
    assert first == Check("allow[0]", result, "others can change it", "chmod")
    assert (second.name, second.result) == ("configuration ", result)
    found.clear()
    assert results(doctor._trust(given)) == [("trust", "ok")]


def test_what_a_volume_lacks(settings, monkeypatch):
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 0)
    paths = ("/ok", "/link", "/no", "/away")
    seen = [
        Seen(b"/ok", None), Seen(b"/link", "a link", refused=True, number=13),
        Seen(b"/no", "not there", number=2), Seen(b"/away", "no answer"),
    ]  # fmt: skip
    found = list(doctor._volumes(settings(volumes=[{"path": one} for one in paths]), seen))
    assert results(found) == [
        ("volume /ok", "ok"), ("volume /link", "fail"), ("volume /no", "fail"),
        ("volume /away", "fail"),
    ]  # fmt: skip
    assert [one.fix.partition(" and ")[0] for one in found] == [
        "", "", "see the path", "see its mount",
    ]  # fmt: skip
    assert results(doctor._volumes(settings(), [])) == [("volumes", "fail")]
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 1000)
    assert results(doctor._volumes(settings(volumes=[{"path": "/ok"}]), seen[:1])) == [
        ("volume /ok", "ok"), ("rights", "note"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("watch", "backend", "result"),
    [("auto", "inotify", "ok"), ("fanotify", "fanotify", "ok"), ("fanotify", "inotify", "note")],
)
@pytest.mark.parametrize("kind", [b"ext4", b"nfs4"])
def test_how_volumes_are_watched(settings, monkeypatch, watch, backend, result, kind):
    chosen = []

    def choose(volumes, asked):
        chosen.append((volumes, asked))
        return [SimpleNamespace(backend=backend, why="so")]

    monkeypatch.setattr(doctor, "choose", choose)
    monkeypatch.setattr(doctor, "mounts_now", lambda: SimpleNamespace(kind=lambda _root: kind))
    monkeypatch.setattr(doctor, "_watches", lambda _s: iter([Check("inotify watches", "ok", "")]))
    volumes = [{"path": "/away"}, {"path": "/v", "watch": watch, "exclude": ["x"]}]
    seen = [Seen(b"/away", "no answer"), Seen(b"/real", None)]
    first, *others = doctor._watch(settings(volumes=volumes), seen)
    assert (first.name, first.result, first.message) == (
        "watch /v", result, f"will be {backend}: so",
    )  # fmt: skip
    assert bool(first.fix) == (result == "note")
    ((volume,), asked) = chosen[0]
    assert (volume.root, volume.exclude, asked) == (b"/real", ("x",), [watch])
    told = [one.result for one in others]
    assert told == ["note"] * (kind == b"nfs4") + ["ok"] * (backend == "inotify")


@pytest.mark.parametrize(
    ("known", "result", "wanted"),
    [
        (None, "note", None), (800, "ok", None), (801, "note", 524288), (1000, "note", 524288),
        (1001, "fail", 524288),
    ],
)  # fmt: skip
def test_directories_and_the_limit_of_watches(
    settings, monkeypatch, tmp_path, known, result, wanted
):
    (tmp_path / "limit").write_text("1000\n")
    monkeypatch.setattr(doctor, "_WATCHES", str(tmp_path / "limit"))
    monkeypatch.setattr(doctor, "directories_known", lambda _catalog: known)
    (found,) = doctor._watches(settings())
    assert (found.name, found.result) == ("inotify watches", result)
    assert (f"max_user_watches={wanted}," in found.fix) == (wanted is not None)
    if result == "fail":
        assert found.code == ExitCode.UNREADABLE


def test_twice_as_many_watches_as_directories_are_proposed(settings, monkeypatch, tmp_path):
    (tmp_path / "limit").write_text("1000\n")
    monkeypatch.setattr(doctor, "_WATCHES", str(tmp_path / "limit"))
    monkeypatch.setattr(doctor, "directories_known", lambda _catalog: 300_000)
    (found,) = doctor._watches(settings())
    assert "max_user_watches=600000," in found.fix


def test_filters_and_their_tiers(settings, monkeypatch):
    def one(name, trouble=None, unused=(), tiers=()):
        return SimpleNamespace(
            name=name, trouble=trouble, tiers_unused=unused, tiers=tiers, digests=1234
        )

    some = [one("a", "damaged"), one("b", unused=("x", "y")), one("c", tiers=("sizes", "heads")),
            one("d")]  # fmt: skip
    monkeypatch.setattr(doctor, "filters_of", lambda *_: ("/f", some))
    bad, slow, whole, plain = doctor._filters(settings())
    assert bad == Check("filter a", "fail", "damaged", code=ExitCode.FILTER)
    assert (slow.result, slow.fix) == ("note", "x; y")
    assert (whole.result, whole.message) == ("ok", "1,234 digests, tiers: sizes, heads")
    assert plain.message == "1,234 digests"
    some.clear()
    assert list(doctor._filters(settings())) == [Check("filter", "ok", "/f")]


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (None, "ok", "answers, and takes the user name and the password"),
        (ServiceRefusedError("404"), "ok", "can be reached; 'hashscan check' asks it"),
        (CredentialsError("401"), "fail", "401"),
        (ServiceUnavailableError("no route"), "fail", "cannot be reached: no route"),
    ],
)
def test_the_service_is_asked_for_a_random_digest_by_its_test_twin(
    monkeypatch, answer, result, words
):
    calls = []

    class Client:
        def __init__(self, **given):
            calls.append(given)

        def confirm(self, digest):
            calls.append(digest)
            if answer is not None:
                raise answer

        def close(self):
            calls.append("closed")

    monkeypatch.setattr("hashscan.known.confirmers.hashcheckservice.HashCheckService", Client)
    monkeypatch.setattr(doctor, "read_password", lambda _service: "secret")
    service = SimpleNamespace(
        url="https://s.example", username="me", timeout=7.0, ca_bundle="/ca", kind="x"
    )
    (found,) = doctor._service(SimpleNamespace(service=service))
    assert (found.name, found.result) == ("service", result)
    assert words in found.message
    if result == "fail":
        assert found.code == ExitCode.SERVICE
        assert found.fix
    given, digest, closed = calls
    assert given == {
        "url": "https://s.example", "username": "me", "password": "secret", "timeout": 7.0,
        "test": True, "ca_bundle": "/ca", "attempts": 1,
    }  # fmt: skip
    assert (digest.algorithm, len(digest.hex), closed) == ("sha1", 40, "closed")
    assert issubclass(ServiceRefusedError, ServiceError)


def test_without_a_service_nobody_gives_verdicts(settings):
    assert results(doctor._service(settings())) == [("service", "fail")]


def test_lists_are_read_and_each_has_its_check(settings, tmp_path):
    (tmp_path / "good").write_text("ab" * 20 + "\n" + "cd" * 20 + "\n")
    (tmp_path / "bad").write_text("no digest\n")
    (tmp_path / "fine").write_text("ef" * 20 + "\n")
    given = settings(
        service={"kind": "local", "known": [str(tmp_path / "good"), str(tmp_path / "bad")]},
        allow=[str(tmp_path / "fine")],
    )
    good, bad, allowed = doctor._service(given)
    assert good == Check(f"known {tmp_path}/good", "ok", "2 digests")
    assert (bad.name, bad.result, bad.code) == (f"known {tmp_path}/bad", "fail", ExitCode.FILTER)
    assert allowed.name == f"allow {tmp_path}/fine"


def test_the_room_and_the_catalog_of_the_state(settings, monkeypatch):
    monkeypatch.setattr(doctor, "no_room", lambda _settings: [("x", "the disk is full")])
    monkeypatch.setattr(doctor, "overview", lambda _path: None)
    room, state = doctor._state(settings())
    assert room == Check("room", "fail", "the disk is full")
    assert state.message.endswith(": nothing is in it yet")
    monkeypatch.setattr(doctor, "overview", lambda _path: "something")
    assert list(doctor._state(settings()))[1].message.endswith(": its catalog can be read")
    assert not os.path.exists(settings().state), "doctor makes nothing"


def test_the_quarantine_is_best_on_the_volumes_file_system(settings, monkeypatch, tmp_path):
    device = os.stat(tmp_path).st_dev
    volumes = [{"path": "/a"}, {"path": "/b"}, {"path": "/c"}]
    given = settings(volumes=volumes, quarantine={"directory": str(tmp_path / "no" / "such")})
    monkeypatch.setattr(doctor, "quarantine_counts", lambda *_: Counter(damaged=2))
    monkeypatch.setattr(
        doctor.os, "fstatvfs", lambda _fd: SimpleNamespace(f_bavail=3 << 20, f_frsize=4096)
    )
    seen = [Seen(b"/a", None, Identity(device, 1)), Seen(b"/b", "no"), Seen(b"/c", None)]
    damaged, same, kept = doctor._quarantine(given, seen)
    assert (damaged.result, damaged.message.partition(" of ")[0]) == ("fail", "2 records")
    assert same == Check("quarantine", "ok", "files are moved, not copied (12 GiB are free)")
    assert kept.name == "retention"
    monkeypatch.setattr(doctor, "quarantine_counts", lambda *_: Counter())
    seen[2] = Seen(b"/c", None, Identity(device + 1, 1))
    other, _ = doctor._quarantine(given, seen)
    assert (other.name, other.result) == ("quarantine", "note")
    assert "another file system than /c: files are copied there (12 GiB" in other.message


@pytest.mark.parametrize(
    ("intake", "check"),
    [
        (None, []),
        (SimpleNamespace(process=7, tokens=3), [("notices over HTTP", "ok")]),
        (SimpleNamespace(process=None, tokens=3), [("notices over HTTP", "note")]),
    ],
)
def test_who_takes_notices(settings, monkeypatch, intake, check):
    monkeypatch.setattr(doctor, "deadlines_of", lambda *_: None)
    monkeypatch.setattr(doctor, "running_intake", lambda _state: intake)
    assert results(doctor._notices(settings())) == check
    found = SimpleNamespace(open=3, due_soon=2, overdue=1)
    monkeypatch.setattr(doctor, "deadlines_of", lambda *_: found)
    first, *others = doctor._notices(settings())
    assert first == Check("notices", "ok", "3 open, 2 due soon, 1 overdue")
    assert results(others) == check
    assert not os.path.exists(settings().state), "doctor makes nothing"


@pytest.mark.parametrize(("mode", "result"), [(0o700, "ok"), (0o600, "note"), (None, "note")])
def test_the_program_that_sends_mails(tmp_path, mode, result):
    path = tmp_path / "sendmail"
    if mode is not None:
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
    assert doctor._mail_program(str(path)).result == result
    assert doctor._mail_program(str(tmp_path)).result == "note"


@pytest.mark.parametrize("is_read", [True, False])
def test_the_sources_of_sites_are_read(settings, monkeypatch, tmp_path, is_read):
    class Sites:
        def __init__(self, _sites):
            pass

        def contents(self):
            yield "sites", "3 sites", is_read

    monkeypatch.setattr("hashscan.notices.sites.sites.Sites", Sites)
    (found,) = doctor._sites(settings())
    assert (found.result, bool(found.fix)) == (("ok", False) if is_read else ("fail", True))
    mails = SimpleNamespace(sites=(), notices=SimpleNamespace(maildir="/m"))
    assert results(doctor._sites(mails))[0] == ("sites", "note")
    mails.sites = ("one",)
    assert len(results(doctor._sites(mails))) == 1


@pytest.mark.parametrize("has_pressure", [True, False])
@pytest.mark.parametrize("leases", ["1\n", "0\n"])
def test_what_the_kernel_lacks(settings, monkeypatch, tmp_path, has_pressure, leases):
    (tmp_path / "leases").write_text(leases)
    monkeypatch.setattr(doctor, "_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(
        doctor, "Pressure", lambda: SimpleNamespace(describe=lambda: "/proc/pressure/io")
    )
    exists = os.path.exists
    monkeypatch.setattr(
        doctor.os.path,
        "exists",
        lambda path: has_pressure if path == "/proc/pressure/io" else exists(path),
    )
    lease = [("leases", "note")] * (leases == "0\n")
    found = doctor._kernel(settings(scan={"pause_above_io_pressure": "30%"}))
    assert results(found) == [("I/O pressure", "ok" if has_pressure else "note"), *lease]
    assert results(doctor._kernel(settings(scan={"pause_above_io_pressure": "none"}))) == lease


def test_the_lowest_priority_is_tried_in_a_child(monkeypatch):
    monkeypatch.setattr(doctor, "step_aside", list)
    assert results(doctor._priority()) == [("priority", "ok")]
    monkeypatch.setattr(doctor, "step_aside", lambda: ["no idle class", "no batch"])
    (found,) = doctor._priority()
    assert (found.result, found.message) == (
        "note", "the lowest cannot be had: no idle class; no batch",
    )  # fmt: skip
    monkeypatch.setattr(doctor, "step_aside", lambda: os._exit(1))
    assert next(iter(doctor._priority())).message.endswith("the process that tried died")


def test_a_list_that_is_no_text_is_left_to_the_check_of_filters(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(
        doctor, "kind_of_file", lambda path: "bloom" if path.endswith("/x") else "other"
    )
    names = [str(tmp_path / "x"), str(tmp_path / "list")]
    (tmp_path / "list").write_text("ab" * 20 + "\n")
    given = settings(service={"kind": "local", "known": names})
    assert [one.name for one in doctor._service(given)] == [f"known {tmp_path}/list"]


def test_the_receivers_of_notifications(settings, monkeypatch):
    found = [SimpleNamespace(name="notify a", well=True, message="mail", fix=""),
             SimpleNamespace(name="notify b", well=False, message="gone", fix="do")]  # fmt: skip
    monkeypatch.setattr(doctor, "check_receivers", lambda _settings: found)
    assert list(doctor._receivers(settings())) == [
        Check("notify a", "ok", "mail"), Check("notify b", "fail", "gone", "do"),
    ]  # fmt: skip


def test_the_place_of_the_metrics(settings, tmp_path, monkeypatch):
    assert list(doctor._metrics(settings())) == []
    path = f"{tmp_path}/metrics/hashscan.prom"
    given = settings(metrics={"textfile": path})
    assert results(doctor._metrics(given)) == [("metrics", "fail")]
    (tmp_path / "metrics").touch()
    assert results(doctor._metrics(given)) == [("metrics", "fail")], "no directory"
    (tmp_path / "metrics").unlink()
    (tmp_path / "metrics").mkdir()
    assert list(doctor._metrics(given)) == [Check("metrics", "ok", f"{path} can be written")]
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert results(doctor._metrics(given)) == [("metrics", "fail")]
