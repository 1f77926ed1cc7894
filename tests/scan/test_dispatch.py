"""hashscan.scan.dispatch: what is handed out, what is counted, what is done again or dropped."""

import pytest
from handing_out import Pool, Told

from hashscan.catalog.store import Catalog
from hashscan.fs.volume import Volume
from hashscan.model import Problem
from hashscan.scan import dispatch as module
from hashscan.scan.dispatch import Dispatch
from hashscan.scan.lost_directories import Fate
from hashscan.scan.messages import Alive, At, Findings, Job, Tally

VOLUMES = (b"/v", b"/w")


class Scan:
    """A dispatch of a scan of two volumes, by workers that do nothing by themselves."""

    def __init__(self, catalog, *, jobs, once):
        self.catalog, self.told, self.pool = catalog, Told(), Pool(jobs)
        self.number = catalog.begin_watch()
        self.dispatch = Dispatch(
            catalog, self.told, [Volume(path) for path in VOLUMES],
            scan=self.number, judged=1, jobs=jobs, on_candidate=lambda: None, once=once,
        )  # fmt: skip

    def root(self, volume):
        """The root of a volume, as the catalog knows it."""
        (found,) = self.catalog.queue_directories(
            self.number, 0, b"", [(VOLUMES[volume], 1)], again=True
        )
        return found

    def below(self, volume, *names):
        """Directories in the root of a volume."""
        inodes = [(name, 100 + number) for number, name in enumerate(names)]
        return self.catalog.queue_directories(
            self.number, self.root(volume).number, b"", inodes, again=True
        )

    def tasks(self):
        """The tasks that the workers get next, by worker."""
        self.dispatch.hand_out(self.pool)
        return [worker.tasks for worker in self.pool.workers]

    def hear(self, worker, **findings):
        """A worker reports these findings of its first task."""
        self.dispatch.heard(worker, [Findings(worker.tasks[0].group, **findings)])

    def begin(self):
        """Push both roots, and return the workers that have them."""
        for volume in range(len(VOLUMES)):
            self.dispatch.push(volume, self.root(volume), 0.5)
        self.tasks()
        workers = {worker.tasks[0].volume: worker for worker in self.pool.workers}
        return [workers[volume] for volume in range(len(VOLUMES))]


@pytest.fixture
def scan_of(state):
    state.mkdir()
    catalog = Catalog(str(state / "catalog"))
    yield lambda jobs=1, *, once=True: Scan(catalog, jobs=jobs, once=once)
    catalog.close()


def volumes_of(tasks):
    return sorted(task.volume for some in tasks for task in some)


# What is done again, and what is not


@pytest.mark.parametrize("before", [True, False])
def test_work_of_a_forgotten_volume_is_not_done_again(scan_of, before):
    scan = scan_of(2)
    workers = scan.begin()
    if before:
        scan.dispatch.forget_volume(0)
    for worker in workers:
        scan.dispatch.died(worker)
    if not before:
        scan.dispatch.forget_volume(0)
    assert volumes_of(scan.tasks()) == [1]


def test_a_volume_that_is_given_up_is_reported_and_not_scanned(scan_of):
    scan = scan_of(2)
    for volume in range(2):
        scan.dispatch.push(volume, scan.root(volume))
    scan.dispatch.give_up(1, "its server does not answer")
    (problem,) = scan.told.problems
    assert problem.path == VOLUMES[1]
    assert problem.message.startswith("it vanished during the scan: its server does not answer")
    assert volumes_of(scan.tasks()) == [0]


def test_directories_that_wait_in_a_forgotten_volume_are_not_listed(scan_of):
    scan = scan_of(4)
    for volume in range(2):
        scan.dispatch.push(volume, scan.root(volume))
    scan.dispatch.forget_volume(1)
    assert volumes_of(scan.tasks()) == [0]
    assert len(scan.dispatch) == 1


def test_work_is_done_again_by_the_filters_of_now(scan_of, monkeypatch):
    scan = scan_of(2)
    scan.begin()
    scan.pool = Pool(2)
    scan.dispatch.start_over(7)
    again = scan.tasks()
    assert volumes_of(again) == [0, 1]
    assert all(task.again and not task.fresh for some in again for task in some)
    judged = []
    monkeypatch.setattr(scan.catalog, "rejudge", lambda *args: judged.append(args))
    worker = scan.pool.workers[0]
    scan.hear(worker, rejudged=[(b"file", True)])
    assert judged == [(worker.tasks[0].directory, 7, [(b"file", True)])]


