"""The lock ends with the engine that holds it, not with the last of its worker processes."""

import os
import secrets
import time

from commandline import Agent, members, started, until


def test_lock_of_a_killed_engine(volume, tmp_path):
    known = tmp_path / "state.list"
    config = tmp_path / "config.yaml"
    config.write_text(f"service: {{kind: local, known: ['{known}']}}\nscan: {{max_rate: 500KiB}}\n")
    content = secrets.token_bytes(16 << 20)
    (volume / "large").write_bytes(content)
    slow = Agent(tmp_path / "state", volume, [content], config=config)
    quick = Agent(tmp_path / "state", volume, [content])
    codes = []
    for _ in range(2):
        with started(*slow.arguments("--json", "--full")) as process:
            until(lambda group=process.pid: len(members(group)) > 2, 30, "workers are there")
            time.sleep(0.6)
            os.kill(process.pid, 9)
            process.wait()
            codes.append(quick.scan("--full").code)
    assert codes == [1] * 2
