"""``quarantine withdrawn``, ``list --withdrawn`` and ``status``, with lists on this machine."""

import hashlib
import json
import os

import pytest
from click.testing import CliRunner
from isolating import confirmed

from hashscan.audit.reader import read
from hashscan.catalog.store import Catalog
from hashscan.cli.quarantine import command
from hashscan.config.loader import load_or_default
from hashscan.errors import UsageError
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.status import status_of
from hashscan.jobs.status_complaints import complaints
from hashscan.model import Answer, Digest
from hashscan.quarantine import store as store_module
from hashscan.quarantine.act import Quarantine
from hashscan.timeline import instant

CONTENTS = {"a": b"material", "b": b"wordpress", "c": b"wordpress"}


def sha1(content):
    return hashlib.sha1(content).hexdigest()


class Machine:
    """A state, a list, a quarantine, and days that pass when the test says so."""

    def __init__(self, tmp_path, volume):
        self.tmp_path, self.volume = tmp_path, volume
        self.state = tmp_path / "state"
        self.list = tmp_path / "known.txt"
        self.config = tmp_path / "config.yaml"
        self.later = 0.0
        self.config.write_text(
            f"state: {self.state}\nservice: {{kind: local, known: [{self.list}]}}\n"
        )
        self.write_list(*CONTENTS.values())
        self.state.mkdir(mode=0o700)
        quarantine = Quarantine.open(os.fsencode(self.state / "quarantine"))
        for name, content in CONTENTS.items():
            (volume / name).write_bytes(content)
            match = confirmed(volume, name)
            values = {one: getattr(match, one) for one in match.__slots__}
            values["service"] = f"local:{self.list}"
            assert quarantine.act(type(match)(**values)).action == "quarantined"
        quarantine.close()

    def write_list(self, *contents):
        self.list.write_text("".join(f"{sha1(one)}\n" for one in dict.fromkeys(contents)))

    def run(self, *words):
        class Context:
            config_path = str(self.config)

        return CliRunner().invoke(command, [*map(str, words)], obj=Context())

    def lines(self, *words):
        done = self.run(*words, "--json")
        assert done.exception is None, done.exception
        return [json.loads(line) for line in done.stdout.splitlines()]

    def complaints(self):
        found = complaints(status_of(load_or_default(str(self.config), state=None)))
        return [one.message for one in found if one.reason is Reason.WITHDRAWN]


@pytest.fixture
def machine(tmp_path, volume, monkeypatch):
    made = Machine(tmp_path, volume)

    def now():
        real = instant()
        return real._replace(boottime=real.boottime + made.later, wall=real.wall + made.later)

    monkeypatch.setattr(store_module, "instant", now)
    return made


def asked(machine, days):
    for _ in range(days):
        machine.later += 86400.0
        done = machine.run("withdrawn", "--ask")
        assert done.exception is None, done.exception
    return done


def test_a_list_that_is_corrected_has_its_files_back_by_one_command(machine):
    machine.write_list(b"material")
    assert machine.complaints() == []
    asked(machine, 1)
    (line,) = machine.lines("withdrawn")
    assert line == {
        "event": "withdrawn", "digest": {"sha1": sha1(b"wordpress")}, "category": "baseline",
        "files": 2, "state": "unknown", "since": line["since"],
        "service": f"local:{machine.list}", "reason": None,
    }  # fmt: skip
    with_catalog = Catalog(str(machine.state / "catalog.sqlite3"))
    with_catalog.put_verdict("s", Digest("sha1", sha1(b"wordpress")), Answer(known=True), 1)
    with_catalog.close()
    assert "0 questions answered: no digest is due" in machine.run("withdrawn", "--ask").stderr
    assert "unknown: withdrawn after the same answer at least a day later" in (
        machine.run("withdrawn").stdout
    )
    assert "0 digests accepted: none is held" in machine.run("withdrawn", "--accept").stderr
    done = asked(machine, 1)
    assert "withdrawn" in done.stdout
    assert "restore --withdrawn" in done.stdout
    (message,) = machine.complaints()
    assert "2 files in quarantine whose digest the service withdrew" in message
    assert len(machine.lines("list", "--withdrawn")) == 2
    assert "withdrawn  " in machine.run("list").stdout
    assert "withdrawn" in machine.run("show", machine.lines("list", "--withdrawn")[0]["id"]).stdout
    (event,) = [one for one in read(str(machine.state)) if one.event == "withdrawn"]
    assert (event.facts["files"], event.who.by) == (2, "command")
    done = machine.run("restore", "--withdrawn")
    assert done.exception is None
    assert {one.name for one in machine.volume.iterdir()} == {"b", "c"}
    assert machine.complaints() == []
    assert "no file in quarantine is withdrawn" in machine.run("list", "--withdrawn").stdout
    catalog = Catalog(str(machine.state / "catalog.sqlite3"))
    assert catalog.verdict("s", Digest("sha1", sha1(b"wordpress")), 1) is None
    catalog.close()


def test_a_list_that_is_another_one_is_held_until_somebody_accepts(machine):
    machine.write_list(b"something else")
    asked(machine, 2)
    lines = machine.lines("withdrawn")
    assert {one["state"] for one in lines} == {"held"}
    assert "knows none of the digests" in lines[0]["reason"]
    (message,) = machine.complaints()
    assert "nothing is withdrawn" in message
    assert "--accept" in message
    assert "--accept" in machine.run("withdrawn").stdout
    assert "0 files restored" in machine.run("restore", "--withdrawn").stdout
    done = machine.run("withdrawn", "--accept", "--digest", sha1(b"wordpress"))
    assert done.exception is None, done.exception
    assert "1 digest accepted" in done.stderr
    held, withdrawn = read(str(machine.state))
    assert (held.event, held.facts["digests"]) == ("withdrawal-held", 2)
    assert (withdrawn.event, withdrawn.who.by) == ("withdrawn", "command")
    assert withdrawn.facts["digest"] == {"sha1": sha1(b"wordpress")}
    assert "2 files restored" in machine.run("restore", "--withdrawn").stdout
    assert [one["state"] for one in machine.lines("withdrawn")] == ["held"]


def test_nothing_was_asked_yet(machine):
    assert "the service still knows every digest" in machine.run("withdrawn").stdout
    assert "0 digests accepted" in machine.run("withdrawn", "--accept").stderr
    assert isinstance(machine.run("withdrawn", "--digest", "0" * 40).exception, UsageError)