def test_what_was_handed_over_is_not_done_twice_after_a_start_over(scan_of):
    scan = scan_of(2)
    scan.hear(scan.begin()[0], give=((b"file", 5),))
    scan.pool = Pool(4)
    scan.dispatch.start_over(7)
    again = scan.tasks()
    assert volumes_of(again) == [0, 1]
    assert all(task.names is None for some in again for task in some)


def test_one_large_file_after_the_other_goes_first(scan_of):
    scan = scan_of(2)
    first, _ = scan.begin()
    scan.hear(first, large=[b"a", b"b"], done=True)
    first.tasks = []
    handed = []
    for _ in range(2):
        for number in range(3):
            scan.dispatch.push(0, scan.below(0, b"d%d" % number)[0], 0.1)
        scan.tasks()
        handed.append(first.tasks[0].names)
        scan.hear(first, done=True)
        first.tasks = []
    assert handed == [((b"a", 0),), ((b"b", 0),)]


@pytest.mark.parametrize(("stalled", "most"), [(False, 8), (True, 2)])
def test_a_directory_over_which_processes_die_is_given_up(scan_of, stalled, most):
    scan = scan_of(1)
    root = scan.root(0)
    scan.dispatch.push(0, root, 1.0)
    deaths = 0
    while not scan.told.problems:
        ((task, *_),) = scan.tasks()
        assert (task.directory, task.again) == (root.number, deaths > 0)
        (worker,) = scan.pool.workers
        worker.stalled = stalled
        scan.dispatch.died(worker)
        deaths += 1
    assert deaths == most
    (problem,) = scan.told.problems
    assert (problem.path, problem.reason) == (b"/v", Problem.WORKER_DIED)
    assert scan.dispatch.tally.problems == 1
    assert scan.dispatch.unseen.roots == {b"/v"}
    assert scan.dispatch.fraction == 1.0


def test_a_death_counts_for_the_first_task_alone(scan_of, monkeypatch):
    monkeypatch.setattr(module, "_MOST_DEATHS", 1)
    scan = scan_of(1)
    for one in scan.below(0, *(b"d%d" % number for number in range(8))):
        scan.dispatch.push(0, one)
    ((first, *others),) = scan.tasks()
    assert len(others) == 3
    (worker,) = scan.pool.workers
    scan.dispatch.died(worker)
    assert [one.path for one in scan.told.problems] == [b"/v/" + first.path]
    again = set()
    for _ in others:
        ((task,),) = scan.tasks()
        assert task.again
        again.add(task.directory)
        scan.hear(worker, done=True)
    assert again == {task.directory for task in others}


# What is counted


def test_bytes_without_an_outcome_are_counted_until_they_have_one(scan_of):
    scan = scan_of(2)
    first, second = scan.begin()
    for worker, count in ((first, 10), (first, 5), (second, 7)):
        scan.dispatch.heard(worker, Alive(count))
    assert scan.dispatch.provisional == {first: 15, second: 7}
    scan.hear(first, tally=Tally(hashed=1, bytes_hashed=4))
    assert scan.dispatch.provisional == {first: 11, second: 7}
    scan.hear(first, tally=Tally(hashed=1, bytes_hashed=40))
    assert scan.dispatch.provisional == {first: 0, second: 7}, "they were not announced"
    scan.dispatch.died(second)
    assert scan.dispatch.provisional == {first: 0}


def test_outcomes_count_early_until_their_directory_is_finished(scan_of):
    scan = scan_of(2)
    first, second = scan.begin()
    scan.hear(first, tally=Tally(hashed=2, skipped={"empty": 1}, bytes_hashed=9))
    scan.hear(second, tally=Tally(unchanged=1, problems=1))
    assert (scan.dispatch.early.files, scan.dispatch.tally.files) == (5, 0)
    scan.hear(first, tally=Tally(hashed=1), done=True)
    assert (scan.dispatch.early.files, scan.dispatch.tally.files) == (2, 4)
    assert scan.dispatch.tally == Tally(hashed=3, skipped={"empty": 1}, bytes_hashed=9)
    assert scan.dispatch.fraction == 0.5
    scan.dispatch.died(second)
    assert (scan.dispatch.early.files, scan.dispatch.tally.files) == (0, 4)


# What is handed out


