"""The running service follows changes of users and lists, and says why it does not start."""

import base64
import os
import subprocess
import sys

import pytest
import requests
from publishing import random_digests
from service_clients import PASSWORD, digest_of, post, until

from hashscan.errors import (
    StateError,
    UsageError,
)
from hashscan.service.data import Data
from hashscan.service.serve import ServeOptions, running, serve
from hashscan.service.users import USERS, add_user


def test_a_running_service_follows_changes_of_users(served):
    def code(user, password):
        return post(served, "/v1/check/sha1", "0" * 40, user, password).status_code

    assert code("me", PASSWORD) == 200
    add_user(served.data, "new", "the first password")
    until(lambda: code("new", "the first password") == 200)
    add_user(served.data, "new", "the second password")
    until(lambda: code("new", "the first password") == 401)
    assert code("new", "the second password") == 200
    USERS.remove(served.data, "me")
    until(lambda: code("me", PASSWORD) == 401)


def test_a_new_list_is_taken_over_while_it_runs(served):
    fresh = random_digests(5)
    client = served.client()
    assert not client.confirm(digest_of(fresh[0])).known
    served.load(fresh)
    until(lambda: client.confirm(digest_of(fresh[0])).known)
    assert not client.confirm(digest_of(served.known[0])).known
    client.close()
    sets = [name for name in os.listdir(served.data.directory) if name.startswith("set-")]
    assert len(sets) == 2


def test_without_a_list_there_is_no_verdict(tmp_path):
    data = Data(str(tmp_path / "data"))
    add_user(data, "me", PASSWORD)
    with running(data.directory) as url:
        token = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        answer = requests.post(
            url + "/v1/check/sha1", data="0" * 40, headers={"Authorization": f"Basic {token}"},
            timeout=60,
        )  # fmt: skip
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ServeOptions(host="0.0.0.0"), "readable on the way"),
        (ServeOptions(host="192.0.2.1"), "readable on the way"),
        (ServeOptions(host="192.0.2.1", behind_proxy=True), "cannot listen there"),
        (ServeOptions(certificate="/none"), "together"),
        (ServeOptions(certificate="/none", key="/none"), "cannot be read"),
        (ServeOptions(repository="/none"), "is no directory"),
    ],
)
def test_what_cannot_be_served(options, words, prepared):
    with pytest.raises(UsageError, match=words):
        serve(prepared.data, options, print)


def test_a_service_that_cannot_start_says_why(tmp_path):
    (tmp_path / "data").mkdir(mode=0o755)
    with pytest.raises(StateError, match="chmod 700"), running(str(tmp_path / "data")):
        pass


def test_killed_it_leaves_nothing_that_keeps_it_from_starting(prepared):
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-m", "hashscan", "service", "run", "--data",
             prepared.data.directory, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            prepared.url = process.stderr.readline().decode().split()[-1]
            assert post(prepared, "/v1/check/sha1", prepared.known[0]).text == "true"
            process.kill()
