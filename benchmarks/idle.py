"""What the daemon costs while nothing happens: processor time an hour, and memory.

python benchmarks/idle.py --watch inotify --directories 40000 --seconds 120
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from running_daemon import Daemon
from soak import processes


def spent(parent):
    """Seconds of processor time, of the daemon and its children."""
    ticks = 0
    for process in processes(parent):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(parent):
    """Proportional and resident memory of each process, in MiB."""
    found = []
    for process in processes(parent):
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        found.append(
            [
                round(int(rollup.split(f"\n{name}:")[1].split()[0]) / 1024, 1)
                for name in ("Pss", "Rss")
            ]
        )
    return found


def main():
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watch", default="inotify")
    parser.add_argument("--directories", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    place = tempfile.mkdtemp(prefix="hashscan-idle-")
    try:
        with Daemon(place, watch=arguments.watch, fresh=True) as daemon:
            for number in range(arguments.directories):
                (daemon.volume / f"d{number // 200}" / f"e{number % 200}").mkdir(parents=True)
            daemon.start()
            time.sleep(10)
            before = spent(daemon.process.pid)
            time.sleep(arguments.seconds)
            used = spent(daemon.process.pid) - before
            each = memory(daemon.process.pid)
            print(
                json.dumps(
                    {
                        "watch": arguments.watch,
                        "directories": arguments.directories,
                        "processes": len(each),
                        "cpu_seconds_an_hour": round(used * 3600 / arguments.seconds, 1),
                        "pss_mib": round(sum(one[0] for one in each), 1),
                        "pss_rss_of_each": each,
                    }
                )
            )
            daemon.end()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
