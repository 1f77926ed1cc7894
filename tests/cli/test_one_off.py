"""One-off uses beside a machine's configuration: ``--known`` and ``--state`` decide by themselves."""

import json
import os
import tempfile
from pathlib import Path

import another_user
import pytest
import ready
from scanning import sha1


@pytest.fixture
def place():
    """A volume with a known file and its list, a home, and the machine's configuration."""
    # Not tmp_path: pytest closes that to other users in each session.
    with tempfile.TemporaryDirectory(prefix="hashscan-test-") as directory:
        top = Path(directory)
        top.chmod(0o755)
        for name in ("www", "home", "etc", "of-root", "of-root/quarantine"):
            (top / name).mkdir()
        content = os.urandom(300)
        (top / "www" / "known").write_bytes(content)
        (top / "known.txt").write_text(sha1(content) + "\n")
        for name in ("of-root", "of-root/quarantine"):
            (top / name).chmod(0o700)
        if os.geteuid() == 0:
            os.chown(top / "home", another_user.UID, another_user.UID)
        yield top


def configure(place, mode=0o644, text=""):
    path = place / "etc" / "config.yaml"
    path.write_text(
        text
        or f"state: {place}/of-root\nvolumes: [{{path: {place}/www}}]\n"
        f"service: {{kind: local, known: [{place}/of-root/secret.txt]}}\n"
        f"quarantine: {{action: quarantine, directory: {place}/of-root/quarantine}}\n"
    )
    path.chmod(mode)


def run(place, *words, uid=another_user.UID, env=None):
    env = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        **({"HOME": f"{place}/home"} if env is None else env),
    }
    return another_user.hashscan(place, *words, uid=uid, etc=place / "etc", env=env, cwd=place)


def action_of(done):
    return [json.loads(line)["action"] for line in done.stdout.splitlines() if '"match"' in line]


@another_user.needs
@pytest.mark.root
def test_with_known_only_a_typed_action_moves(place):
    configure(place)
    words = ("scan", "www", "--known", "known.txt", "--json")
    done = run(place, *words, uid=0)
    assert (done.returncode, action_of(done)) == (1, ["reported"]), done.stderr
    assert "--action quarantine" in done.stderr
    done = run(place, "--config", "etc/config.yaml", *words, uid=0)
    assert (done.returncode, action_of(done)) == (1, ["reported"]), done.stderr
    assert os.path.exists(place / "www" / "known")
    done = run(place, *words, "--action", "quarantine", uid=0)
    assert (done.returncode, action_of(done)) == (1, ["quarantined"]), done.stderr
    assert not os.path.exists(place / "www" / "known")


@another_user.needs
@pytest.mark.root
@pytest.mark.parametrize(
    ("mode", "text"),
    [(0o644, ""), (0o600, ""), (0o644, "volumes: [{path: /x, exclud: [a]}]\n")],
    ids=["readable", "unreadable", "with errors"],
)
def test_an_ordinary_user_needs_nothing_of_roots(place, mode, text):
    configure(place, mode, text)
    os.chown(place / "www", another_user.UID, -1)
    for words in (("scan", "www"), ("check", "www/known")):
        done = run(place, *words, "--known", "known.txt", "--json")
        assert done.returncode == 1, done.stderr
        assert "etc/hashscan/config.yaml" in done.stderr
        assert "Traceback" not in done.stderr
    assert os.path.isfile(place / "home/.local/state/hashscan/catalog.sqlite3")
    own = ("--state", "home/st")
    done = run(
        place, "scan", "www", "--known", "known.txt", *own, "--action", "quarantine", "--json"
    )
    assert (done.returncode, action_of(done)) == (1, ["quarantined"]), done.stderr
    done = run(place, "quarantine", "list", *own)
    assert (done.returncode, f"{place}/www/known" in done.stdout) == (0, True), done.stderr
    # Root's files were not touched
    assert os.listdir(place / "of-root" / "quarantine") == []


