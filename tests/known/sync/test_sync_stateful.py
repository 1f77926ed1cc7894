"""Random lives of a repository and an agent: after each sync that works they hold the same bytes."""

import os
import subprocess
import tempfile

import pytest
from file_server import FileServer, flip, redirect, shorter, status, truncate
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from publishing import Agent, Publisher, random_digests

from hashscan.errors import ExitCode, FilterError

FAULTS = {
    "flip": flip,
    "cut": truncate(),
    "shorter": shorter(),
    "500": status(500),
    "404": status(404),
    "redirect": redirect("http://elsewhere.example/"),
}
FILES = [
    "timestamp.json",
    ".snapshot.json",
    ".targets.json",
    "/targets/",
    "patch-from",
    "filter.zst",
]


class Life(RuleBasedStateMachine):
    """Digests come and go, keys change, syncs are missed or meet a faulty mirror."""

    @initialize(count=st.integers(1, 300))
    def begin(self, count):
        self.directory = tempfile.mkdtemp(prefix="hashscan-test-")
        self.publisher = Publisher(self.directory + "/publisher").init()
        self.held = random_digests(count)
        self.withdrawn = []
        self.publisher.add(self.held)
        self.server = FileServer(self.publisher.path)
        self.server.__enter__()
        self.agent = Agent(self.directory + "/state", self.server.url, self.publisher.root)
        self.in_use = None

    @rule(count=st.integers(1, 60))
    def add(self, count):
        self.held += random_digests(count)
        self.publisher.add(self.held)

    @rule(share=st.floats(0.01, 0.9))
    def withdraw(self, share):
        count = min(len(self.held) - 1, int(len(self.held) * share))
        self.withdrawn += self.held[:count]
        del self.held[:count]
        self.publisher.add(self.held)

    @rule()
    def bring_back(self):
        self.held += self.withdrawn
        self.withdrawn = []
        self.publisher.add(self.held)

    @rule()
    def publish_the_same_again(self):
        self.publisher.add(self.held)

    @rule()
    def refresh(self):
        self.publisher.refresh()

    @rule(role=st.sampled_from(["root", "targets", "snapshot", "timestamp"]))
    def rotate(self, role):
        self.publisher.rotate(role)

    @rule()
    def sync(self):
        report = self.agent.sync()
        assert report.exit_code == ExitCode.NOTHING_FOUND, report
        self.same()

    @rule(
        fault=st.sampled_from(sorted(FAULTS)),
        file=st.sampled_from(FILES),
        times=st.sampled_from([1, 2, float("inf")]),
    )
    def sync_from_a_faulty_mirror(self, fault, file, times):
        self.server.fault(file, FAULTS[fault], times)
        report = self.agent.sync()
        if report.exit_code == ExitCode.NOTHING_FOUND:
            self.same()
        self.server.heal()

    def same(self):
        self.in_use = self.agent.bytes
        assert self.in_use == self.publisher.published
        one = self.agent.filter()
        assert all(digest in one for digest in self.held)
        assert one.metadata.digests == len(self.held)

    @invariant()
    def nothing_but_a_sync_that_works_changes_the_filter(self):
        if not hasattr(self, "agent"):
            return
        if self.in_use is None:
            with pytest.raises(FilterError):
                self.agent.filter()
        else:
            assert self.agent.bytes == self.in_use

    def teardown(self):
        if hasattr(self, "server"):
            self.server.__exit__()
            subprocess.run(["rm", "-rf", self.directory], check=True)


TestLife = Life.TestCase
TestLife.settings = settings(
    # A hundred: make test-long. Fewer where every commit waits for it.
    max_examples=int(os.environ.get("HASHSCAN_SEQUENCES", "8")),
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLife.pytestmark = [pytest.mark.timeout(300)]
