"""Names are bytes: the same in a locale of any encoding."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scanning import sha1

COMMANDS = {
    "installed": [str(Path(__file__).parents[2] / "packaging" / "bin" / "hashscan")],
    "module": [sys.executable, "-m", "hashscan"],
}
LATIN = "de_DE.ISO-8859-1"

NAMES = ["bücher/é".encode(), b"caf\xe9", "日本".encode(), b"line\nbreak", b"\xff\xfe"]
HIDDEN = "privé/ß.jpg".encode()


@pytest.fixture(scope="session")
def latin(tmp_path_factory):
    """The environment of a real locale whose encoding is ISO-8859-1."""
    if shutil.which("localedef") is None:
        pytest.skip("this machine has no localedef")
    place = tmp_path_factory.mktemp("locales")
    subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", place / LATIN], capture_output=True
    )
    env = {"LOCPATH": str(place), "LC_ALL": LATIN}
    code = "import locale; print(locale.getencoding())"
    plain = [sys.executable, "-X", "utf8=0", "-c", code]
    done = subprocess.run(plain, env=env, capture_output=True, text=True)
    if done.stdout.upper() != "ISO-8859-1\n":
        pytest.skip("this machine can make no locale of ISO-8859-1")
    return env


@pytest.fixture(
    params=[("installed", "latin"), ("module", "latin"), ("installed", "C"), ("module", "POSIX")],
    ids="-".join,
)
def run(request, place):
    name, locale = request.param
    command = COMMANDS[name]
    env = request.getfixturevalue("latin") if locale == "latin" else {"LC_ALL": locale}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def call(*words, code=0):
        done = subprocess.run(
            [*command, *map(os.fsencode, words)],
            env={"PATH": path, "HOME": str(place), **env}, cwd=place,
            capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"UnicodeEncodeError" not in done.stderr
        return done.stdout

    # Each command and each locale is in one of the two that try all.
    call.is_thorough = request.param in {("installed", "latin"), ("module", "POSIX")}
    return call


@pytest.fixture
def place(tmp_path):
    known = []
    for name in (*NAMES, HIDDEN):
        path = os.fsencode(tmp_path) + b"/www/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = os.urandom(50)
        known.append(sha1(content))
        with open(path, "wb") as file:
            file.write(content)
    (tmp_path / "bekannt-ü.txt").write_text("\n".join(known) + "\n")
    (tmp_path / "c.yaml").write_text(
        f'state: {tmp_path}/st\nvolumes: [{{path: {tmp_path}/www, exclude: ["privé/*"]}}]\n'
        f"service: {{kind: local, known: [{tmp_path}/bekannt-ü.txt]}}\n"
        "quarantine: {action: quarantine}\n",
        encoding="utf-8",
    )
    return tmp_path


def paths(place, out):
    found = [os.fsencode(one["path"]) for one in map(json.loads, out.splitlines()) if "path" in one]
    assert sorted(found) == sorted(os.fsencode(place) + b"/www/" + name for name in NAMES)
    return found


def test_paths_and_excludes(run, place):
    config = ("--config", "c.yaml")
    if run.is_thorough:
        told = run(*config, "scan", "--action", "report", code=1)
        assert told.count(b"MATCH ") == len(NAMES)
    moved = paths(place, run(*config, "scan", "--json", code=1))
    assert not any(map(os.path.lexists, moved))
    # An excluded file is left in place
    assert os.path.lexists(os.fsencode(place) + b"/www/" + HIDDEN)
    if not run.is_thorough:
        return
    assert len(run(*config, "quarantine", "list").splitlines()) == len(NAMES)
    records = run(*config, "quarantine", "list", "--json").splitlines()
    run(*config, "quarantine", "restore", *(json.loads(one)["id"] for one in records))
    # Arguments and options are the bytes that were typed
    known = ("--known", "bekannt-ü.txt", "--state", "zuständig")
    assert run("check", *moved, *known, code=1).count(b"KNOWN ") == len(NAMES)
    assert (place / "zuständig").is_dir()
    run(*config, "config", "show")


def test_a_terminal_has_the_alphabet_of_its_locale(latin, place):
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [*COMMANDS["module"], "scan", "www", "--known", "bekannt-ü.txt", "--state", "st"],
            env={"PATH": os.environ["PATH"], "TERM": "dumb", **latin}, cwd=place,
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
        os.close(theirs)
        told = b""
        try:
            while more := terminal.read(65536):
                told += more
        except OSError:  # EIO: nobody has the other end any more
            pass
    assert done.returncode == 1, done.stderr
    assert "www/bücher/é:".encode("iso-8859-1") in told
    assert rb"www/\u65e5\u672c:" in told
    assert rb"www/caf\xe9:" in told
