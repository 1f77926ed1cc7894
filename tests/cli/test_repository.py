"""``hashscan repository`` on the command line: its messages, and the input that it refuses."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
import time

import pytest
import ready
from cryptography.hazmat.primitives import serialization

HASHSCAN = [sys.executable, "-m", "hashscan"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "list").write_text("".join(f"{os.urandom(20).hex()}\n" for _ in range(1200)))
    return tmp_path


def run(place, *arguments, **options):
    return ready.in_words(ready.hashscan(*arguments, cwd=place, **options))


def init(place, *more):
    return run(place, "repository", "init", "repository", "--keys", "keys", *more)


def add(place, *more, listed="list"):
    return run(
        place, "repository", "add", "repository", listed, "--keys", "keys", "--category",
        "baseline", *more,
    )  # fmt: skip


def test_what_a_publisher_is_told(place):
    done = init(place, "--root-keys", "3", "--root-threshold", "2", "--expires", "timestamp=6h")
    assert (done.returncode, done.stderr) == (0, "")
    assert "agents pin  repository/metadata/1.root.json" in done.stdout
    assert "off line    root-*.pem and targets-*.pem" in done.stdout
    made = sorted(path.name for path in (place / "keys").glob("root-*.pem"))
    assert made == ["root-1.pem", "root-2.pem", "root-3.pem"]
    done = add(place)
    assert (done.returncode, done.stderr) == (0, "")
    assert "repository: published 1,200 digests of baseline\n" in done.stdout
    (place / "list").write_text((place / "list").read_text() + os.urandom(20).hex() + "\n")
    done = add(place, "--patches", "3")
    assert "published 1,201 digests of baseline, 1,200 before" in done.stdout
    assert re.search(r"  patch       \d+ B from [0-9a-f]{12}\n", done.stdout)
    done = add(place)
    assert "1,201 digests of baseline, as before; what expires is renewed" in done.stdout
    with (place / "list").open("a") as file:
        file.write("no digest\nda39a3ee5e6b4b0d3255bfef95601890afd80709\n")
    assert add(place).returncode == 2
    told = json.loads(add(place, "--skip-invalid", "--json").stdout)
    assert (told["invalid"], told["empty"], told["changed"]) == (1, 1, False)


def test_a_warning_comes_before_the_end(place):
    init(place, "--expires", "targets=10d", "--expires", "root=20d")
    for name in ("root-1.pem", "targets-1.pem"):
        (place / "keys" / name).unlink()
    done = run(place, "repository", "refresh", "repository", "--keys", "keys")
    assert done.returncode == 0
    warnings = done.stderr.splitlines()
    assert len(warnings) == 2
    assert all("run 'hashscan repository refresh' with the" in line for line in warnings)
    done = run(place, "repository", "refresh", "repository", "--keys", "keys", "--json")
    assert len(json.loads(done.stdout)["warnings"]) == 2


def test_a_rotation_names_both_keys(place):
    init(place)
    done = run(place, "repository", "rotate", "repository", "--keys", "keys", "--role", "timestamp")
    assert done.returncode == 0
    assert "timestamp has the new key" in done.stdout
    assert "destroy its file" in done.stdout
    assert (place / "keys" / "timestamp-2.pem").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["init", "repository", "--keys", "repository/keys"], "lies in the repository"),
        (["init", "new", "--keys", "keys", "--root-threshold", "2"], "cannot give 2 signatures"),
        (["init", "list", "--keys", "new"], "is no directory"),
        (["add", "nowhere", "list", "--keys", "keys", "--category", "x"], "repository init"),
        (["add", "repository", "list", "--keys", "nowhere", "--category", "x"], "medium"),
        (["add", "repository", "nowhere", "--keys", "keys", "--category", "x"], "nowhere"),
        (["add", "repository", "list", "--keys", "keys", "--category", "../x"], "no category"),
        (["add", "repository", "empty", "--keys", "keys", "--category", "x"], "no digest"),
        (["add", "repository", "list", "--keys", "keys"], "--category"),
        (
            ["add", "repository", "repository/list", "--keys", "keys", "--category", "x"],
            "the list itself would be published",
        ),
        (
            [
                "add",
                "repository",
                "list",
                "--keys",
                "keys",
                "--category",
                "x",
                "--head-room",
                "nan",
            ],
            "--head-room",
        ),
        (["refresh", "repository", "--keys", "keys", "--expires", "root"], "not a duration"),
        (["refresh", "repository", "--keys", "keys", "--expires", "x=1d"], "roles are"),
        (["refresh", "repository", "--keys", "keys", "--expires", "root=1s"], "a minute"),
        (["refresh", "repository", "--keys", "keys", "--expires", "root=365"], "has no unit"),
        (["refresh", "repository", "--keys", "keys", "--expires", "root=12m"], "as months"),
        (["rotate", "repository", "--keys", "keys", "--role", "x"], "timestamp"),
        (["rotate", "repository", "--keys", "keys", "--role", "root", "--remove", "x"], "--remove"),
    ],
)
def test_what_is_refused_leaves_all_as_it_was(place, arguments, words):
    init(place)
    (place / "empty").write_text("")
    (place / "repository" / "list").write_text((place / "list").read_text())
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    done = run(place, "repository", *arguments)
    assert done.returncode == 2, done
    assert words in done.stderr
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_large_change_is_refused_until_it_is_meant(place):
    init(place)
    add(place)
    (place / "half").write_text("".join((place / "list").read_text().splitlines(True)[:600]))
    done = add(place, listed="half")
    assert done.returncode == 2
    assert "600 digests, and the version before 1,200" in done.stderr
    assert add(place, "--allow-large-change", listed="half").returncode == 0


def test_a_passphrase_is_asked_for_on_the_terminal(place):
    init(place)
    path = place / "keys" / "timestamp-1.pem"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*HASHSCAN, "repository", "refresh", "repository", "--keys", "keys"],
        cwd=place, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            told = b""
            while b"Passphrase of" not in told:
                told += os.read(ours, 1000)
            # The terminal drops input that is typed before its echo is off.
            while termios.tcgetattr(ours)[3] & termios.ECHO:
                time.sleep(0.01)
            os.write(ours, b"word\n")
            out = process.stdout.read()
        except BaseException:
            process.kill()
            raise
    os.close(ours)
    assert process.returncode == 0
    assert b"refreshed" in out


def test_keys_are_listed_with_their_ids_and_files(place):
    init(place, "--root-keys", "2")
    os.mkdir(place / "other", 0o700)
    (place / "keys" / "root-2.pem").rename(place / "other" / "root-2.pem")
    command = ("repository", "keys", "repository", "--keys", "keys", "--json")
    done = run(place, *command)
    roles = {one["role"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert list(roles) == ["root", "targets", "snapshot", "timestamp"]
    files = {key["file"]: key["id"] for key in roles["root"]["keys"]}
    assert set(files) == {"keys/root-1.pem", None}
    text = run(place, *command[:-1], "--keys", "other").stdout
    assert "root: 1 of 2 must sign; their last signed metadata expire 20" in text
    assert f"  {files[None]}  other/root-2.pem\n" in text
    # --remove takes this id.
    both = ("--keys", "keys", "--keys", "other")
    gone = ("repository", "rotate", "repository", *both, "--role", "root", "--remove", files[None])
    assert run(place, *gone).returncode == 0
    assert files[None] not in run(place, *command[:-1], "--keys", "other").stdout


def test_a_repository_in_a_fresh_mount(place):
    os.makedirs(place / "repository" / "lost+found", 0o700)
    (place / "repository" / ".snapshot").mkdir()
    assert init(place).returncode == 0
    assert add(place).returncode == 0
    os.makedirs(place / "foreign" / "lost+found")
    (place / "foreign" / "x").touch()
    done = run(place, "repository", "init", "foreign", "--keys", "others")
    assert (done.returncode, "is not empty" in done.stderr) == (2, True)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN"])
@pytest.mark.parametrize(
    "words",
    [
        ("service", "run", "--data", "d", "--listen", "127.0.0.1:1", "--rate"),
        ("service", "run", "--data", "d", "--listen", "127.0.0.1:1", "--audit-days"),
        ("repository", "add", "r", "list", "--keys", "k", "--category", "x", "--head-room"),
        ("repository", "add", "r", "list", "--keys", "k", "--category", "x", "--error-rate"),
        ("filter", "build", "list", "-o", "f", "--error-rate"),
    ],
)
def test_what_is_no_number_is_refused(place, words, value):
    done = run(place, *words, value)
    assert done.returncode == 2, done.stderr
    assert not (place / "f").exists()
    assert not (place / "d").exists()
