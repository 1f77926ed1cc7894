"""hashscan.daemon.session: the start and the end of a session, with all its processes replaced."""

import io
from types import SimpleNamespace

import pytest

from hashscan.catalog.store import Catalog
from hashscan.config.settings import Settings
from hashscan.daemon import session as module
from hashscan.daemon.log import Log
from hashscan.daemon.session import Session
from hashscan.errors import QuarantineError
from hashscan.fs.volume import Volume
from hashscan.jobs.volume_presence import Seen
from hashscan.jobs.volume_probe import NO_ANSWER
from hashscan.model import Summary
from hashscan.state import State


class Part:
    """A part of the session: notes how it was made, and its end in ``ends``."""

    def __init__(self, name, ends, given, named):
        self.name, self.ends, self.given, self.named = name, ends, given, named
        self.connection, self.connections, self.deaths = name, [], 0

    def close(self):
        self.ends.append(self.name)

    end = close

    def check_all(self, tick):
        tick()
        return [
            Seen(b"/a", None), Seen(b"/real/b", NO_ANSWER), Seen(b"/c", "it cannot be opened: no"),
        ]  # fmt: skip

    def ask(self, number):
        raise AssertionError(number)

    hangs = is_silent = ask


@pytest.fixture
def starting(tmp_path, monkeypatch):
    """``begin()`` makes a session; ``made``: its parts by their names; ``ends``: in their order."""
    one = SimpleNamespace(made={}, ends=[], ticks=[], actors=[], fault=None, lines=io.StringIO())
    state = State(str(tmp_path / "state"))
    with state.lock():
        pass
    settings = Settings.of(
        state=state.directory,
        volumes=[{"path": "/a", "exclude": ["x"]}, {"path": "/b"}, {"path": "/c"}],
        quarantine={"action": "report", "directory": str(tmp_path / "q")},
        scan={"jobs": 3, "max_rate": 1000, "max_files": 50, "max_file_size": 2000},
    )
    (tmp_path / "q").mkdir()

    def part(name):
        def make(*given, **named):
            one.made[name] = Part(name, one.ends, given, named)
            if one.fault == name:
                raise QuarantineError("locked", reason="locked")
            return one.made[name]

        monkeypatch.setattr(module, name, make)

    for name in ("Probes", "ActingProcess", "Watches", "Asker", "Confirmation", "ChangedFiles",
                 "RejudgeProcesses", "NewLists"):  # fmt: skip
        part(name)
    monkeypatch.setattr(module, "open_allow", lambda *_: Part("allow", one.ends, (), {}))
    one.checked = []
    monkeypatch.setattr(module, "check_lists", lambda *given: one.checked.append(given))

    def open_actor(*given, **named):
        one.actors.append((given, named))
        return "actor"

    monkeypatch.setattr(module, "open_actor", open_actor)
    known = SimpleNamespace(
        service="s", remote=True, filters=("f",), name="set", algorithms=frozenset({"sha1"}),
        make_confirmer="make",
    )  # fmt: skip
    one.begin = lambda **more: Session(
        one.settings, state, known, Log(one.lines, one.lines), tick=one.ticks.append, **more
    )
    one.state, one.known, one.settings = state, known, settings
    return one


def test_what_the_parts_of_a_session_get(starting):
    session = starting.begin()
    made = starting.made
    volumes = (Volume(b"/a", ("x",)), Volume(b"/real/b"), Volume(b"/c"))
    assert starting.ticks == [True], "a slow server is no reason for the watchdog"
    assert made["Probes"].given == (["/a", "/b", "/c"],)
    ((*_, known, _, tick),) = starting.checked
    assert (known, tick) == (starting.known, starting.ticks.append), "the brakes see the lists"
    ((given, named),) = starting.actors
    assert volumes in given
    assert named["patience"] == 1.0
    assert named["absent"] == [b"/real/b"], "those that do not answer are not touched"
    assert made["ActingProcess"].named["is_silent"] == session._is_silent
    assert made["Watches"].given[0] == volumes
    assert made["Watches"].given[1] == [one.watch for one in starting.settings.volumes]
    assert made["Asker"].given == ("make",)
    confirmation = made["Confirmation"].named
    assert (confirmation["service"], confirmation["remote"], confirmation["lasting"]) == (
        "s", True, True,
    )  # fmt: skip
    options = made["ChangedFiles"].given[0]
    assert (options.jobs, options.max_rate, options.max_files) == (3, 1000, 50)
    assert (options.max_file_size, options.step_aside) == (2000, True)
    assert options.large_apart == 64 << 20
    assert len(options.own) == 2, "the state and the quarantine are never scanned"
    assert made["RejudgeProcesses"].named == {"jobs": 3}
    assert session.absent == {b"/real/b", b"/c"}
    assert [session._numbers[one.root] for one in volumes] == [0, 1, 2]
    assert session._catalog.service == ("s", True)
    told = starting.lines.getvalue()
    assert "/real/b: not scanned: its file system does not answer" in told
    assert "/c: not scanned: it cannot be opened: no" in told
    assert {number: one.kind for number, one in session._queue._requests.items()} == dict.fromkeys(
        range(3), "start"
    )
    assert (session.turns, session.scans, session.events, session.lost) == (0, 0, 0, 0)
    assert session.running_scan is None
    made["Watches"].named["on_again"](2)
    made["RejudgeProcesses"].given[4]()
    session.close()
    other = starting.begin(kind="reload")
    assert {one.kind for one in other._queue._requests.values()} == {"reload"}
    other.close()


def test_a_directory_that_two_paths_lead_to_is_one_volume(starting, tmp_path):
    (tmp_path / "link").symlink_to("/a")
    volumes = [{"path": "/a"}, {"path": "/b"}, {"path": "/c"}, {"path": str(tmp_path / "link")}]
    starting.settings = Settings.of(
        state=starting.state.directory, volumes=volumes, quarantine={"action": "report"}
    )
    starting.begin().close()
    assert starting.made["Probes"].given == ([str(tmp_path / "link"), "/b", "/c"],)
    assert len(starting.made["Watches"].given[0]) == 3


def test_the_end_ends_the_parts_in_the_opposite_order(starting):
    session = starting.begin()
    summary = Summary(seconds=3.0, interrupted=True)
    ended = lambda **how: starting.ends.append(how) or summary  # noqa: E731
    session.running_scan = SimpleNamespace(end=ended)
    session.close()
    assert starting.ends == [
        "RejudgeProcesses", {"interrupted": True}, "ChangedFiles", "Asker", "Watches", "NewLists",
        "ActingProcess", "allow", "Probes",
    ]  # fmt: skip
    catalog = Catalog(starting.state.catalog)
    assert catalog.filterset("set") == 1, "what was written is committed"
    catalog.close()


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ("ChangedFiles", ["Asker", "Watches", "NewLists", "ActingProcess", "allow", "Probes"]),
        ("Watches", ["NewLists", "ActingProcess", "allow", "Probes"]),
        ("ActingProcess", ["allow", "Probes"]),
        ("Probes", []),
    ],
)
def test_a_start_that_fails_leaves_nothing_behind(starting, fault, ends):
    starting.fault = fault
    with pytest.raises(QuarantineError):
        starting.begin()
    assert starting.ends == ends
    Catalog(starting.state.catalog).close()


def test_matches_of_all_scans_before_are_asked_for_again(starting, monkeypatch):
    asked = []
    monkeypatch.setattr(Catalog, "reconsider", lambda _catalog, *given: asked.append(given))
    starting.begin().close()
    assert asked == [(0, "s")]
