"""A password that is changed while the daemon runs: whoever asks next has the new one."""

import pytest
from fault_server import KnownServer
from scanning import make_filter

from hashscan.config.loader import load
from hashscan.errors import Fault
from hashscan.jobs.known_set import open_known_set
from hashscan.model import Answer, Digest
from hashscan.scan.asker import Asker
from hashscan.state import State

DIGEST = Digest("sha1", "ab" * 20)


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text("old and wrong")
    path.chmod(0o600)
    return path


@pytest.fixture
def asker(tmp_path, password):
    config = tmp_path / "config.yaml"
    filter_file = make_filter(tmp_path / "f.filter", {DIGEST.hex})
    with KnownServer([DIGEST.hex], password="new and right") as server:
        config.write_text(
            "service:\n  kind: hashcheckservice\n"
            f"  url: {server.url}\n  username: hashscan\n  password_file: {password}\n"
            f"  timeout: 5s\nfilter:\n  source: {filter_file}\n"
        )
        known = open_known_set(load(str(config)), State(str(tmp_path / "state")), (), print)
        one = Asker(known.make_confirmer)
        yield one
        one.close()


def asked(asker):
    asker.ask(DIGEST)
    assert asker.connection.poll(20)
    (reply,) = asker.replies()
    return reply.answer


def test_it_is_read_anew(asker, password):
    found = asked(asker)
    assert (found.fault, found.is_last) == (Fault.CREDENTIALS, True)
    password.write_text("new and right")
    asker.restart()
    assert asked(asker) == Answer(known=True)


def test_one_that_is_just_being_written_is_waited_for(asker, password):
    password.write_text("")
    asker.restart()
    found = asked(asker)
    assert "no usable password" in found.message
    assert (found.fault, found.is_last) == (None, False)
    password.write_text("new and right")
    assert asked(asker) == Answer(known=True)
