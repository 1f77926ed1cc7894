"""Every command in broken surroundings: it names their fault, which is not an internal error."""

import os
import secrets
import shutil

import pytest
import ready
from commandline import environment, needs_root, sha1

COMMANDS = [
    "--config {site}/c.yaml scan --jobs 1",
    "scan {site}/volume --known {site}/known --state {site}/other --json",
    "check {site}/volume/b --known {site}/known --state {site}/third",
    "--config {site}/c.yaml status",
    "--config {site}/c.yaml config check",
    "config init -o {site}/new.yaml",
    "--config {site}/c.yaml doctor",
    "quarantine list --state {site}/state",
    "quarantine export {id} -o {site}/x.tar --state {site}/state",
    "quarantine verify --state {site}/state",
    "filter build {site}/known -o {site}/new.filter",
    "repository init {site}/repository --keys {site}/keys",
    "service load --data {site}/service {site}/known",
    "service user add --data {site}/service bob --generate",
]
FILES, PROCESSES, MEMORY, SPACE = "ulimit -n", "ulimit -u", "out of memory", "ulimit -f"
#: Surroundings, and words: each command that fails in them has one of the words in its message.
SURROUNDINGS = {
    **{f"{count} files": (("few_files", count), (FILES,)) for count in (0, 2, 4, 8)},
    "no processes": (("no_processes",), (PROCESSES,)),
    **{f"{size} MiB": (("memory", size), (MEMORY,)) for size in (4, 8)},
    **{
        f"files of {size} B": (("limit", "FSIZE", size), (SPACE,))
        for size in (0, 50_000, 2_000_000)
    },
    "no /proc": (("hidden", "/proc"), ("/proc",)),
    "no /dev": (("hidden", "/dev"), ("/dev",)),
    "no /dev/shm": (("read_only", "/dev/shm"), ("/dev/shm",)),
    "read-only /tmp": (("read_only", "/tmp", "/var/tmp"), ("/tmp", "ead-only")),
    "no TMPDIR": (("variable", "TMPDIR", "/does/not/exist"), ("TMPDIR",)),
    "no terminal": (("no_terminal",), ()),
    "no directory": (("gone", "/var/tmp/hashscan-gone-{pid}"), ("working directory",)),
    "no stdin": (("closed", 0), ()),
    "no stdout": (("closed", 1), ("standard output",)),
    "no stderr": (("closed", 2), ()),
    "no streams": (("closed", 0, 1, 2), ()),
    "full stdout": (("opened", 1, "/dev/full"), ("standard output",)),
    "full stderr": (("opened", 2, "/dev/full"), ()),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    site = tmp_path_factory.mktemp("surroundings") / "site"
    (site / "volume").mkdir(parents=True)
    (site / "volume" / "b").write_bytes(secrets.token_bytes(100))
    known = secrets.token_bytes(100)
    (site / "volume" / "a").write_bytes(known)
    (site / "known").write_text(sha1(known) + "\n")
    yield site
    shutil.rmtree(site)


@pytest.fixture
def site(template):
    """A configured site outside of /tmp with one file in its quarantine."""
    where = f"/var/lib/hashscan-test-{os.getpid()}"
    shutil.copytree(template, where)
    with open(f"{where}/c.yaml", "w", encoding="utf-8") as file:
        file.write(
            f"state: {where}/state\nvolumes: [{{path: {where}/volume}}]\n"
            f"service: {{kind: local, known: [{where}/known]}}\nquarantine: {{action: quarantine}}\n"
        )
    yield where
    shutil.rmtree(where)


def run(site, line, record, within=None):
    words = line.format(site=site, id=record).split()
    return ready.in_words(ready.hashscan(*words, env=environment(), within=within))


#: Of each row of limits the gate tries one or two.
LONG = ("0 files", "4 files", "8 MiB", "files of 50000 B")
TRIED = [name for name in SURROUNDINGS if name not in LONG or os.environ.get("HASHSCAN_LONG")]


@needs_root
@pytest.mark.parametrize("name", TRIED)
def test_every_command(site, name):
    (function, *arguments), words = SURROUNDINGS[name]
    arguments = [one.format(pid=os.getpid()) if isinstance(one, str) else one for one in arguments]
    assert run(site, COMMANDS[0], "").returncode == 1
    (record,) = [one for one in os.listdir(f"{site}/state/quarantine") if one.startswith("2")]
    wrong = []
    for line in COMMANDS:
        ran = run(site, line, record, within=(function, *arguments))
        said = f"{line}\n  {ran.returncode}: {ran.stdout}{ran.stderr}"
        is_own = ran.returncode not in {0, 1, 2, 3, 5, 130} or "Traceback" in ran.stderr
        is_named = not words or any(one in said for one in words)
        if is_own or (ran.returncode in {2, 130} and not is_named):
            wrong.append(said)
    assert not wrong, "\n".join(wrong)


@needs_root
def test_a_scan_needs_no_proc(site):
    ran = run(site, COMMANDS[1], "", within=("hidden", "/proc"))
    assert ran.returncode == 1, ran.stderr


def test_a_password_without_a_terminal(tmp_path):
    """Without a terminal the message says how to give the password; 130 would mean Ctrl-C."""
    ran = ready.in_words(
        ready.hashscan(
            "service", "user", "add", "--data", tmp_path / "data", "bob", env=environment(),
            within=("no_terminal",),
        )
    )  # fmt: skip
    assert ran.returncode == 2
    assert "no terminal" in ran.stderr
    assert "--password-file" in ran.stderr
