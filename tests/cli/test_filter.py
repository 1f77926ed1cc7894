"""``hashscan filter`` as a sysadmin calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hashscan.cli.filter import command
from hashscan.errors import DigestListError, ExitCode, FilterError, UsageError


def run(*arguments) -> str:
    result = CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "list.csv"
    rows = [f"{os.urandom(20).hex()},{os.urandom(16).hex()},CSAM" for _ in range(30)]
    path.write_text("\n".join(["sha1,md5,category", *rows, rows[0]]) + "\n,,\n")
    return path


def test_build_and_info(listed, tmp_path):
    out = tmp_path / "new\nline"
    text = run("build", listed, "-o", out)
    assert "new\\nline: 60 digests in" in text
    assert "30 md5, 30 sha1" in text
    assert "duplicates  2\n" in text
    assert "1 rows without md5" in text
    assert "csam 60" in text
    text = run("info", out)
    assert "new\\nline: whole; every check passed" in text
    assert "digests     60 of 76" in text


def test_json(listed, tmp_path):
    out = tmp_path / "f"
    options = ("--category", "other", "--error-rate", "1e-4", "--capacity", "100", "--json")
    made = json.loads(run("build", listed, "-o", out, *options))
    assert next(iter(made)) == "event"
    assert made["digests"] == {"md5": 30, "sha1": 30}
    assert (made["category"], made["capacity"], made["error_rate"]) == ("other", 100, 1e-4)
    found = json.loads(run("info", out, "--json"))
    assert {name: found[name] for name in ("event", "path", "version", "sha256", "bytes")} == {
        name: made[name] for name in ("event", "path", "version", "sha256", "bytes")
    }
    assert found["age_seconds"] < 60


def test_invalid_lines(listed, tmp_path):
    with listed.open("a") as file:
        file.write("x,,\n")
    with pytest.raises(DigestListError, match=":34: sha1 is not hexadecimal"):
        run("build", listed, "-o", tmp_path / "f")
    text = run("build", listed, "-o", tmp_path / "f", "--skip-invalid")
    assert "invalid     1 lines skipped" in text
    assert f"{listed}:34: sha1 is not hexadecimal" in text


def test_only_some_categories(tmp_path):
    path = tmp_path / "list.json"
    numbers = [1, 1, 2, 2, 2, 0]
    media = [{"MediaID": 1, "MD5": os.urandom(16).hex(), "Category": n} for n in numbers]
    path.write_text(json.dumps({"value": media}))
    text = run("build", path, "-o", tmp_path / "f")
    assert "f: 2 digests in" in text
    assert "not taken   3 vics-2, 1 vics-0: these do not count as known;" in text
    options = ("--only-category", "vics-1", "--only-category", "Vics-2", "--force")
    made = json.loads(run("build", path, "-o", tmp_path / "f", *options, "--json"))
    assert made["list_categories"] == {"vics-1": 2, "vics-2": 3}
    assert (made["left_out_categories"], made["zero_size"]) == ({"vics-0": 1}, 0)
    assert "vics-1 2, vics-2 3" in run("build", path, "-o", tmp_path / "f", *options)
    with pytest.raises(UsageError, match="is no category"):
        run("build", path, "-o", tmp_path / "f", "--only-category", " ", "--force")
    told = run("build", "--help")
    assert "--only-category vics-1" in told


def test_several_categories_of_free_text_deserve_a_look(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(
        f"sha1,category\n{os.urandom(20).hex()},csam\n{os.urandom(20).hex()},baseline\n"
    )
    text = run("build", path, "-o", tmp_path / "f")
    assert "all these categories count as known: 1 baseline, 1 csam; if that is not meant" in text


def test_force(listed, tmp_path):
    run("build", listed, "-o", tmp_path / "f")
    with pytest.raises(UsageError, match="--force"):
        run("build", listed, "-o", tmp_path / "f")
    run("build", listed, "-o", tmp_path / "f", "--force")


def test_a_refused_filter_has_exit_code_5(listed, tmp_path):
    out = tmp_path / "f"
    run("build", listed, "-o", out)
    content = bytearray(out.read_bytes())
    content[200] ^= 4
    out.write_bytes(content)
    with pytest.raises(FilterError, match="is damaged: its SHA-256") as caught:
        run("info", out)
    assert caught.value.exit_code == ExitCode.FILTER == 5


CALL = "import sys; from hashscan.cli.filter import command; command(sys.argv[1:])"


def test_standard_input_from_a_pipe(tmp_path):
    digests = "".join(os.urandom(20).hex() + "\n" for _ in range(50_000))
    done = subprocess.run(
        [sys.executable, "-c", CALL, "build", "-", "-o", str(tmp_path / "f"), "--json"],
        input=digests,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["digests"] == {"sha1": 50_000}


def test_a_progress_bar_on_a_terminal_only(listed, tmp_path):
    import pty

    parent, child = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", CALL, "build", str(listed), "-o", str(tmp_path / "f")],
        stdout=subprocess.PIPE,
        stderr=child,
        timeout=60,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(child)
    shown = os.read(parent, 100_000)
    os.close(parent)
    assert done.returncode == 0
    assert b"reading" in shown
    assert b"60 digests" in done.stdout
    assert b"reading" not in done.stdout


def test_the_module_stays_light():
    """Every command imports every command's module: the heavy libraries wait until they run."""
    script = (
        "import sys, hashscan.cli.filter\n"
        "print([m for m in ('pydantic', 'rich', 'pybloom_live', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done
