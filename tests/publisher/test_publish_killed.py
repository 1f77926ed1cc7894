"""A publisher that is killed at any instant, or has no room, leaves what agents can sync."""

import os
import subprocess
import sys

import pytest
from dying import Dying
from publishing import Agent, random_digests
from tuf.api.metadata import Metadata

from hashscan.errors import (
    ExitCode,
)

PUBLISH = """
import sys
from hashscan.publisher import publish, versions
what, path, keys, listed = sys.argv[1:5]
if what == "add":
    versions.add(path, [keys], "baseline", [listed], jobs=1, allow_large_change=True)
elif what == "refresh":
    publish.refresh(path, [keys])
else:
    publish.rotate(path, [keys], what, remove=sys.argv[5:])
"""
LONG = bool(os.environ.get("HASHSCAN_LONG"))
#: A process that is killed at fsync leaves the files that it leaves at the next of the other calls.
CALLS = ("fsync," if LONG else "") + "replace,link,mkdir,unlink,utime"


@pytest.mark.parametrize("what", ["add", "refresh", "timestamp", "targets", "root"])
def test_killed_at_any_instant_agents_can_sync(what, tmp_path, publisher, server, digests):
    agent = Agent(tmp_path / "state", server.url, publisher.root)
    agent.sync()
    with Dying(PUBLISH, CALLS) as script:
        for step, instant in enumerate(script.instants()):
            listed = publisher.directory / "next"
            new = [*digests[step % 9 :], os.urandom(20).hex()]
            listed.write_text("".join(f"{digest}\n" for digest in new))
            root = Metadata.from_bytes(publisher.read(publisher.newest("root"))).signed
            present = root.roles[what].keyids if what in root.roles else []
            script.run(instant, what, publisher.path, publisher.keys, listed, *present)
            assert agent.sync().exit_code == ExitCode.NOTHING_FOUND, (instant, agent.sync())
            publisher.add(digests[step % 7 :])
            assert agent.sync().exit_code == ExitCode.NOTHING_FOUND, instant
            assert agent.bytes == publisher.published, instant
    assert step >= 3


def test_a_full_disk_publishes_nothing(publisher, server, tmp_path):
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from hashscan.errors import HashscanError\n"
        "from hashscan.publisher import versions\n"
        "import hashscan.publisher.repository\n"
        "for limit in sys.argv[4:]:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))\n"
        "    try: versions.add(sys.argv[1], [sys.argv[2]], 'baseline', [sys.argv[3]], jobs=1,"
        " allow_large_change=True)\n"
        "    except HashscanError as error: print(type(error).__name__, error)\n"
    )
    listed = tmp_path / "list"
    listed.write_text("".join(f"{digest}\n" for digest in random_digests(3000)))
    before = publisher.published
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            publisher.path,
            publisher.keys,
            listed,
            "500",
            "8000",
            "13000",
        ],
        capture_output=True,
        text=True,
    )
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == ["StateError"] * 3, done
    agent = Agent(tmp_path / "state", server.url, publisher.root)
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    assert agent.bytes == before
