"""``hashscan report``: options, files, exit codes."""

import csv
import json
import os
import subprocess
import sys
import time

import histories
import pytest
from click.testing import CliRunner

from hashscan.cli import Options, cli
from hashscan.errors import ExitCode, UsageError
from hashscan.notices.store import NoticeStore
from hashscan.state import State


@pytest.fixture
def home(tmp_path):
    """A configuration, and a state with notices of the last days."""
    (tmp_path / "www").mkdir()
    (tmp_path / "config.yaml").write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/www}}]\n"
    )
    state = State(str(tmp_path / "state"))
    histories.make(state.notices, 5, notices=4, begin=float(int(time.time()) - 20 * 86400), days=3)
    return tmp_path


def run(home, *arguments):
    """Exit code or error, and what was printed."""
    done = CliRunner().invoke(
        cli, ["--config", str(home / "config.yaml"), "report", *arguments], standalone_mode=False,
        obj=Options(),
    )  # fmt: skip
    return done.exception or done.return_value, done.stdout


def test_each_format_is_printed(home):
    code, text = run(home)
    assert code == 0
    assert "Time to removal" in text
    assert ["notices", "4"] in [line.split() for line in text.splitlines()]
    code, text = run(home, "--json")
    assert code == 0
    assert json.loads(text)["notices"] == 4
    assert json.loads(run(home, "--format", "json")[1])["notices"] == 4
    code, text = run(home, "--format", "csv")
    assert text.startswith("table,row,column,value\n")
    assert ["notices", "notices", "value", "4"] in list(csv.reader(text.splitlines()))


def test_no_path_and_no_url_unless_asked_for(home):
    for form in ("text", "json", "csv"):
        _, text = run(home, "--format", form)
        assert ".example/" not in text
        assert str(home) not in text
        _, text = run(home, "--format", form, "--names")
        assert ".example/" in text
        assert str(home / "www")[:50] in text


def test_the_period(home):
    assert json.loads(run(home, "--json", "--since", "1h")[1])["notices"] == 0
    _, text = run(home, "--json", "--since", "2020-01-01", "--until", "2020-02-01T12:00+01:00")
    found = json.loads(text)
    assert (found["since"], found["until"]) == (
        "2020-01-01T00:00:00.000Z",
        "2020-02-01T11:00:00.000Z",
    )
    error, _ = run(home, "--since", "2020-01-01", "--until", "2020-01-01")
    assert isinstance(error, UsageError)
    error, _ = run(home, "--until", "soon")
    assert "--until: soon is not a time" in str(error)


def test_a_file_is_not_replaced_unasked(home):
    path = home / "out"
    assert run(home, "--json", "-o", str(path)) == (0, "")
    assert json.loads(path.read_text())["notices"] == 4
    assert path.stat().st_mode & 0o777 == 0o600
    error, _ = run(home, "-o", str(path))
    assert isinstance(error, UsageError)
    assert "add --force" in str(error)
    assert run(home, "-o", str(path), "--force") == (0, "")
    assert path.read_text().startswith("hashscan report of")
    error, _ = run(home, "-o", str(home / "none" / "out"))
    assert "cannot be written" in str(error)


def test_the_intake_log_is_a_csv_of_all_items(home):
    _, text = run(home, "--intake-log")
    head, *lines = csv.reader(text.splitlines())
    assert head == ["url", "channel", "sent", "received", "removed", "reference"]
    with NoticeStore(str(home / "state" / "notices.sqlite3")) as store:
        assert [one[0] for one in lines] == [one.value for one in store.outcomes(0, 1e12)]
    assert run(home, "--intake-log", "--format", "csv", "-o", str(home / "log"))[0] == 0
    assert (home / "log").read_bytes().decode().splitlines() == text.splitlines()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--intake-log", "--format", "html"),
        ("--intake-log", "--json"),
        ("--json", "--format", "csv"),
        ("--force",),
    ],
)
def test_options_that_exclude_each_other(home, arguments):
    error, _ = run(home, *arguments)
    assert isinstance(error, UsageError)


def test_a_part_that_cannot_be_read_does_not_hide_the_others(home, capfd):
    (home / "state" / "catalog.sqlite3").write_bytes(os.urandom(5000))
    code, text = run(home, "--json")
    assert code is ExitCode.UNREADABLE
    found = json.loads(text)
    assert found["unread"] == ["catalog"]
    assert found["notices"] == 4
    (home / "state" / "notices.sqlite3").write_bytes(os.urandom(5000))
    code, text = run(home)
    assert (
        "Parts of the state could not be read, so their figures are missing: catalog, notices"
        in text
    )
    assert str(home) not in text


def test_nothing_is_made_where_nothing_is(tmp_path):
    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/none\n")
    code, text = run(tmp_path)
    assert code == 0
    assert "no data" in text
    assert run(tmp_path, "--intake-log")[1].count("\n") == 1
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_an_html_page_in_a_customers_directory(home):
    """matplotlib reads its settings in the working directory; it keeps nothing in the home."""
    pytest.importorskip("matplotlib")
    for name in ("work", "root"):
        (home / name).mkdir()
    os.mkfifo(home / "work" / "matplotlibrc")
    environment = {**os.environ, "HOME": str(home / "root"), "PYTHONPATH": os.getcwd()}
    environment.pop("MPLCONFIGDIR", None)
    done = subprocess.run(
        [sys.executable, "-c", "from hashscan.cli import main; main()", "--config", "../config.yaml",
         "report", "--format", "html", "-o", "page.html"],
        cwd=home / "work", env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (home / "work" / "page.html").read_text().count("<svg") >= 1
    assert os.listdir(home / "root") == []
