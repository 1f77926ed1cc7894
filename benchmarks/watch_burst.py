"""A burst of new files below many directories: how soon known ones are gone, and is any missed?

Two writers make small files in a volume that the daemon watches; some of them are known. Then every
file must be in the catalog, and every known one in quarantine.

    python benchmarks/watch_burst.py --watch fanotify
    python benchmarks/watch_burst.py --watch inotify --kill 5
    python benchmarks/watch_burst.py --watch inotify --limit 10000
    python benchmarks/watch_burst.py --watch fanotify --service-down 60
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from running_daemon import Daemon
from service_of_lists import LateService

LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")


def tree(volume, directories):
    """Directories, two levels deep; returns their paths."""
    found = []
    for first in range(max(1, directories // 200)):
        for second in range(200):
            path = os.path.join(volume, f"d{first:04}", f"e{second:03}")
            os.makedirs(path)
            found.append(path)
    return found


def write(number, directories, files, known, start, results):
    """One writer: when which known file was closed, and how long it all took."""
    chance = random.Random(number)
    at = set(chance.sample(range(files), len(known)))
    known = iter(known)
    closed = {}
    start.wait()
    began = time.time()
    for index in range(files):
        path = os.path.join(chance.choice(directories), f"f{number}-{index:06}")
        content = next(known) if index in at else os.urandom(chance.randrange(200, 4000))
        with open(path, "wb") as file:
            file.write(content)
        if index in at:
            closed[path] = time.time()
    results.put((closed, time.time() - began))


def burst(directories, knowns, files):
    """All writers at once."""
    start, results = multiprocessing.Event(), multiprocessing.Queue()
    writers = [
        multiprocessing.Process(
            target=write, args=(n, directories, files // 2, part, start, results)
        )
        for n, part in enumerate((knowns[::2], knowns[1::2]))
    ]
    for writer in writers:
        writer.start()
    start.set()
    return writers, results


def main():
    """Run one, and print its figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watch", default="auto", choices=["auto", "inotify", "fanotify", "off"])
    parser.add_argument("--directories", type=int, default=40_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--known", type=int, default=100)
    parser.add_argument("--idle", type=int, default=20, help="known files one at a time, before")
    parser.add_argument("--kill", type=float, help="SIGKILL so many seconds after the start")
    parser.add_argument("--limit", type=int, help="fs.inotify.max_user_watches for the run")
    parser.add_argument("--service-down", type=float, help="seconds; verdicts come by HTTP")
    parser.add_argument("--settle", type=float, default=600, help="seconds to wait, at most")
    parser.add_argument("--where", default=None)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        place = tempfile.mkdtemp(prefix="hashscan-burst-", dir=arguments.where)
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        if arguments.limit:
            stack.callback(LIMIT.write_text, LIMIT.read_text())
            LIMIT.write_text(str(arguments.limit))
        print(json.dumps(run(arguments, place, stack)))


def writers_alone(place, files):
    """Files a second that the same writers make where nobody watches, for a comparison."""
    directories = tree(os.path.join(place, "alone"), 2000)
    writers, results = burst(directories, [], files)
    seconds = max(results.get()[1] for _ in writers)
    for writer in writers:
        writer.join()
    return round(files / seconds)


def service(place, knowns, stack):
    """A service on loopback that is not there yet."""
    late = LateService(place, knowns)
    stack.callback(late.close)
    return late


def run(arguments, place, stack):
    """The run itself."""
    idle = [os.urandom(1500) for _ in range(arguments.idle)]
    knowns = [os.urandom(1500) for _ in range(arguments.known)]
    extra = "scan: {pause_above_io_pressure: none, unwatched: 20s}"
    late = None
    section = ""
    if arguments.service_down is not None:
        late = service(place, idle + knowns, stack)
        section = late.section
    daemon = stack.enter_context(
        Daemon(
            place,
            watch=arguments.watch,
            known=idle + knowns,
            extra=extra,
            service=section,
            fresh=True,
        )
    )
    alone = writers_alone(place, arguments.files // 5)
    directories = tree(str(daemon.volume), arguments.directories)
    began = time.time()
    daemon.start()
    started = time.time() - began
    figures = {
        "watch": daemon.facts().get("volumes"),
        "start_seconds": round(started, 1),
        "files_per_second_alone": alone,
    }
    if late is None:
        waits = []
        for number, content in enumerate(idle):
            path = os.path.join(directories[number * 17 % len(directories)], f"idle{number}")
            Path(path).write_bytes(content)
            closed = time.time()
            daemon.wait(lambda path=path: any(m["path"] == path for m in daemon.quarantined()))
            waits.append(daemon.quarantined()[-1]["heard"] - closed)
            time.sleep(0.5)
        if waits:
            figures["idle"] = spread(waits)
    writers, results = burst(directories, knowns, arguments.files)
    if arguments.kill:
        time.sleep(arguments.kill)
        daemon.end(9)
        daemon.start(until=None)
    closed, seconds = {}, []
    for _ in writers:
        part, took = results.get()
        closed |= part
        seconds.append(took)
    for writer in writers:
        writer.join()
    if late is not None:
        time.sleep(max(0.0, arguments.service_down - max(seconds)))
        figures["quarantined_while_down"] = len(daemon.quarantined())
        late.start()
    heard = {}

    def all_gone():
        for match in daemon.quarantined():
            heard.setdefault(match["path"], match["heard"])
        return not any(os.path.exists(path) for path in closed)

    daemon.wait(all_gone, arguments.settle)
    time.sleep(0.5)
    all_gone()
    daemon.wait_accounted(arguments.settle)
    stored = sum(1 for _ in (daemon.state / "quarantine").glob("2*/content"))
    figures |= {
        "writers_seconds": round(max(seconds), 1),
        "files_per_second": round(arguments.files / max(seconds)),
        "known": len(closed),
        "quarantined": stored - (len(idle) if late is None else 0),
        "unaccounted": len(daemon.files() - daemon.rows()),
        "lost_told": daemon.facts().get("lost"),
        "burst": spread([heard[p] - closed[p] for p in closed if p in heard]),
        "all_accounted_after": round(time.time() - max(closed.values()), 1),
        "exit": daemon.end(),
    }
    return figures


def spread(waits):
    """Median, 99th percentile, longest; seconds."""
    ordered = sorted(waits)
    last = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), 2),
        "p99": round(last, 2),
        "max": round(ordered[-1], 2),
    }


if __name__ == "__main__":
    main()
