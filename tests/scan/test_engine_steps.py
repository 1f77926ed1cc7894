"""hashscan.scan.engine, step by step: fake pools, clocks and connections; nothing is forked."""

import time
from types import SimpleNamespace

import pytest
from faulty import Faulty
from handing_out import Told

from hashscan.fs.volume import Volume
from hashscan.model import Identity
from hashscan.scan import engine as module
from hashscan.scan.engine import Engine
from hashscan.scan.messages import Tally
from hashscan.scan.options import ScanOptions

ROOTS = (b"/v", b"/w")


class Catalog:
    """What the engine asks of a catalog, in order."""

    path = "/state/catalog"
    damaged = 0

    def __init__(self, resumed=None):
        self.resumed = resumed
        self.calls = []

    def begin_scan(self, roots, *, complete, kind):
        self.calls.append(("begin", tuple(roots), complete, kind))
        return 9, self.resumed

    def expected(self, _roots, *, hash_before):
        self.calls.append(("expected", hash_before))

    def filterset(self, _versions):
        return 3

    def queue_directories(self, _scan, _parent, _path, entries):
        self.calls.append(("queue", entries[0][0]))
        return [SimpleNamespace(number=len(self.calls), path=b"", fresh=True)]

    def commit(self):
        self.calls.append("commit")


class Connection:
    """Where the asking process answers."""

    def __init__(self):
        self.polls = []

    def poll(self, seconds):
        self.polls.append(seconds)
        return True


@pytest.fixture
def make():
    def engine(*, resumed=None, **options):
        catalog = Catalog(resumed)
        asker = SimpleNamespace(connection=Connection(), replies=lambda: ["answer"])
        base = {
            "volumes": tuple(Volume(root) for root in ROOTS), "jobs": 2, "filters": (),
            "filterset": "", "algorithms": frozenset({"sha1"}), "service": "test", "remote": False,
            "identities": {root: Identity(5, number) for number, root in enumerate(ROOTS)},
        }  # fmt: skip
        one = Engine(ScanOptions(**{**base, **options}), catalog, asker, None, Told())
        one.catalog = catalog
        return one

    return engine


def test_a_candidate_is_known_by_its_device_and_by_its_volumes_roots(make):
    engine = make()
    one = SimpleNamespace(identity=Identity(5, 77))
    numbers = [-root.number for root in engine._scan.roots.values()]
    assert engine._catalog_devices(one) == [5, *numbers]
    assert engine._catalog_devices(SimpleNamespace(identity=Identity(6, 77))) == [6]


