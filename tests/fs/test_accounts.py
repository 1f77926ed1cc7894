"""hashscan.fs.accounts: user ids that one customer can give files to are one owner."""

import os
import pwd
from contextlib import closing

import pytest
from brake_matches import Events, Moving, match

from hashscan.fs import accounts as module
from hashscan.fs.accounts import Accounts
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.brakes import Brakes
from hashscan.quarantine.hold_types import HoldKind
from hashscan.quarantine.holds import Holds


def unknown(_volume):
    """No scan has counted the files of this volume yet."""
    return


USERS = {"first": 1000, "mallory": 1001, "alice": 1002, "lxd": 998, "root": 0}


@pytest.fixture
def subuid(tmp_path, monkeypatch):
    def named(name):
        if name not in USERS:
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", USERS[name], 1, "", "/", "/bin/sh"))

    monkeypatch.setattr(module.pwd, "getpwnam", named)
    monkeypatch.setattr(module, "user_name", {120_000: "bob"}.get)
    path = tmp_path / "subuid"
    path.write_text(
        "mallory:100000:65536\nlxd:1000000:65536\nroot:2000000:65536\n1002:165536:65536\n"
        "gone:300000:65536\nfirst:400000:65536\n# a comment\nbroken:x:y\n:5:5\nalso:5\n\xff\n"
    )
    return path


@pytest.mark.parametrize(
    ("uid", "owner"),
    [
        (1001, 1001),
        (99_999, 99_999),
        (100_000, 1001),
        (165_535, 1001),
        (165_536, 1002),
        (231_072, 231_072),
        (400_000, 1000),
        (300_000, 300_000),  # nobody has this name any more
        (1_000_000, 1_000_000),  # a container's, not one customer's
        (2_000_000, 2_000_000),
        (5, 5),
        (120_000, 120_000),  # an account of its own, in a range that is wrong
    ],
)
def test_an_id_of_a_users_range_is_that_user(subuid, uid, owner):
    assert Accounts(str(subuid)).of(uid) == owner


def test_a_change_of_the_file_counts_from_the_next_question(subuid):
    accounts = Accounts(str(subuid))
    assert accounts.of(100_000) == 1001
    subuid.write_text("alice:100000:65536\n")
    assert accounts.of(100_000) == 1002
    os.unlink(subuid)
    assert accounts.of(100_000) == 100_000


def test_a_customer_with_a_range_has_only_his_own_files_held(tmp_path, subuid):
    limits = BrakeLimits(owners=5, files=20, per_hour=50)
    path, moving = str(tmp_path / "holds.sqlite3"), Moving()
    with closing(
        Brakes(
            moving, path, limits, events=Events(), files_of=unknown, accounts=Accounts(str(subuid))
        )
    ) as brakes:
        copies = [brakes.act(match(f"m/{n}", 100_000 + n)).action for n in range(30)]
        others = [brakes.act(match(f"{uid}/f", uid)).action for uid in range(5000, 5004)]
        many = [brakes.act(match(f"n/{n}", 101_000 + n, b"%d" % n)).action for n in range(90)]
        more = [brakes.act(match(f"{uid}/g", uid, b"%d" % uid)).action for uid in range(5000, 5010)]
    assert copies == ["quarantined"] * 20 + ["held"] * 10
    assert others == ["quarantined"] * 4
    assert many.count("quarantined") == 26  # 20 copies and the 4 of others before them
    assert more == ["quarantined"] * 10
    with Holds(path) as holds:
        assert [(one.kind, one.uid) for one in holds.holds()] == [
            (HoldKind.COPIES, 1001), (HoldKind.RATE, 1001)
        ]  # fmt: skip
