"""``hashscan notice sites`` as an administrator calls it."""

import json

import pytest
from click.testing import CliRunner

from hashscan.cli.notice import command


@pytest.fixture
def run(tmp_path):
    class Options:
        config_path = str(tmp_path / "config.yaml")
        verbosity = 0

    root = tmp_path / "www" / "a.example"
    root.mkdir(parents=True)
    (root / "a.jpg").touch()
    (root / "evil\x1b[2J.jpg").touch()
    (tmp_path / "config.yaml").write_text(
        f"sites: [{{host: '*.example', root: '{tmp_path}/www/{{host}}'}}]\n"
    )
    return lambda *args: CliRunner().invoke(
        command, ["sites", *args], obj=Options(), standalone_mode=False
    )


def test_each_url_with_its_steps(run, tmp_path):
    done = run("http://a.example/a.jpg", "http://b.example/\x1b[2J")
    assert done.return_value == 0
    lines = done.output.splitlines()
    assert lines[0] == f"http://a.example/a.jpg: file {tmp_path}/www/a.example/a.jpg"
    assert lines[1] == f"  sites[0] (host *.example) fits; its root is {tmp_path}/www/a.example"
    assert lines[3] == "http://b.example/\\x1b[2J: no-site"
    assert "\x1b" not in done.output


def test_json(run, tmp_path):
    done = run("--json", "http://a.example/evil%1b%5b2J.jpg", "http://a.example/none.jpg")
    first, second = map(json.loads, done.output.splitlines())
    assert first["event"] == "site"
    assert first["kind"] == "file"
    assert first["path"] == f"{tmp_path}/www/a.example/evil\x1b[2J.jpg"
    assert (second["kind"], second["path"], second["script"]) == ("no-file", None, None)


def test_a_defanged_url_is_taken_as_in_a_notice(run):
    done = run("hxxp://a[.]example/a.jpg")
    assert done.return_value == 0
    assert done.output.startswith("http://a.example/a.jpg: file ")


def test_what_is_undecided_is_no_success(run):
    assert run("gopher://a.example/").return_value == 3