def test_a_batch_leaves_work_for_other_processes(scan_of):
    scan = scan_of(2)
    for one in scan.below(0, *(b"d%d" % number for number in range(12))):
        scan.dispatch.push(0, one)
    assert [len(some) for some in scan.tasks()] == [2, 3]


def test_many_checks_and_searches_are_handed_out_in_batches(scan_of, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 3)
    monkeypatch.setattr(module, "PART_FILES", 4)
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    parents = scan.below(0, *(b"p%d" % number for number in range(5)))
    for number, parent in enumerate(parents):
        # Two names a lost directory: four do not end a batch, six do.
        lost = scan.catalog.queue_directories(
            scan.number, parent.number, parent.path,
            [(b"d%d" % n, 1000 + 10 * number + n) for n in range(3 if number == 3 else 2)],
        )  # fmt: skip
        for one in lost:
            scan.dispatch.push(0, one)
            scan.tasks()
            scan.hear(worker, unopened=(b"",), done=True)
    got = []
    while scan.tasks()[0]:
        got.append([task.job for task in worker.tasks])
        if got[-1][0] is Job.SEARCH:
            held = scan.dispatch.held()
            assert {task.directory for task in worker.tasks} <= held
        for task in list(worker.tasks):
            fates = (0,) * len(task.names or ())
            scan.dispatch.heard(worker, [Findings(task.group, fates=fates, done=True)])
    assert got[:2] == [[Job.SEARCH] * 3, [Job.SEARCH]]
    assert scan.dispatch.tally.skipped == {"vanished": 11}


def test_what_is_searched_is_kept_in_the_catalog(scan_of):
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    (parent,) = scan.below(0, b"p")
    (lost,) = scan.catalog.queue_directories(scan.number, parent.number, b"p", [(b"d", 5)])
    scan.dispatch.push(0, lost)
    scan.tasks()
    scan.hear(worker, unopened=(b"",), done=True)
    ((search,),) = scan.tasks()
    assert search.job is Job.SEARCH
    assert scan.dispatch.held() == {parent.number, lost.number}


@pytest.mark.parametrize("count", [2, 3])
def test_many_lost_files_are_followed_before_the_others_are_hashed(scan_of, monkeypatch, count):
    monkeypatch.setattr(module, "_MOST_LOST", 3)
    scan = scan_of(2)
    scan.dispatch.push(0, scan.root(0))
    scan.tasks()
    second, first = scan.pool.workers
    lost = [(b"f%d" % number, number + 1) for number in range(count)]
    scan.hear(first, lost=lost)
    scan.tasks()
    followed = [(task.job, task.names, task.look) for task in second.tasks]
    assert followed == ([(Job.FOLLOW, tuple(lost), False)] if count == 3 else [])


def test_urgent_work_is_only_the_rest_of_begun_directories(scan_of):
    scan = scan_of(2)
    scan.dispatch.push(0, scan.root(0))
    scan.tasks()
    idle, first = scan.pool.workers
    scan.dispatch.push(0, scan.below(0, b"d")[0])
    scan.dispatch.look(1, scan.root(1), [b"changed"], final=False)
    scan.dispatch.hand_out(scan.pool, urgent=True)
    assert idle.tasks == []
    scan.hear(first, give=((b"file", 5),))
    scan.dispatch.hand_out(scan.pool, urgent=True)
    assert [task.names for task in idle.tasks] == [((b"file", 5),)]
    scan.dispatch.died(first)
    scan.hear(idle, done=True)
    scan.dispatch.hand_out(scan.pool, urgent=True)
    assert [task.again for worker in scan.pool.workers for task in worker.tasks] == [True]


# Volumes that vanish


def test_lost_directories_of_a_vanished_volume_are_not_searched(scan_of):
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    for volume in range(2):
        scan.dispatch.push(volume, scan.below(volume, b"d")[0])
        scan.tasks()
        scan.hear(worker, unopened=(b"",), done=True)
    scan.dispatch.give_up(0, "its server does not answer")
    assert [(task.job, task.volume) for task in scan.tasks()[0]] == [(Job.SEARCH, 1)]
    scan.hear(worker, fates=(Fate.GONE, Fate.GONE), done=True)
    assert [(task.job, task.volume) for task in scan.tasks()[0]] == [(Job.CHECK, 1)]
    scan.hear(worker, done=True)
    assert not scan.dispatch
    assert scan.dispatch.tally.skipped == {"vanished": 1}
    assert scan.dispatch.fraction == 0.0, "no work of any weight was done"


