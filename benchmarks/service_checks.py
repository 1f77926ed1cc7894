# ruff: noqa: INP001 - a script, not a package
"""Checks a second: the agent's client against the reference service, over real loopback sockets.

Usage: python benchmarks/service_checks.py [CANDIDATES [RUNS]]

Half of the candidates are known; each answer is compared. The client asks with as many threads as a
scan does.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from hashscan.known.confirmers.hashcheckservice import HashCheckService
from hashscan.model import Digest
from hashscan.scan.asking import PARALLEL
from hashscan.service.data import Data, load_set
from hashscan.service.serve import running
from hashscan.service.users import add_user


def main(count: int, runs: int) -> None:
    """Ask ``count`` distinct digests, ``runs`` times with a new list each."""
    rates = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as directory:
            digests = [os.urandom(20).hex() for _ in range(count)]
            known = set(digests[::2])
            listed = os.path.join(directory, "list")
            with open(listed, "w", encoding="ascii") as file:
                file.writelines(f"{digest}\n" for digest in sorted(known))
            data = Data(os.path.join(directory, "data"))
            load_set(data, "known", [listed])
            add_user(data, "me", "a password of some length")
            with running(data.directory, ["--rate", "1000000"]) as url:
                client = HashCheckService(
                    url=url,
                    username="me",
                    password="a password of some length",  # noqa: S106
                )
                started = time.monotonic()
                with ThreadPoolExecutor(PARALLEL) as threads:
                    asked = threads.map(client.confirm, (Digest("sha1", one) for one in digests))
                    answers = [answer.known for answer in asked]
                seconds = time.monotonic() - started
                client.close()
            assert answers == [digest in known for digest in digests]
            rates.append(count / seconds)
    print(  # noqa: T201
        f"{count:,} distinct candidates, {PARALLEL} threads, {runs} runs: "
        f"{statistics.median(rates):,.0f} checks/s (median; {min(rates):,.0f} to {max(rates):,.0f})"
    )


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:3]]
    main(*given, *(10_000, 3)[len(given) :])
