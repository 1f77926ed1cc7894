"""``hashscan demo``: it runs anywhere, leaves nothing, and fails when something is wrong."""

import contextlib
import ctypes
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import another_user
import pytest
import ready
from demo_runs import FEW, demo

from hashscan import interpreter
from hashscan.demo import sample, stage, story, workplace
from hashscan.errors import ExitCode

_PR_SET_CHILD_SUBREAPER = 36
MAIN = "from hashscan.cli import main; main()"
LONG = bool(os.environ.get("HASHSCAN_LONG"))
#: The command with FEW files.
DEMO_OF_FEW = [
    *("-I", "-X", "utf8", "-c"),
    f"from hashscan.demo.story import run; run.__kwdefaults__['files'] = {FEW}\n{MAIN}",
    "demo",
]
#: A command in place of hashscan: a publisher and a service's lists at no cost; all else is real.
WITHOUT_LISTS = f"""
case " $* " in
  *" repository init "*) exec mkdir repository;;
  *" repository add "*) exec echo whole file;;
  *" service load "*) exec echo digests are the known set now;;
  *" service user add "*) exit 0;;
esac
exec {shlex.join(interpreter.command())} "$@"
"""


def started_with(script, text, place, **environment):
    """Start the demo of FEW files, with ``script`` of ``text`` in place of the command hashscan."""
    script.write_text(text)
    *python, code, name = DEMO_OF_FEW
    other = (
        f"from hashscan import interpreter; interpreter.command = lambda: ['sh', {str(script)!r}]\n"
    )
    return subprocess.Popen(
        [sys.executable, *python, other + code, name, "--directory", str(place)],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def commands(told):
    """What it shows as typed: command and subcommand."""
    lines = re.findall(r"^  \$ hashscan (?:--config config\.yaml )?(.*)$", told, re.MULTILINE)
    grouped = {"repository", "config", "quarantine", "service"}
    return [" ".join(line.split()[: 2 if line.split()[0] in grouped else 1]) for line in lines]


def whole_job(told, most):
    """Look for each step of the demo in its narration; ``most``: files of the library."""
    assert commands(told) == [
        "repository init", "repository add", "service load", "service user", "config check",
        "sync", "status", "check", "check", "check", "scan", "scan", "scan", "quarantine list",
        "quarantine show", "quarantine verify", "quarantine restore", "scan", "repository add",
        "sync", "scan",
    ]  # fmt: skip
    assert "Everything was as it must be" in told
    assert "hashscan config init" in told  # where to go next
    assert "2 vics-0" in told  # the innocent file's MD5 and SHA-1 were in a list, and left out
    assert max(map(len, told.splitlines())) < 300
    copied = int(re.search(r"now holds ([\d,]+) files", told)[1].replace(",", ""))
    assert min(500, most) < copied <= most + 20


@pytest.mark.skipif(
    not LONG and another_user.POSSIBLE,
    reason="with a new Python for each command: make test-long; without: the next test",
)
def test_the_whole_job_without_terminal_and_locale(place):
    done = demo("--directory", str(place), LC_ALL="C", HOME="/nonexistent")
    assert (done.returncode, done.stderr) == (0, "")
    whole_job(done.stdout, sample.FILES)
    assert os.listdir(place) == []


@pytest.mark.root
@another_user.needs
def test_the_whole_job_without_root(place):
    code = (
        f"import sys; sys.path[:0] = {[os.path.dirname(__file__), os.path.dirname(ready.__file__)]}\n"
        "import test_story; test_story.run_without_a_new_python(sys.argv[1])"
    )
    done = another_user.run(
        tempfile.mkdtemp(dir=place.parent), sys.executable, "-c", code, str(place),
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, timeout=170,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    whole_job(done.stdout, FEW)
    assert f"({another_user.UID}:{another_user.UID})" in done.stdout  # the record's owner
    assert os.listdir(place) == []


def run_without_a_new_python(directory):
    """Run the demo of FEW files; its commands are forked from a process that has hashscan imported."""
    with patch.object(stage, "subprocess", sabotaging("none")):
        story.run(directory, sys.stdout, files=FEW)


#: The command after which each fault happens, if it is not "restore".
WHERE = {
    "blind": "scan", "moves-on-report": "scan", "reads-again": "--json", "leaves-one": "--action",
}  # fmt: skip


def sabotaging(fault):
    """A ``subprocess`` whose ``run`` forks hashscan's commands, with a fault in or after one of them."""

    def run(command, *, cwd, **_options):
        arguments = command[len(interpreter.command()) :]
        done = ready.hashscan(*arguments, cwd=cwd, timeout=170)
        told = done.stdout + done.stderr
        if WHERE.get(fault, "restore") in arguments:
            told = sabotaged(fault, Path(cwd, "www"), told)
        return subprocess.CompletedProcess(command, done.returncode, told)

    return SimpleNamespace(**{**vars(subprocess), "run": run})


def sabotaged(fault, volume, told):
    match fault:
        case "blind":
            return b"".join(line for line in told.splitlines(True) if b"/.photo" not in line)
        case "moves-on-report":
            (volume / "upload/empty.jpg").unlink()
        case "reads-again":
            return told.replace(b'"bytes_hashed":0', b'"bytes_hashed":1')
        case "leaves-one":
            (volume / "upload/.hidden/.photo.jpg").touch()
        case "breaks-link":
            path = volume / "other-site/the-same-file.jpg"
            path.rename(volume.parent / "original")
            subprocess.run(["cp", "--preserve=all", volume.parent / "original", path], check=True)
    return told


# Each is nearly a whole demo.
long = pytest.mark.skipif(not LONG, reason="four of five: make test-long")


@pytest.mark.parametrize(
    ("fault", "step", "told"),
    [
        pytest.param("blind", 7, "exactly the known files are found", marks=long),
        pytest.param("moves-on-report", 7, "nothing has changed in the volume", marks=long),
        pytest.param("reads-again", 8, "no file was read again", marks=long),
        pytest.param(
            "leaves-one", 9, "the known files are gone and the others untouched", marks=long
        ),
        ("breaks-link", 11, "bit for bit"),
    ],
)
def test_it_fails_when_something_is_wrong(place, monkeypatch, fault, step, told):
    monkeypatch.setattr(stage, "subprocess", sabotaging(fault))
    out = io.StringIO()
    with pytest.raises(workplace.DemoError) as caught:
        story.run(str(place), out, files=FEW)
    assert caught.value.exit_code == ExitCode.INTERNAL == 70
    message = str(caught.value)
    assert f"in step {step}: " in message
    assert told in message
    assert "expected: " in message
    assert "hashscan demo --keep" in message
    assert "Everything was as it must be" not in out.getvalue()
    assert os.listdir(place) == []


def test_the_command_fails_with_70(place, tmp_path):
    # One command of the demo ends as if the filter were refused.
    refusing = f"""
case " $* " in
  *" config check "*) exec echo no errors;;
  *" sync "*) exit 5;;
esac
{WITHOUT_LISTS}"""
    surroundings = {"LC_ALL": "C", "HOME": "/nonexistent"}
    with started_with(tmp_path / "refusing", refusing, place, **surroundings) as process:
        _, told = process.communicate(timeout=170)
    assert process.returncode == 70
    assert "in step 5: the exit code" in told
    assert os.listdir(place) == []


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "  $ hashscan --config config.yaml config"),  # the service runs
        (signal.SIGINT, "  $ hashscan repository add"),
    ],
)
def test_a_signal_leaves_nothing(place, tmp_path, number, moment):
    with started_with(tmp_path / "script", WITHOUT_LISTS, place) as process:
        assert any(line.startswith(moment) for line in process.stdout)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert os.listdir(place) == []


def test_no_service_outlives_the_demo(place, tmp_path):
    """Not even a demo that was killed; what it made is left then, for nobody could remove it."""
    with started_with(tmp_path / "script", WITHOUT_LISTS, place) as process, adopting():
        assert any(
            line.startswith("  $ hashscan --config config.yaml config") for line in process.stdout
        )
        (made,) = os.listdir(place)
        url = re.search(
            r"  url: http://127.0.0.1:(\d+)", (place / made / "config.yaml").read_text()
        )
        process.kill()
        process.communicate(timeout=60)
        # The service is among them; and a command that still writes, until the place is removed.
        assert all_end(process.pid, 20)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url[1])))


def all_end(group, seconds):
    """Whether all processes of the group end in time; they are killed if not."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-group, os.WNOHANG) == (0, 0):
                time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
        return False
    return True


@contextlib.contextmanager
def adopting():
    """Processes whose parent ends meanwhile become children of this one (prctl(2))."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
