"""``hashscan config``, as a sysadmin calls it."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from hashscan.cli.config import command
from hashscan.config.example import render
from hashscan.config.loader import load
from hashscan.errors import ConfigError, ExitCode, HashscanError, UsageError
from hashscan.known.confirmers.local_list import open_local
from hashscan.state import State


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call ``config …`` with the global option ``--config``; errors are raised."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr("hashscan.config.loader.SYSTEM_PATH", str(tmp_path / "etc" / "config.yaml"))

    @click.group()
    @click.option("--config", "config_path")
    @click.pass_context
    def top(context, config_path):
        context.obj = SimpleNamespace(config_path=config_path)

    top.add_command(command)

    def _run(*arguments):
        result = CliRunner().invoke(top, [str(one) for one in arguments], standalone_mode=False)
        if result.exception:
            raise result.exception
        assert result.stderr == ""
        return result.stdout

    return _run


@pytest.fixture
def good(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "list").write_text(f"{'ab' * 20}\n")
    path = tmp_path / "good.yaml"
    path.write_text(
        f"state: {tmp_path}/state\nvolumes: [{{path: {tmp_path}/www, watch: false}}]\n"
        f"service: {{kind: local, known: [{tmp_path}/list]}}\nscan: {{max_rate: 50MiB}}\n"
    )
    path.chmod(0o600)
    return path


def test_init_writes_the_example_for_its_owner_only(run, tmp_path):
    path = tmp_path / "new" / "config.yaml"
    told = run("config", "init", "--output", path)
    assert path.read_text() == render()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"wrote {path}" in told
    assert f"hashscan config check {path}" in told
    assert os.listdir(path.parent) == ["config.yaml"]


def test_init_never_overwrites(run, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"was not touched.*--force"):
        run("config", "init", "--output", path)
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_force_keeps_each_old_file(run, tmp_path):
    path = tmp_path / "config.yaml"
    for number in (1, 2):
        path.write_text(f"mine {number}")
        assert f"kept the old file as {path}.old-{number}" in run(
            "config", "init", "--force", "--output", path
        )
    assert (tmp_path / "config.yaml.old-1").read_text() == "mine 1"
    assert (tmp_path / "config.yaml.old-2").read_text() == "mine 2"
    assert path.read_text() == render()
    assert len(os.listdir(tmp_path)) == 3


def test_force_follows_no_link_and_replaces_no_directory(run, tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(target)
    (tmp_path / "folder").mkdir()
    for path in (link, tmp_path / "folder"):
        with pytest.raises(UsageError, match="not a regular file"):
            run("config", "init", "--force", "--output", path)
    assert target.read_text() == "mine"
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "target"]


def test_init_says_where_it_cannot_write(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--output FILE"):
        run("config", "init", "--output", tmp_path / "file" / "config.yaml")
    with pytest.raises(UsageError, match="--output FILE"):
        run("config", "init", "--output", "/proc/config.yaml")


def test_init_writes_where_the_configuration_is_looked_for(run, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    run("config", "init")
    assert (tmp_path / "etc" / "config.yaml").read_text() == render()
    run("--config", tmp_path / "named.yaml", "config", "init")
    assert (tmp_path / "named.yaml").exists()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    run("config", "init")
    assert (tmp_path / "xdg" / "hashscan" / "config.yaml").exists()


def test_init_to_the_standard_output(run):
    assert run("config", "init", "--output", "-") == render()


def test_check_says_what_is_configured_and_what_has_no_effect(run, good, tmp_path):
    told = run("config", "check", good)
    assert f"{good}: no errors" in told
    assert f"local: {tmp_path}/list" in told
    assert "has no effect" not in told
    assert run("--config", good, "config", "check") == told
    (tmp_path / "etc").mkdir()
    os.link(good, tmp_path / "etc" / "config.yaml")
    assert f"{tmp_path}/etc/config.yaml: no errors" in run("config", "check")


def test_check_raises_every_error(run, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("stat: 1\nvolumes: 2\n")
    bad.chmod(0o600)
    with pytest.raises(ConfigError) as raised:
        run("config", "check", bad)
    assert [finding.where for finding in raised.value.findings] == [
        f"{bad}:1: stat",
        f"{bad}:2: volumes",
    ]


def test_check_without_any_file_says_how_to_make_one(run):
    with pytest.raises(ConfigError, match="config init"):
        run("config", "check")


def test_show_prints_what_is_in_force(run, good, tmp_path):
    told = run("--config", good, "config", "show")
    assert told.startswith(f"# {good}\n")
    assert "max_rate: 50MiB" in told
    assert f"directory: {tmp_path}/state/quarantine" in told
    again = tmp_path / "again.yaml"
    again.write_text(told)
    again.chmod(0o600)
    assert load(str(again)).scan == load(str(good)).scan


def test_show_works_where_files_are_missing(run, good, tmp_path):
    (tmp_path / "www").rmdir()
    assert "www" in run("--config", good, "config", "show")


def test_show_as_json(run, good):
    event = json.loads(run("--config", good, "config", "show", "--json"))
    assert next(iter(event)) == "event"
    assert event["file"] == str(good)
    assert event["settings"]["scan"]["max_rate"] == 50 << 20
    assert event["settings"]["scan"]["max_file_size"] is None


def test_show_without_a_file_says_that_these_are_defaults(run, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert run("config", "show").startswith("# defaults: there is no ")
    assert json.loads(run("config", "show", "--json"))["file"] is None


def test_from_the_shell_errors_go_to_stderr_with_exit_code_2(tmp_path, good):
    bad = tmp_path / "bad.yaml"
    bad.write_text("scan: {jobs: 0}\n")
    bad.chmod(0o600)

    def call(path):
        return subprocess.run(
            [sys.executable, "-m", "hashscan", "--config", path, "config", "check"],
            capture_output=True,
            text=True,
            timeout=60,
        )

    wrong, right = call(bad), call(good)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("hashscan: error: the configuration cannot be used, 1 error:")
    assert f"{bad}:1: scan.jobs: must be auto" in wrong.stderr
    assert (right.returncode, right.stderr) == (0, "")


def test_check_notes_what_the_daemon_needs(run, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(f"state: {tmp_path}/state\n")
    told = run("config", "check", file)
    assert "note: volumes and service: missing; the daemon does not start without" in told


def test_a_maildir_that_cannot_be_used_is_a_note(run, good, tmp_path):
    good.write_text(good.read_text() + f"notices: {{maildir: {tmp_path}/box}}\n")
    assert f"note: notices.maildir: {tmp_path}/box: it cannot be opened" in run(
        "config", "check", good
    )
    (tmp_path / "box").mkdir()
    told = run("config", "check", good)
    assert f"note: notices.maildir: {tmp_path}/box cannot be used as a Maildir" in told
    for name in ("new", "cur"):
        (tmp_path / "box" / name).mkdir()
    told = run("config", "check", good)
    assert "note: notices.maildir" not in told
    assert f"mails from {tmp_path}/box" in told


@pytest.mark.parametrize("what", ["known", "allow", "filter", "root", "state"])
def test_check_refuses_what_a_start_refuses(run, good, tmp_path, what):
    damaged = tmp_path / "damaged"
    damaged.write_text(f"{'cd' * 20}\nneither a digest nor a filter\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    text = good.read_text()
    good.write_text(
        {
            "known": text.replace(f"{tmp_path}/list", str(damaged)),
            "allow": f"{text}allow: [{damaged}]\n",
            "filter": f"{text}filter: {{source: {damaged}}}\n",
            "root": f"{text}filter: {{source: 'http://127.0.0.1:9/', root: {damaged}}}\n",
            "state": text.replace(f"{tmp_path}/state", str(other)),
        }[what]
    )
    with pytest.raises(HashscanError) as raised:
        run("config", "check", good)
    place = {"known": f"{damaged}:2:", "allow": f"{damaged}:2:", "root": "filter.root"}
    assert place.get(what, str(other if what == "state" else damaged)) in str(raised.value)
    code = ExitCode.FILTER if what in {"filter", "root"} else ExitCode.USAGE
    assert raised.value.exit_code == code


def test_check_keeps_nothing_and_reads_no_list_of_a_kept_filter_again(
    run, good, tmp_path, monkeypatch
):
    run("config", "check", good)
    assert not (tmp_path / "state").exists()
    state = State(str(tmp_path / "state"))
    open_local([str(tmp_path / "list")], state.filters).confirmer.close()
    monkeypatch.setattr("hashscan.known.confirmers.local_list.staging", None)
    run("config", "check", good)


def test_check_notes_filters_that_are_not_fetched_yet(run, good, tmp_path):
    key = CryptoSigner.generate_ed25519()
    root = Metadata(Root(expires=datetime.now(UTC) + timedelta(days=1)))
    root.signed.add_key(key.public_key, "root")
    root.sign(key)
    root.to_file(str(tmp_path / "root.json"))
    text = good.read_text()
    good.write_text(
        f"{text}filter: {{source: 'http://127.0.0.1:9/', root: {tmp_path}/root.json}}\n"
    )
    told = run("config", "check", good)
    assert "note: the daemon fetches the filters before it scans: the filter of category" in told
