# ruff: noqa: INP001 - a script, not a package
"""Checks a second: the agent's client against the reference service, over real loopback sockets.

Usage: python benchmarks/service_checks.py [CANDIDATES [RUNS]]

Half of the candidates are known; each answer is compared. First the client alone, with as many
threads as a scan uses; then a whole scan of that many small files, all of them candidates.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from hashscan.known.confirmers.hashcheckservice import HashCheckService
from hashscan.known.filters.build import build
from hashscan.model import Digest
from hashscan.scan.asker import PARALLEL
from hashscan.service.data import Data, load_set
from hashscan.service.serve import running
from hashscan.service.users import add_user

PASSWORD = "a password of some length"  # noqa: S105


def serve(directory: str, known: list[str]) -> Data:
    """A service's directory with a list and a user."""
    listed = os.path.join(directory, "list")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"{digest}\n" for digest in sorted(known))
    data = Data(os.path.join(directory, "data"))
    load_set(data, "known", [listed])
    add_user(data, "me", PASSWORD)
    return data


def tell(what: str, rates: list[float]) -> None:
    """One line of the result."""
    print(  # noqa: T201
        f"{what}: {statistics.median(rates):,.0f} checks/s "
        f"(median of {len(rates)} runs; {min(rates):,.0f} to {max(rates):,.0f})",
        flush=True,
    )


def scan(count: int) -> float:
    """Seconds of a scan of ``count`` files, all candidates, half of them known."""
    with tempfile.TemporaryDirectory() as directory:
        volume = os.path.join(directory, "volume")
        os.mkdir(volume)
        digests = []
        for number in range(count):
            content = os.urandom(64)
            with open(os.path.join(volume, str(number)), "wb") as file:
                file.write(content)
            digests.append(hashlib.sha1(content, usedforsecurity=False).hexdigest())
        data = serve(directory, digests[::2])
        whole = os.path.join(directory, "whole")
        with open(whole, "w", encoding="ascii") as file:
            file.writelines(f"{digest}\n" for digest in digests)
        build([whole], os.path.join(directory, "filter"))
        password = os.path.join(directory, "password")
        with open(
            os.open(password, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(PASSWORD)
        with running(data.directory, ["--rate", "1000000"]) as url:
            config = os.path.join(directory, "config.yaml")
            settings = {
                "state": os.path.join(directory, "state"),
                "service": {"url": url, "username": "me", "password_file": password},
                "filter": {"source": os.path.join(directory, "filter")},
            }
            with open(config, "w", encoding="ascii") as file:
                json.dump(settings, file)
            started = time.monotonic()
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-m", "hashscan", "--config", config, "scan", volume, "--json"],
                capture_output=True,
                check=False,
            )
            seconds = time.monotonic() - started
        summary = json.loads(done.stdout.splitlines()[-1])
        assert summary["candidates"] == count, summary
        assert summary["matches"] == summary["false_positives"] == count // 2, summary
        return seconds


def main(count: int, runs: int) -> None:
    """Ask ``count`` distinct digests, ``runs`` times with a new list each; then scan."""
    rates = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as directory:
            digests = [os.urandom(20).hex() for _ in range(count)]
            known = set(digests[::2])
            data = serve(directory, digests[::2])
            with running(data.directory, ["--rate", "1000000"]) as url:
                client = HashCheckService(url=url, username="me", password=PASSWORD)
                started = time.monotonic()
                with ThreadPoolExecutor(PARALLEL) as threads:
                    asked = threads.map(client.confirm, (Digest("sha1", one) for one in digests))
                    answers = [answer.known for answer in asked]
                seconds = time.monotonic() - started
                client.close()
            assert answers == [digest in known for digest in digests]
            rates.append(count / seconds)
    tell(f"{count:,} distinct candidates, {PARALLEL} threads", rates)
    tell(f"a scan of {count:,} candidates", [count / scan(count) for _ in range(runs)])


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:3]]
    main(*given, *(10_000, 3)[len(given) :])
