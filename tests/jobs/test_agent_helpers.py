"""Small parts of hashscan.jobs: what a configuration leads to, and the words for what is missing."""

import errno
import os
from contextlib import ExitStack, nullcontext
from types import SimpleNamespace

import pytest
from faulty import raising

from hashscan.config.settings import Settings
from hashscan.errors import (
    ConfigError,
    ExitCode,
    FilterError,
    LockedError,
    QuarantineError,
    StateError,
    UsageError,
)
from hashscan.fs.volume import Volume
from hashscan.jobs import coverage_gaps as gaps_module
from hashscan.jobs import (
    known_set,
    machine_limits,
    scan,
    startup_check,
    status,
    sync,
    volume_presence,
)
from hashscan.jobs import report as reporting
from hashscan.jobs.notices import mailbox
from hashscan.model import Identity, Summary
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


@pytest.mark.parametrize(
    ("sections", "what", "fix"),
    [
        ({}, "no repository is named", "write its URL"),
        (
            {"filter": {"source": "/f.filter"}},
            "is a file, not a repository",
            "scans use it without sync",
        ),
        (
            {"service": {"kind": "local", "known": ["/l"]}},
            "no repository is named",
            "scans make the filter from service.known, without sync",
        ),
    ],
)
def test_without_a_repository_there_is_nothing_to_sync(tmp_path, sections, what, fix):
    settings = settings_of(tmp_path, **sections)
    assert sync.from_repository(settings) is False
    with pytest.raises(ConfigError) as caught:
        sync.source_of(settings)
    (finding,) = caught.value.findings
    assert finding.what == what
    assert finding.fix.startswith(fix)
    assert finding.fix.endswith("write its URL, and the root key to trust as filter.root")
    sync.check_root(settings)  # there is none to check
    with pytest.raises(ConfigError):
        sync.run_sync(settings, None)


def test_the_configured_repository(repository, tmp_path, monkeypatch):
    assert sync.from_repository(repository) is True
    source = sync.source_of(repository, password="p")
    assert (source.url, source.categories, source.password) == (URL, ("a", "b"), "p")
    assert source.root == str(tmp_path / "r")
    with pytest.raises(FilterError):
        sync.check_root(repository)
    kept = [SimpleNamespace(loaded=one) for one in ("one", "two")]
    ages = []
    monkeypatch.setattr(sync, "open_kept", lambda _s, _d, *, max_age: ages.append(max_age) or kept)
    assert sync.open_filters(repository, SimpleNamespace(filters="d")) == ("one", "two")
    assert ages == [repository.filter.max_age]


# mailbox, limits


def test_what_is_wrong_with_a_maildir(tmp_path, monkeypatch):
    assert mailbox.maildir_fault(settings_of(tmp_path)) is None
    path = str(tmp_path / "mail")
    settings = settings_of(tmp_path, notices={"maildir": path})
    for seen, trouble, found in (
        (
            "no such directory",
            None,
            "correct notices.maildir, or check its mount and its file server",
        ),
        (None, "there is no new/ in it", ""),
        (None, None, None),
    ):
        monkeypatch.setattr(
            mailbox, "look_at_all", lambda _p, seen=seen: (SimpleNamespace(error=seen),)
        )
        monkeypatch.setattr(mailbox, "why_unusable", lambda _p, trouble=trouble: trouble)
        fault = mailbox.maildir_fault(settings)
        if found is None:
            assert fault is None
        else:
            assert fault == (f"{path}: {seen}" if seen else trouble, found)


@pytest.mark.parametrize(
    ("error", "is_limit"),
    [
        (OSError(errno.EMFILE, ""), True), (OSError(errno.ENFILE, ""), True),
        (OSError(errno.EAGAIN, ""), True), (OSError(errno.ENOMEM, ""), True),
        (MemoryError(), True), (OSError(errno.EIO, ""), False), (ValueError(), False),
    ],
)  # fmt: skip
def test_limits_of_the_machine(error, is_limit):
    assert machine_limits.is_limit(error) is is_limit


