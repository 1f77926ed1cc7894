"""Files that root believes: if others can change one, nothing is moved by it."""

import json
import os

import pytest
import ready
from click.testing import CliRunner
from scanning import make_filter, sha1

from hashscan.cli.filter import command as filter_command
from hashscan.cli.repository import command as repository_command
from hashscan.cli.service import command as service_command
from hashscan.config import (
    loader,
    trust,
)
from hashscan.config.loader import validate
from hashscan.config.parsing import Document
from hashscan.config.settings import Settings
from hashscan.config.trust import fault_of, faults, require_trusted
from hashscan.errors import ConfigError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root is at stake"),
]
CUSTOMER = 4711
CONTENT = b"pretend that this is known"


@pytest.fixture
def place(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "f").write_bytes(CONTENT)
    (tmp_path / "lists" / "known.txt").write_text(sha1(CONTENT) + "\n")
    return tmp_path


def chown(path):
    os.chown(path, CUSTOMER, CUSTOMER, follow_symlinks=False)


def linked(place, by_customer, to_file):
    """The list is reached by a link, in its directory or as its directory."""
    if to_file:
        (place / "lists" / "known.txt").rename(place / "lists" / "real.txt")
        link = place / "lists" / "known.txt"
        link.symlink_to("real.txt")
    else:
        (place / "lists").rename(place / "real")
        link = place / "lists"
        link.symlink_to("real")
    if by_customer:
        chown(link)


def acl(place):
    """Another user may write, by an ACL."""
    entries = [(1, 6, -1), (2, 6, CUSTOMER), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    value = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little")
        + rights.to_bytes(2, "little")
        + (who & 0xFFFFFFFF).to_bytes(4, "little")
        for tag, rights, who in entries
    )
    try:
        os.setxattr(place / "lists" / "known.txt", "system.posix_acl_access", value)
    except OSError:
        pytest.skip("this file system has no ACLs")


FAULTS = {
    "owner": (lambda p: chown(p / "lists" / "known.txt"), "belongs to user 4711", "chown root "),
    "others": (lambda p: (p / "lists" / "known.txt").chmod(0o646), "everybody can", "chmod o-w "),
    "group": (lambda p: (p / "lists" / "known.txt").chmod(0o664), "group 0 ", "chmod g-w "),
    "acl": (acl, "group 0 ", "chmod g-w "),
    "directory's owner": (
        lambda p: chown(p / "lists"),
        "belongs to user 4711",
        "another directory",
    ),
    "directory": (lambda p: (p / "lists").chmod(0o777), "everybody can write", "chmod o-w "),
    "directory's group": (lambda p: (p / "lists").chmod(0o775), "group 0 ", "chmod g-w "),
    "directory above": (lambda p: p.chmod(0o777), "everybody can write", "chmod o-w "),
    "customer's link": (
        lambda p: linked(p, True, True),
        "the link belongs to user 4711",
        "without",
    ),
    "customer's directory": (lambda p: linked(p, True, False), "the link belongs", "without links"),
}
FINE = {
    "as it is": lambda _p: None,
    "sticky": lambda p: (p / "lists").chmod(0o1777),
    "root's link": lambda p: linked(p, False, True),
    "root's directory": lambda p: linked(p, False, False),
    "readable by all": lambda p: (p / "lists" / "known.txt").chmod(0o444),
}


@pytest.mark.parametrize("name", FAULTS)
def test_others_can_change_it(place, name):
    change, what, fix = FAULTS[name]
    change(place)
    found = fault_of(str(place / "lists" / "known.txt"))
    assert found is not None
    assert what in found[0]
    assert fix in found[1]


@pytest.mark.parametrize("name", FINE)
def test_nobody_else_can_change_it(place, name):
    FINE[name](place)
    assert fault_of(str(place / "lists" / "known.txt")) is None


