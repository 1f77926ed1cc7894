"""The service's directory and its known sets, also after a kill."""

import os
import signal
from pathlib import Path

import pytest
from dying import Dying
from publishing import random_digests
from service_clients import digest_of

from hashscan.errors import DigestListError, StateError, UsageError
from hashscan.service.data import Data


def test_a_damaged_set_is_told_and_answers_nothing(prepared):
    (directory,) = {one["directory"] for one in prepared.data.sets().values()} - {
        prepared.data.sets()["test"]["directory"]
    }
    path = Path(prepared.data.path(directory), "index.sqlite3")
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateError, match="damaged"):
        prepared.data.open_set("known")


LOAD = """
import sys
from hashscan.service.data import Data, load_set
load_set(Data(sys.argv[1]), "known", [sys.argv[2]])
"""


def test_killed_while_a_list_is_loaded_the_old_or_the_new_one_is_whole(prepared):
    old = prepared.known
    with Dying(LOAD) as script:
        for step in range(40):
            new = random_digests(20)
            (prepared.directory / "new").write_text("\n".join(new))
            done = script.run(step, prepared.data.directory, prepared.directory / "new")
            one = prepared.data.open_set("known")
            answers = {one.confirm(digest_of(digest)).known for digest in old}
            others = {one.confirm(digest_of(digest)).known for digest in new}
            one.close()
            assert (answers, others) in [({True}, {False}), ({False}, {True})], step
            old = old if True in answers else new
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL, done.stderr
    assert step > 5
    assert len([n for n in os.listdir(prepared.data.directory) if n.startswith("set-")]) == 2


def test_the_directory_is_made_for_its_owner_only(tmp_path):
    data = Data(str(tmp_path / "a" / "data"))
    assert os.stat(data.directory).st_mode & 0o777 == 0o700
    assert data.path("x") == f"{tmp_path}/a/data/x"
    assert (data.sets(), data.open_set("known"), data.stamp()) == ({}, None, None)


def test_a_directory_that_others_may_enter_is_refused(tmp_path):
    os.chmod(tmp_path, 0o710)
    with pytest.raises(UsageError, match=r"mode 0710\); run: chmod 700"):
        Data(str(tmp_path))


def test_a_file_is_no_directory_and_the_option_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Not a directory; name another directory with --state"):
        Data(str(tmp_path / "file"), "--state")


@pytest.mark.parametrize("content", ["", "[]", '{"known": {}}', '{"known": {"directory": "x"}}'])
def test_a_damaged_file_of_sets_is_named(content, tmp_path):
    data = Data(str(tmp_path / "data"))
    (tmp_path / "data" / "sets.json").write_text(content)
    with pytest.raises(StateError, match=r"sets\.json: is damaged; load the lists again"):
        data.open_set("known")


def test_a_list_that_cannot_be_used_leaves_the_set_in_use(prepared):
    before, stamp = prepared.data.sets(), prepared.data.stamp()
    with pytest.raises(DigestListError):
        prepared.load(["no digest"])
    assert (prepared.data.sets(), prepared.data.stamp()) == (before, stamp)
    assert prepared.load(prepared.known[:7]) == 7
    assert prepared.data.stamp() != stamp
    assert prepared.data.sets()["test"] == before["test"]
