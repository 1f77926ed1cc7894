"""Memory and CPU time of processes, from /proc."""

import os
import time

from hashscan.metrics.processes import usage_of
from hashscan.processes import Child


def test_what_processes_use():
    def burn(theirs):
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        theirs.send(0)
        theirs.recv()

    before, children = usage_of(os.getpid())
    child = Child(burn)
    child.connection.recv()
    own, running = usage_of(os.getpid())
    assert running.processes == children.processes + 1
    assert running.memory > children.memory
    assert running.cpu >= children.cpu + 0.25
    assert own.processes == 1
    assert own.memory > 1 << 20
    assert own.cpu >= before.cpu
    child.connection.send(0)
    child.wait(60)
    child.end()
    after = usage_of(os.getpid())[1]
    assert after.processes == children.processes
    assert after.cpu >= running.cpu, "the time of a process that has ended counts"
    assert usage_of(2**22 - 1)[0].cpu == 0
