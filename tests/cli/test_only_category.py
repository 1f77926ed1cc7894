"""``--only-category`` and ``service.only_categories``: which of a list's categories condemn files."""

import json
import os

import pytest
import ready
from scanning import sha1


@pytest.fixture
def run(tmp_path):
    """Runs hashscan in a place with a VICS list; a file ``www/N`` for each category N."""
    media = []
    (tmp_path / "www").mkdir()
    for number in range(4):
        content = os.urandom(20)
        (tmp_path / "www" / str(number)).write_bytes(content)
        media.append({"MediaID": number, "SHA1": sha1(content), "Category": number})
    (tmp_path / "list.json").write_text(json.dumps({"value": media}))

    def call(*words):
        done = ready.in_words(ready.hashscan(*words, "--state", "state", "--json", cwd=tmp_path))
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return call


def matched(events) -> list[str]:
    return sorted(
        os.path.basename(event.get("path") or event["subject"])
        for event in events
        if event["event"] == "match" or event.get("verdict") == "known"
    )


FILES = [f"www/{number}" for number in range(4)]


@pytest.mark.parametrize("command", [["scan", "www"], ["check", *FILES]], ids=["scan", "check"])
def test_only_what_is_meant_condemns(run, command):
    code, events, told = run(*command, "--known", "list.json")
    assert (code, matched(events)) == (1, ["1"])
    assert "list.json: left out: by category: 1 vics-0, 1 vics-2, 1 vics-3 (name each" in told
    both = ("--only-category", "vics-1", "--only-category", "VICS-2")
    code, events, told = run(*command, "--known", "list.json", *both)
    assert (code, matched(events)) == (1, ["1", "2"])
    assert "by category: 1 vics-0, 1 vics-3 (name each" in told
    code, _, told = run(*command, "--known", "list.json", "--only-category", "-")
    assert (code, "is no category" in told) == (2, True)
    code, _, told = run(*command, "--known", "list.json", "--only-category", "vics-7")
    assert (code, "holds no digests to take" in told) == (2, True)


def test_the_configured_categories_hold_unless_others_are_named(run, tmp_path):
    (tmp_path / "c.yaml").write_text(
        f"service: {{kind: local, known: [{tmp_path}/list.json], only_categories: [Vics-3]}}\n"
    )
    assert matched(run("--config", "c.yaml", "scan", "www")[1]) == ["3"]
    assert matched(run("--config", "c.yaml", "check", *FILES)[1]) == ["3"]
    other = ("--only-category", "vics-2")
    assert matched(run("--config", "c.yaml", "scan", "www", *other)[1]) == ["2"]
    # A list that the command line names is not read as the configured ones are.
    assert matched(run("--config", "c.yaml", "scan", "www", "--known", "list.json")[1]) == ["1"]


def test_a_service_has_no_categories_to_choose_from(run, tmp_path):
    (tmp_path / "password").write_text("secret")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "filter").touch()
    (tmp_path / "c.yaml").write_text(
        "service: {url: 'https://127.0.0.1:9', username: u, "
        f"password_file: {tmp_path}/password}}\nfilter: {{source: {tmp_path}/filter}}\n"
    )
    code, _, told = run("--config", "c.yaml", "check", "www/1", "--only-category", "vics-1")
    assert code == 2
    assert "--only-category chooses from digest lists, but the configured service is asked" in told