def test_a_file_that_a_customer_takes_away_for_the_check(place):
    """The customer can put the file, or a link, back before it is opened: the directory counts."""
    chown(place / "lists")
    fault = fault_of(str(place / "lists" / "known.txt"))
    (place / "lists" / "known.txt").unlink()
    assert fault is not None
    assert fault_of(str(place / "lists" / "known.txt")) == fault
    # He can put a link in the place of "cust", and the kernel then goes up from its target.
    (place / "lists" / "cust").mkdir()
    (place / "known.txt").write_text("")
    assert fault_of(f"{place}/lists/cust/../../known.txt") == fault


def test_a_tier_that_anybody_could_make(place):
    """In a sticky directory nobody replaces the filter, but a tier beside it is another file."""
    make_filter(place / "lists" / "filter", {sha1(CONTENT)})
    settings = Settings.model_validate({"filter": {"source": f"{place}/lists/filter"}})
    assert faults(settings) == []
    (place / "lists").chmod(0o1777)
    ((loc, what, fix),) = faults(settings)
    assert loc == ("filter", "source")
    assert f"anybody can make {place}/lists/filter.sizes" in what
    assert "use another directory" in fix


def test_the_private_group_of_an_account_is_the_account(place, monkeypatch):
    """Debian's umask 002: the account hashscan runs as may write as its own group."""
    path = place / "lists" / "known.txt"
    os.chown(path, 1, 1)  # daemon, on every Linux
    path.chmod(0o664)
    assert fault_of(str(path)) is not None
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert fault_of(str(path)) is None
    os.chown(place / "lists", 1, 1)
    (place / "lists").chmod(0o775)
    assert fault_of(str(place / "lists" / "missing"), optional=True) is None
    acl(place)
    assert fault_of(str(path)) is not None, "the group's bits stand for other users too"
    os.removexattr(path, "system.posix_acl_access")
    path.chmod(0o664)
    assert fault_of(str(path)) is None
    os.chown(path, 1, 2)
    assert fault_of(str(path)) is not None


def run(*words, cwd):
    return ready.in_words(ready.hashscan(*words, cwd=cwd))


def configure(place, action="quarantine", more=""):
    (place / "c.yaml").write_text(
        f"state: {place}/st\nvolumes: [{{path: {place}/www}}]\n"
        f"service:\n  kind: local\n  known: [{place}/lists/known.txt]\n"
        f"quarantine: {{action: {action}}}\n{more}"
    )


def test_what_moves_is_refused_and_the_rest_is_told_in_the_same_words(place):
    chown(place / "lists" / "known.txt")
    words = f"{place}/lists/known.txt belongs to user 4711"
    fix = f"chown root {place}/lists/known.txt"
    config = ("--config", "c.yaml")
    for action in ("quarantine", "report"):
        configure(place, action)
        told = {}
        for command in ("config check", "doctor", "scan", "check ./www/f"):
            done = run(*config, *command.split(), cwd=place)
            told[command] = done.returncode
            assert words in done.stdout + done.stderr, command
            assert fix in done.stdout + done.stderr, command
            assert "service.known[0]" in done.stdout + done.stderr, command
        assert (place / "www" / "f").exists()
        refused = {"config check": 2, "doctor": 2, "scan": 2, "check ./www/f": 2}
        expected = {"config check": 0, "doctor": 0, "scan": 1, "check ./www/f": 1}
        assert told == (refused if action == "quarantine" else expected)
    done = run(*config, "scan", "--action", "quarantine", cwd=place)
    assert (done.returncode, (place / "www" / "f").exists()) == (2, True)
    os.chown(place / "lists" / "known.txt", 0, 0)
    configure(place)
    assert run(*config, "scan", cwd=place).returncode == 1
    assert not (place / "www" / "f").exists()