# presence


class Mounts:
    """A catalog that knows which volumes were mounted."""

    def __init__(self, *mounted):
        self.mounted = set(mounted)
        self.set_mounted, self.forget_mounted = self.mounted.add, self.mounted.discard
        self.was_mounted = self.mounted.__contains__


def test_an_empty_mount_point_is_not_an_empty_volume():
    def seen(**given):
        return SimpleNamespace(
            **{"error": None, "mounted": False, "empty": False, "root": b"/v", **given}
        )

    catalog = Mounts()
    assert (
        volume_presence.why_not_there(seen(error="it does not answer"), catalog)
        == "it does not answer"
    )
    assert volume_presence.why_not_there(seen(empty=True), catalog) is None
    assert volume_presence.why_not_there(seen(mounted=True), catalog) is None
    assert catalog.mounted == {b"/v"}
    assert "is not mounted" in volume_presence.why_not_there(seen(empty=True), catalog)
    assert catalog.mounted == {b"/v"}, "it is still expected"
    assert volume_presence.why_not_there(seen(empty=True), catalog, meant=True) is None
    assert catalog.mounted == set()
    catalog.mounted.add(b"/v")
    assert volume_presence.why_not_there(seen(), catalog) is None
    assert catalog.mounted == set(), "it has files, so it is a plain directory now"


def test_without_proc_nothing_is_known_of_mounts(monkeypatch):
    monkeypatch.setattr(volume_presence, "mounts_now", raising(errno.ENOENT))
    assert volume_presence.follow_mounts(b"/v")() == []


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


# usable


@pytest.mark.parametrize("keep", [True, False])
def test_filters_that_were_never_fetched(monkeypatch, repository, tmp_path, keep):
    calls, error = [], [None]

    def opens(*_a, **_k):
        calls.append("known set")
        if error[0]:
            raise error[0]

    allow = SimpleNamespace(close=lambda: calls.append("closed"))
    monkeypatch.setattr(startup_check, "open_allow", lambda *_: allow)
    monkeypatch.setattr(startup_check, "check_allow", lambda *_: calls.append("allow"))
    monkeypatch.setattr(startup_check, "check_root", lambda *_: calls.append("root"))
    monkeypatch.setattr(startup_check, "open_known_set", opens)
    monkeypatch.setattr(startup_check, "check_known_set", opens)
    service = {"kind": "local", "known": ["/a"]}
    local = settings_of(tmp_path, service=service)
    assert startup_check.not_fetched_yet(local, None, print, keep=keep) is None
    assert calls == (["closed", "known set"] if keep else ["allow", "root", "known set"])
    error[0] = FilterError("not there")
    with pytest.raises(FilterError):
        startup_check.not_fetched_yet(local, None, print, keep=keep)
    both = repository.model_copy(update={"service": local.service})
    assert startup_check.not_fetched_yet(both, None, print, keep=keep) is error[0]
    error[0] = StateError("no room")
    with pytest.raises(StateError):
        startup_check.not_fetched_yet(both, None, print, keep=keep)


# scanning


def seen(root, number=None, error=None, *, refused=False, identity=None):
    return SimpleNamespace(
        root=root, number=number, error=error, refused=refused, identity=identity,
        mounted=False, empty=False,
    )  # fmt: skip