class Work:
    """Work that is done after some rounds; remembers what it hears."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.calls = []

    def __bool__(self):
        return self.rounds > 0

    def hand_out(self, _pool):
        self.calls.append("hand out")

    def died(self, worker):
        self.rounds -= 1
        self.calls.append(("died", worker))

    def heard(self, worker, message):
        self.rounds -= 1
        self.calls.append(("heard", worker, message))

    def give_up(self, volume, why):
        self.calls.append(("give up", volume, why))


class Confirmation:
    def __init__(self, more=0):
        self.more = more
        self.busy = False
        self.calls = []

    def begin(self, roots):
        self.calls.append(("begin", roots))

    def take(self, answers):
        self.calls.append(("take", answers))

    def ask_more(self, *, walking=False):
        self.more -= 1
        self.calls.append(("ask", walking))
        return self.more >= 0


class Pool:
    """Says what it was made with, one list a round."""

    def __init__(self, *said, silent=()):
        self.said = list(said)
        self.waited = []
        self.given_up = []
        self.asked = []
        self._silent = silent

    def receive(self, others, seconds):
        self.waited.append((others, seconds))
        return self.said.pop(0)

    def silent(self, seconds):
        self.asked.append(seconds)
        return self._silent

    def give_up(self, volume):
        self.given_up.append(volume)


def walking(engine, rounds):
    engine._scan.dispatch, engine._confirmation = Work(rounds), Confirmation()
    engine._tick = lambda: engine._scan.dispatch.calls.append("tick")
    return engine._scan.dispatch


def test_findings_and_deaths_go_to_the_work_and_answers_to_the_confirmation(make):
    engine = make()
    work = walking(engine, 2)
    answers = engine._asker.connection
    pool = Pool([("w1", ["findings"])], [answers], [("w2", None)])
    engine._scan.pool = pool
    engine._walk()
    assert work.calls == [
        "hand out", ("heard", "w1", ["findings"]), "tick",
        "hand out", "tick",
        "hand out", ("died", "w2"), "tick",
    ]  # fmt: skip
    assert engine._confirmation.calls == [("begin", list(ROOTS)), ("take", ["answer"])]
    assert pool.waited == [([answers], 0.1)] * 3


def test_an_interrupted_scan_hands_out_nothing_more(make):
    engine = make()
    work = walking(engine, 5)
    engine._tick = lambda: setattr(engine, "_stop", True)
    engine._scan.pool = Pool([("w1", ["findings"])])
    engine._walk()
    assert work.calls == ["hand out", ("heard", "w1", ["findings"])]
    assert not engine._walking


class Presence:
    connections = ("probe",)

    def __init__(self, hanging=(), answered=()):
        self.hanging, self.answered = hanging, answered
        self.asked = []

    def ask(self, number):
        self.asked.append(number)

    def take(self, ready):
        self.ready = ready
        return self.answered

    def hangs(self, number):
        return number in self.hanging


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", Faulty(time, monotonic=lambda: one.now))
    return one


def test_a_scan_waits_for_the_probes_of_its_volumes_too(clock, make):
    presence = Presence()
    engine = make(presence=presence)
    walking(engine, 1)
    pool = Pool([("w1", []), "probe"])
    engine._scan.pool = pool
    engine._walk()
    assert pool.waited == [([engine._asker.connection, "probe"], 0.1)]
    assert presence.ready == ["probe"]


def test_a_volume_that_hangs_is_given_up_once_and_the_others_are_checked(clock, make):
    engine = make()
    work = walking(engine, 1)
    presence = Presence(hanging={1}, answered=[0, 1])
    pool = engine._scan.pool = Pool()
    for _ in range(2):
        engine._give_up_silent(presence, ())
    assert work.calls == [("give up", 1, module._NO_ANSWER)]
    assert (pool.given_up, presence.asked) == ([1], [0])
    assert engine._silent == {b"/w"}
    assert pool.asked == [], "not before some seconds have passed"


def test_volumes_of_silent_processes_are_checked_every_few_seconds(clock, make):
    engine = make()
    walking(engine, 1)
    presence = Presence()
    pool = engine._scan.pool = Pool(silent={1})
    for seconds, asked in ((4.875, 0), (0.125, 1), (4.875, 1), (0.125, 2)):
        clock.now += seconds
        engine._give_up_silent(presence, ())
        assert presence.asked == [1] * asked
    assert pool.asked == [module._SILENT] * 2
    assert pool.given_up == []


def test_the_catalog_is_committed_and_progress_is_reported_at_intervals(clock, make):
    engine = make()
    engine._confirmation = Confirmation()
    engine.catalog.calls.clear()
    told = []
    engine._reporter.progress = told.append
    engine._progress = lambda: clock.now
    for seconds in (0.0625, 0.0625, 0.0625, 0.8125, 0.0625):
        clock.now += seconds
        engine._tick()
    assert engine.catalog.calls == ["commit"]
    assert told == [1000.125, 1001.0]
    assert engine._confirmation.calls == [("ask", False)] * 5


def test_questions_asked_while_directories_are_left_may_wait(make):
    engine = make()
    engine._confirmation, engine._walking = Confirmation(), True
    engine._tick()
    assert engine._confirmation.calls == [("ask", True)]


def test_the_scan_waits_for_the_answers_to_its_last_questions(make):
    engine = make()
    engine._confirmation = Confirmation(more=2)
    engine._tick = lambda: None
    engine._drain()
    assert engine._confirmation.calls == [
        ("ask", False), ("take", ["answer"]), ("ask", False), ("take", ["answer"]), ("ask", False),
    ]  # fmt: skip
    assert engine._asker.connection.polls == [0.1] * 2
    engine._stop, engine._confirmation.more = True, 5
    engine._drain()
    assert len(engine._asker.connection.polls) == 2, "an interrupted scan waits for nothing"


def test_progress_counts_what_is_done_and_what_is_begun(make):
    engine = make()
    engine._scan.dispatch = SimpleNamespace(
        tally=Tally(hashed=2, unchanged=3, bytes_hashed=100, problems=1),
        early=Tally(hashed=5, unchanged=7, bytes_hashed=1000, skipped={"fifo": 4}),
        provisional={"w1": 10_000, "w2": 20_000},
        fraction=1.25,
    )
    engine._scan.summary.matches = 6
    progress = engine._progress()
    assert (progress.files, progress.hashed, progress.unchanged) == (22, 7, 10)
    assert (progress.bytes_hashed, progress.fraction, progress.matches) == (31_100, 1.0, 6)
    assert progress.expected is None


class Queue:
    """A confirmation at the end of a scan: what the engine asks it for, in order."""

    last_failure = None

    def __init__(self, engine, *, again):
        self.engine, self.again, self.calls = engine, again, []

    def drop_gone(self, roots):
        self.calls.append(("drop gone", set(roots)))

    def ask_again(self):
        return self.again

    def act_on_links(self, stopped):
        assert stopped() is False
        self.calls.append("act on links")

    def tell_pending(self):
        self.calls.append("tell pending")


@pytest.fixture
def ran(make):
    """A function that runs a scan without files: the engine, the calls in order, and its end."""

    def run(*, stops=False, again=False, resumed=None, damaged=0):
        engine = make()
        engine._confirmation = queue = Queue(engine, again=again)
        ended = {}
        engine._scan = SimpleNamespace(
            resumed=resumed,
            roots=dict.fromkeys(ROOTS),
            start_workers=lambda: queue.calls.append("start"),
            pool=SimpleNamespace(close=lambda: queue.calls.append("close")),
            dispatch=SimpleNamespace(unseen=SimpleNamespace(roots={ROOTS[1]})),
            end=lambda **given: ended.update(given) or "summary",
        )
        engine._walk = lambda: setattr(engine, "_stop", stops)
        engine._drain = lambda: queue.calls.append("drain")
        engine._missing = 2
        engine._catalog.damaged = damaged
        assert engine.run() == "summary"
        return engine, queue.calls, ended

    return run


def test_a_scan_ends_with_what_is_left_to_ask_and_to_move(ran):
    engine, calls, ended = ran()
    assert calls == [
        "start", "close", ("drop gone", {ROOTS[0]}), "drain", "act on links", "tell pending",
    ]  # fmt: skip
    assert ended == {"interrupted": False, "missing": 2, "costs": None}
    assert engine._reporter.notices == []


def test_a_service_that_is_back_is_asked_again_before_links_are_acted_on(ran):
    calls = ran(again=True)[1]
    assert calls[-4:] == ["drain", "drain", "act on links", "tell pending"]


def test_an_interrupted_scan_asks_and_moves_nothing_more(ran):
    _, calls, ended = ran(stops=True)
    assert calls == ["start", "close", "tell pending"]
    assert ended["interrupted"] is True


def test_a_full_scan_says_that_it_goes_on(ran):
    engine, _, _ = ran(resumed=4)
    (notice,) = engine._reporter.notices
    assert notice.startswith("going on with the full scan that was interrupted")


def test_a_damaged_catalog_is_named_with_the_number_of_rows(ran):
    engine, *_ = ran(damaged=1234)
    (notice,) = engine._reporter.notices
    assert notice.startswith("the catalog /state/catalog had 1,234 damaged rows")


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_the_engine_says_whether_the_service_answered(make, answered):
    engine = make()
    engine._confirmation.answered = answered
    assert engine.is_answered is (answered > 0)