def test_a_list_that_is_typed(place):
    (place / "lists").chmod(0o777)
    scan = ("scan", "www", "--known", "lists/known.txt", "--state", "st")
    done = run(*scan, cwd=place)
    assert (done.returncode, "can write to" in done.stderr) == (1, True)
    done = run(*scan, "--action", "quarantine", cwd=place)
    assert (done.returncode, "--known lists/known.txt" in done.stderr) == (2, True)
    assert (place / "www" / "f").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (filter_command, ("build", "{list}", "-o", "{p}/filter")),
        (repository_command, ("add", "{p}/no", "{list}", "--keys", "{p}/k", "--category", "a")),
        (service_command, ("load", "{list}", "--data", "{p}/data")),
    ],
)
def test_a_list_that_something_is_made_of_is_reported(place, command, words):
    """A filter, a repository or an index does not show where its digests came from."""
    path = place / "lists" / "known.txt"
    given = [word.format(list=path, p=place) for word in words]
    assert "others can change" not in CliRunner().invoke(command, given).stderr
    chown(path)
    done = CliRunner().invoke(command, [*given, *(["--force"] if "build" in words else [])])
    assert f"{path}: others can change what hashscan believes: {path} belongs" in done.stderr
    assert "chown root " in done.stderr
    if "build" in words:
        assert (done.exception, (place / "filter").exists()) == (None, True)


def test_every_kind_of_file_that_is_believed(place):
    """A finding names the setting: filter, tier, metadata, trust, passwords, authorities."""
    lists = place / "lists"
    make_filter(lists / "filter", {sha1(CONTENT)})
    for name in ("allow", "root.json", "password", "filter-password", "ca", "filter.sizes.json"):
        (lists / name).write_text("x")
        (lists / name).chmod(0o600)
    remote = (
        f"service: {{url: 'https://127.0.0.1', username: u, password_file: {lists}/password,"
        f" ca_bundle: {lists}/ca}}\nallow: [{lists}/allow]\n"
    )
    of_file = f"{remote}filter: {{source: {lists}/filter}}\n"
    of_repository = (
        f"{remote}filter: {{source: 'https://127.0.0.1/', root: {lists}/root.json, username: u,"
        f" password_file: {lists}/filter-password, ca_bundle: {lists}/ca}}\n"
    )
    for text, name, at in (
        (of_file, "allow", ("allow", 0)),
        (of_file, "password", ("service", "password_file")),
        (of_file, "ca", ("service", "ca_bundle")),
        (of_file, "filter", ("filter", "source")),
        (of_file, "filter.json", ("filter", "source")),
        (of_file, "filter.sizes.json", ("filter", "source")),
        (of_repository, "root.json", ("filter", "root")),
        (of_repository, "filter-password", ("filter", "password_file")),
        (of_repository, "ca", ("filter", "ca_bundle")),
    ):
        config = place / "c.yaml"
        config.write_text(f"state: {place}/st\nquarantine: {{action: quarantine}}\n{text}")
        settings = loader.load(str(config))
        assert faults(settings) == []
        chown(lists / name)
        assert at in [loc for loc, *_ in faults(settings)], name
        with pytest.raises(ConfigError, match=r"belongs to (another )?user"):
            loader.load(str(config))
        os.chown(lists / name, 0, 0)


def test_with_typed_lists_those_of_the_configuration_do_not_matter_but_allow_lists_do(place):
    typed, allow = place / "lists" / "typed.txt", place / "lists" / "allow"
    typed.touch()
    allow.touch()
    configure(place, "report", f"allow: [{allow}]\n")
    settings = loader.load(str(place / "c.yaml"))
    chown(place / "lists" / "known.txt")
    told = []
    require_trusted(settings, [str(typed)], told.append, moving=True)
    assert told == []
    chown(allow)
    require_trusted(settings, [str(typed)], told.append, moving=False)
    (line,) = told
    assert line.startswith("allow[0]: ")
    with pytest.raises(ConfigError, match=r"allow\[0\]"):
        require_trusted(settings, [str(typed)], told.append, moving=True)
    require_trusted(settings, [], told.append, moving=False)
    assert sorted(one.partition(":")[0] for one in told[1:]) == ["allow[0]", "service.known[0]"]