def test_lost_directories_of_a_forgotten_volume_are_not_searched(scan_of):
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    scan.dispatch.push(0, scan.below(0, b"d")[0])
    scan.tasks()
    scan.hear(worker, unopened=(b"",), done=True)
    scan.dispatch.forget_volume(0)
    assert [task.job for task in scan.tasks()[0]] == [Job.CHECK]


def test_a_directory_that_was_listed_at_its_place_is_not_searched(scan_of):
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    scan.dispatch.push(0, scan.below(0, b"d")[0])
    scan.tasks()
    scan.hear(worker, done=True)
    assert [task.job for task in scan.tasks()[0]] == [Job.CHECK]


def test_the_name_over_which_a_process_died_is_avoided(scan_of):
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    scan.dispatch.push(0, scan.root(0))
    ((task,),) = scan.tasks()
    scan.dispatch.heard(worker, At(task.group + 1, b"of a group that is done"))
    scan.dispatch.heard(worker, At(task.group, b"before"))
    scan.dispatch.heard(worker, At(task.group, b"bad"))
    scan.dispatch.died(worker)
    ((again,),) = scan.tasks()
    assert again.avoid == {b"bad"}


def test_directories_found_in_a_vanished_volume_are_not_listed(scan_of):
    scan = scan_of(2)
    first, _ = scan.begin()
    scan.dispatch.give_up(0, "its server does not answer")
    scan.hear(first, directories=[(b"d", 5)], done=True)
    assert volumes_of(scan.tasks()) == [1]


def test_a_directory_shares_its_part_of_the_work_with_those_below_it(scan_of):
    scan = scan_of(2)
    first, _ = scan.begin()
    scan.hear(first, directories=[(b"a", 5), (b"b", 6)])
    scan.hear(first)
    scan.hear(first, done=True)
    assert scan.dispatch.fraction == 0.25
    for share in (0.375, 0.5):
        scan.tasks()
        scan.hear(first, done=True)
        assert scan.dispatch.fraction == share


def test_the_watch_drops_the_work_of_a_vanished_volume_without_a_word(scan_of):
    """The daemon's probes report it."""
    scan = scan_of(2, once=False)
    for volume in (0, 1, 0, 1):
        scan.dispatch.look(volume, scan.root(volume), [b"f"], final=False)
    scan.tasks()
    (worker,) = (one for one in scan.pool.workers if one.tasks and one.tasks[0].volume == 0)
    scan.hear(worker, unread=True)
    assert scan.dispatch.ahead == 2
    scan.hear(worker, vanished="its server does not answer", done=True)
    assert scan.dispatch.ahead == 1
    assert (scan.told.problems, scan.told.notices, scan.dispatch.tally.problems) == ([], [], 0)


# Deaths


def test_a_process_of_the_filters_before_may_die_at_any_time(scan_of):
    scan = scan_of(2)
    old = scan.begin()
    scan.pool = Pool(2)
    scan.dispatch.start_over(7)
    for worker in old:
        scan.dispatch.died(worker)
        assert worker.tasks == []
    assert volumes_of(scan.tasks()) == [0, 1]


def test_a_search_is_given_up_if_its_process_dies_and_the_next_one_is_repeated(scan_of):
    scan = scan_of(1)
    (worker,) = scan.pool.workers
    for parent in scan.below(0, b"p", b"q"):
        (lost,) = scan.catalog.queue_directories(
            scan.number, parent.number, parent.path, [(b"d", 1000 + parent.number)]
        )
        scan.dispatch.push(0, lost)
        scan.tasks()
        scan.hear(worker, unopened=(b"",), done=True)
    ((first, second),) = scan.tasks()
    assert (first.job, second.job) == (Job.SEARCH, Job.SEARCH)
    scan.dispatch.died(worker)
    (problem,) = scan.told.problems
    assert problem.path == b"/v/" + first.path + b"/d"
    assert "the process that listed it died" in problem.message
    assert scan.dispatch.unseen.roots == {b"/v"}
    ((again,),) = scan.tasks()
    assert (again.directory, again.names) == (second.directory, second.names)
    scan.hear(worker, fates=(Fate.GONE, Fate.GONE), done=True)
    assert (scan.dispatch.tally.problems, scan.dispatch.tally.skipped) == (1, {"vanished": 1})