@another_user.needs
@pytest.mark.root
def test_volumes_of_the_machine_are_known_to_a_user_who_may_read_them(place):
    configure(place)
    done = run(place, "scan", "--known", "known.txt", "--json")
    assert (done.returncode, action_of(done)) == (1, ["reported"]), done.stderr
    configure(place, 0o600)
    done = run(place, "scan", "--known", "known.txt")
    assert (done.returncode, "name a PATH" in done.stderr) == (2, True)


@another_user.needs
@pytest.mark.root
def test_a_configuration_of_the_users_own_holds_as_written(place):
    configure(place, 0o600)
    own = place / "home" / ".config" / "hashscan" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(f"state: {place}/home/mine\nscan: {{nonsense: 1}}\n")
    done = run(place, "scan", "www", "--known", "known.txt")
    assert (done.returncode, "nonsense" in done.stderr) == (2, True)
    own.write_text(f"state: {place}/home/mine\n")
    done = run(place, "scan", "www", "--known", "known.txt")
    assert (done.returncode, os.path.exists(place / "home" / "mine" / "lock")) == (1, True)


@another_user.needs
@pytest.mark.root
@pytest.mark.parametrize("env", [{"HOME": ""}, {"HOME": "~"}, {"HOME": "relative"}])
def test_a_home_that_is_none(place, env):
    os.chown(place, another_user.UID, -1)
    done = run(place, "scan", "www", "--known", "known.txt", env=env)
    assert (done.returncode, "--state DIR" in done.stderr) == (2, True), done.stderr
    done = run(place, "config", "init", env=env)
    assert (done.returncode, "--output FILE" in done.stderr) == (2, True), done.stderr
    assert not {"~", "relative"} & set(os.listdir(place))


@another_user.needs
@pytest.mark.root
def test_without_a_home(place):
    env = {}
    scan = ("scan", "www", "--known", "known.txt")
    done = run(place, *scan, env=env)
    assert (done.returncode, "--state DIR" in done.stderr) == (2, True), done.stderr
    os.chown(place, another_user.UID, -1)
    done = run(place, *scan, "--state", "st", env=env)
    assert done.returncode == 1, done.stderr
    done = run(place, "quarantine", "list", "--state", "st", env=env)
    assert done.returncode == 0, done.stderr
    done = run(place, "config", "init", env=env)
    assert (done.returncode, "--output FILE" in done.stderr) == (2, True), done.stderr
    configure(place, text=f"volumes: [{{path: {place}/www}}]\n")
    done = run(place, "status", "--state", "st", env=env)
    assert "no home" not in done.stderr
    done = run(place, "status", env=env)
    assert (done.returncode, "--state DIR" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "~/www", "--known", "known.txt", "--state", "st"),
        ("scan", "www", "--known", "known.txt", "--state=~/st"),
        ("scan", "www", "--known=~/known.txt", "--state", "st"),
        ("config", "init", "--output", "~/config.yaml"),
        ("config", "init", "-o~/config.yaml"),
        ("--config=~/config.yaml", "config", "init"),
        ("repository", "init", "~", "--keys", "k"),
    ],
)
def test_a_tilde_that_no_shell_expanded(place, words):
    before = sorted(os.listdir(place))
    done = ready.in_words(ready.hashscan(*words, cwd=place))
    assert done.returncode == 2
    assert "~" in done.stderr
    assert "./~" in done.stderr
    assert sorted(os.listdir(place)) == before


def test_a_directory_whose_name_is_a_tilde(place):
    (place / "~").mkdir()
    (place / "~" / "known").write_bytes((place / "www" / "known").read_bytes())
    done = ready.hashscan("scan", "./~", "--known", "known.txt", "--state", "st", cwd=place)
    assert done.returncode == 1


def test_a_volume_that_is_not_there_is_a_note_as_for_the_daemon(place):
    path = place / "c.yaml"
    path.write_text(
        f"volumes: [{{path: {place}/gone}}]\nservice: {{kind: local, known: [{place}/known.txt]}}\n"
    )
    done = ready.in_words(ready.hashscan("config", "check", path))
    assert done.returncode == 0, done.stderr
    assert f"note: volumes[0].path: {place}/gone is not a directory now" in done.stdout