def test_a_customers_link_is_reported_also_beside_an_allow_list(place):
    allowed = place / "allow.txt"
    allowed.write_text(sha1(b"allowed") + "\n")
    linked(place, by_customer=True, to_file=True)
    configure(place, action="report", more=f"allow: [{allowed}]\n")
    settings = loader.load(str(place / "c.yaml"))
    assert [loc for loc, _, _ in faults(settings)] == [("service", "known", 0)]
    same = place / "lists" / "real.txt"
    configure(place, action="report", more=f"allow: [{same}]\n")
    with pytest.raises(ConfigError) as raised:
        loader.load(str(place / "c.yaml"))
    assert "service.known, too" in str(raised.value)


def test_the_configuration_itself(place):
    configure(place)
    (place / "c.yaml").chmod(0o664)
    for command in ("scan", "daemon"):
        done = run("--config", "c.yaml", command, cwd=place)
        assert (done.returncode, "chmod g-w" in done.stderr) == (2, True)
    done = run("--config", "c.yaml", "doctor", "--json", cwd=place)
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["result"], "can write to" in first["message"]) == ("fail", True)
    configure(place, "report")
    done = run("--config", "c.yaml", "config", "check", cwd=place)
    assert (done.returncode, "note: c.yaml: others can" in done.stdout) == (0, True)


def test_a_sync_believes_no_key_that_others_can_change(place):
    (place / "root.json").write_text("{}")
    chown(place / "root.json")
    (place / "c.yaml").write_text(
        f"state: {place}/st\nquarantine: {{action: quarantine}}\n"
        f"filter: {{source: 'http://127.0.0.1:9/', root: {place}/root.json}}\n"
    )
    done = run("--config", "c.yaml", "sync", cwd=place)
    assert (done.returncode, "filter.root" in done.stderr) == (2, True)


def test_a_directory_of_our_own_below_a_customers_link_is_refused(place):
    (place / "lists" / "cust").symlink_to(place / "www")
    config = place / "config.yaml"
    config.write_text(f"quarantine: {{directory: {place}/lists/cust/quarantine}}\n")
    loader.load(str(config))
    chown(place / "lists" / "cust")
    with pytest.raises(ConfigError, match=f"{place}/lists/cust is a link to {place}/www"):
        loader.load(str(config))


def test_a_file_that_is_missing_is_named_by_whoever_opens_it(tmp_path):
    assert fault_of(str(tmp_path / "gone")) is None


@pytest.mark.parametrize(("always", "moving"), [(True, False), (False, True), (False, False)])
def test_a_file_that_others_can_change_is_refused_if_it_decides_what_moves(
    tmp_path, monkeypatch, always, moving
):
    given = validate(Document(data={"state": str(tmp_path)}))
    monkeypatch.setattr(trust, "moves", lambda _settings: moving)
    notices_told = []

    def check():
        trust.require_trusted_file(given, "x.y", "/f", notices_told.append, always=always)

    monkeypatch.setattr(trust, "fault_of", lambda _path: None)
    check()
    monkeypatch.setattr(trust, "fault_of", lambda _path: ("/f belongs to user 5", "chown it"))
    if always or moving:
        with pytest.raises(ConfigError) as caught:
            check()
        assert "x.y: /f belongs to user 5" in str(caught.value)
        assert notices_told == []
    else:
        check()
        (told,) = notices_told
        assert "x.y: /f belongs to user 5" in told


def test_a_sites_own_program_and_lists_are_believed(tmp_path):
    (tmp_path / "table").touch()
    given = validate(
        Document(
            data={
                "state": str(tmp_path),
                "sites": [
                    {"host": "*.example", "root": "/srv/{host}"},
                    {"table": f"{tmp_path}/table"},
                    {"command": ["/bin/true", "x"]},
                ],
            }
        ),
        check_files=False,
    )
    found = [one for one in trust._believed(given) if one[0][:1] == ("sites",)]
    assert found == [
        (("sites", 1, "table"), f"{tmp_path}/table"),
        (("sites", 2, "command"), "/bin/true"),
    ]