def test_paths_on_the_command_line_must_be_directories(tmp_path):
    there, gone = seen(b"/v"), seen(b"/none", errno.ENOENT, "gone")
    scan._require_one({b"/v": there, b"/none": gone})
    with pytest.raises(UsageError, match="/none: there is no such directory; see the path"):
        scan._require_one({b"/none": gone})
    (tmp_path / "f").touch()
    path = os.fsencode(tmp_path / "f")
    with pytest.raises(UsageError, match="is no directory; 'hashscan check' looks at a single"):
        scan._require_one({path: seen(path, errno.ENOTDIR, "x"), b"/v": there})
    with pytest.raises(UsageError, match="there is no such directory"):
        scan._require_one({b"/v/f/x": seen(b"/v/f/x", errno.ENOTDIR, "x")})
    with pytest.raises(UsageError, match="a link of a customer"):
        scan._require_one(
            {b"/v": there, b"/l": seen(b"/l", error="a link of a customer", refused=True)}
        )
    scan._require_one({b"/v": there, b"/denied": seen(b"/denied", errno.EACCES, "denied")})


class Reports:
    def __init__(self):
        self.notices, self.problems = [], []
        self.notice, self.problem = self.notices.append, self.problems.append


@pytest.mark.parametrize("named", [True, False])
def test_volumes_that_are_not_there_are_reported_and_the_others_scanned(named):
    catalog = Mounts(b"/empty")
    catalog.commit = lambda: None
    volumes = tuple(map(Volume, (b"/v", b"/gone", b"/empty")))
    empty = seen(b"/empty")
    empty.empty = True
    looks = {
        b"/v": seen(b"/v", identity=Identity(1, 2)), b"/gone": seen(b"/gone", 2, "it is gone"),
        b"/empty": empty,
    }  # fmt: skip
    places = SimpleNamespace(volumes=volumes, seen=looks)
    told = Reports()
    found, identities = scan._there(places, catalog, told, named=named)
    assert found == [volumes[0], *([volumes[2]] if named else [])]
    assert identities == {b"/v": Identity(1, 2)}
    assert told.notices[0] == "/gone: not scanned: it is gone"
    assert [one.path for one in told.problems] == [b"/gone", *([] if named else [b"/empty"])]
    if not named:
        assert told.notices[1].endswith(
            ", or name its path on the command line if it is meant to be so"
        )
    places = SimpleNamespace(volumes=volumes[1:2], seen=looks)
    with pytest.raises(UsageError, match="no volume is there to be scanned"):
        scan._there(places, catalog, Reports(), named=named)


@pytest.mark.parametrize(("holder", "beside"), [(77, True), (78, False), (None, False)])
def test_beside_a_daemon_a_scan_has_a_catalog_of_its_own(monkeypatch, holder, beside):
    other = SimpleNamespace(lock=nullcontext, directory="/s/beside")
    state = SimpleNamespace(
        lock=thrown(LockedError("held")), directory="/s", lock_file="/s/lock", beside=lambda: other
    )
    daemon = None if holder is None else {"pid": holder}
    monkeypatch.setattr(gaps_module, "read_daemon_file", lambda _d: daemon)
    monkeypatch.setattr(gaps_module, "holder_of", lambda _f: 77)
    told = Reports()
    with ExitStack() as stack:
        if not beside:
            with pytest.raises(LockedError):
                scan._locked(state, stack, told)
            return
        assert scan._locked(state, stack, told) is other
    (notice,) = told.notices
    assert "the daemon (process 77) works with this state" in notice
    assert "(/s/beside)" in notice


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({}, ExitCode.NOTHING_FOUND),
        ({"matches": 1}, ExitCode.MATCHES),
        ({"matches": 1, "held": 1, "restored": 1}, ExitCode.NOTHING_FOUND),
        ({"pending": 1, "problems": 1}, ExitCode.SERVICE),
        ({"problems": 1}, ExitCode.UNREADABLE),
        ({"matches": 1, "pending": 1, "problems": 1}, ExitCode.MATCHES),
        ({"interrupted": True}, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_of_a_scan(counts, code):
    summary = Summary()
    for name, value in counts.items():
        setattr(summary, name, value)
    assert scan.exit_code(summary) == code


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


def test_without_notices_none_are_reported(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    assert list(reporting.intake_of(settings_of(tmp_path), 0.0, 1e12)) == []


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
