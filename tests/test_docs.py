"""The documentation is true: its commands run, its tables are the program's."""

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import click
import pytest
import ready
import yaml
from file_server import FileServer

import hashscan
from hashscan.cli import COMMANDS, cli
from hashscan.config.loader import load
from hashscan.errors import ExitCode
from hashscan.model import Problem, Skipped

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
USAGE = (ROOT / "docs" / "usage.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/usage.md",
    "docs/notices.md",
    "docs/notifications.md",
    "docs/report.md",
    "docs/history.md",
    "docs/law.md",
]

BIN = Path(sys.executable).parent
needs_script = pytest.mark.skipif(
    not (BIN / "hashscan").exists(), reason="hashscan is not installed beside this Python"
)


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """All commands that do something, by their full name."""
    found = {}

    def visit(name, one):
        if isinstance(one, click.Group):
            if one.invoke_without_command:
                found[name] = one
            context = click.Context(one)
            for sub in one.list_commands(context):
                visit(f"{name} {sub}", one.get_command(context, sub))
        else:
            found[name] = one

    visit("hashscan", cli)
    return found


def options_of(one):
    """Options as the page writes them: names, and what stands for the value."""
    context = click.Context(one)
    found = set()
    for parameter in one.get_params(context):
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            value = "" if parameter.is_flag or parameter.count else parameter.make_metavar(context)
            names = sorted(parameter.opts, key=len)
            found.add(", ".join(f"`{name} {value}".rstrip() + "`" for name in names))
    return found


def sections(text):
    """Title to body of each section of the second level."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text, header):
    """The cells of the first table with ``header``."""
    found = re.search(
        rf"^\| {re.escape(header)} \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE
    )
    if not found:
        return []
    lines = found[1].splitlines()
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]


def title_of(name, one):
    """The title of a command's section."""
    pieces = one.collect_usage_pieces(click.Context(one))[1:]  # without [OPTIONS]
    return "`" + " ".join([name, *pieces]) + "`"


def test_each_command_has_its_section():
    titles = {title for title in sections(USAGE) if title.startswith("`hashscan ")}
    assert titles == {title_of(name, one) for name, one in commands().items()}
    assert {name.split()[1] for name in commands()} == set(COMMANDS)


@pytest.mark.parametrize("name", ["hashscan", *commands()])
def test_each_option_is_described(name):
    one = cli if name == "hashscan" else commands()[name]
    section = sections(USAGE)["`hashscan`" if name == "hashscan" else title_of(name, one)]
    table = rows(section, "option | meaning")
    assert {option for option, _ in table} == options_of(one)
    assert all(meaning for _, meaning in table)


@pytest.mark.parametrize("text", [README, USAGE], ids=["README", "usage"])
def test_exit_codes(text):
    epilog = cli.epilog.partition(": ")[2].rstrip(".")
    table = rows(text, "code | meaning")
    assert {int(code) for code, _ in table} == set(ExitCode)
    says = re.split(r", (?=\d)", epilog)
    assert {
        re.sub(r"finished, but |; candidates are kept", "", f"{c} {m}") for c, m in table
    } == set(says)


def test_reasons():
    for words, enum in (("`skipped`:", Skipped), ("a `problem` with a file:", Problem)):
        told = re.search(rf"^Reasons for {words}((?:.|\n(?!\n))*)\.$", USAGE, re.MULTILINE)[1]
        assert re.findall(r"`(.*?)`", told) == [str(one) for one in enum]


class Shell:
    """Runs commands one after the other, in a directory that the documents call /srv."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.code = 0

    def run(self, command):
        done = subprocess.run(
            ["bash", "-c", f"(exit {self.code}); {command}"],
            cwd=self.directory,
            env={
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "HOME": self.directory,
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.code = done.returncode
        return done.stdout.replace(self.directory, "/srv")

    def events(self, command):
        """The JSON lines of one of hashscan's commands, which is forked rather than started."""
        done = ready.hashscan(*shlex.split(command)[1:], cwd=self.directory)
        lines = [json.loads(one) for one in done.stdout.splitlines()]
        assert lines, done
        return lines


ID = re.compile(r"\b\d{8}T\d{6}-[0-9a-f]{8}\b")


def same_each_time(text):
    text = ID.sub("ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    return re.sub(r"in \d+\.\d s", "in SECONDS", text)


@needs_script
def test_the_readme_shows_what_happens(tmp_path):
    shell = Shell(tmp_path.resolve())
    ids = {}
    ran = 0
    for block in blocks(README, "console"):
        parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
        assert parts[0] == "", "a block begins with a command"
        for command, shown in zip(parts[1::2], parts[2::2], strict=True):
            told = shell.run(ID.sub(lambda found: ids[found[0]], command))
            assert same_each_time(told) == same_each_time(shown), command
            ids.update(zip(ID.findall(shown), ID.findall(told), strict=True))
            ran += 1
    assert ran > 5


def hashscan_lines():
    pages = [(ROOT / "docs" / f"{name}.md").read_text() for name in ("notices", "report", "law")]
    for text in (README, USAGE, *pages):
        for block in blocks(text, "sh") + blocks(text, "ini"):
            for line in block.splitlines():
                command = line.removeprefix("ExecStart=/usr/local/bin/")
                command = re.sub("^h |^hashscan --config [^ ]+ ", "hashscan ", command)
                if command.startswith("hashscan "):
                    yield command.removesuffix(" &")


def has_subcommand(one, arguments):
    """Whether the first of the arguments names a subcommand."""
    if not isinstance(one, click.Group):
        return False
    return not one.invoke_without_command or not (arguments or ["-"])[0].startswith("-")


@pytest.mark.parametrize("line", sorted(set(hashscan_lines())))
def test_commands_that_are_only_shown_are_well_formed(line):
    _, name, *arguments = shlex.split(line)
    one, name = cli.get_command(click.Context(cli), name), [name]
    while has_subcommand(one, arguments):
        name.append(arguments.pop(0))
        one = one.get_command(click.Context(one), name[-1])
    assert one is not None, name
    one.make_context(" ".join(name), arguments)


def test_shell_blocks_are_shell():
    for block in blocks(README, "sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    targets = re.findall(r"^make (\w+)$", "".join(blocks(README, "sh")), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_configuration_in_the_readme(tmp_path):
    (block,) = blocks(README, "yaml")
    for name in ("www", "password", "root.json"):
        path = tmp_path / name
        path.mkdir() if name == "www" else path.touch(0o600)
    (tmp_path / "password").write_text("secret\n")
    block = re.sub(r"/(?:srv|etc/hashscan)/", f"{tmp_path}/", block)
    (tmp_path / "config.yaml").write_text(block)
    settings = load(str(tmp_path / "config.yaml"))
    assert settings.quarantine.action == yaml.safe_load(block)["quarantine"]["action"] == "report"


def test_the_unit_in_the_readme():
    timer, block = blocks(README, "ini")
    assert "OnCalendar=" in timer
    unit = configparser.ConfigParser()
    unit.read_string(block)
    name, path = unit["Service"]["LoadCredential"].split(":")
    assert name == "password"
    assert path in README


def test_settings_that_the_readme_names():
    example = yaml.safe_load(
        re.sub(
            r"^(\s*)#(?=[a-z_]+:)",
            r"\1",
            (ROOT / "config.example.yaml").read_text(),
            flags=re.MULTILINE,
        )
    )
    for section, key in re.findall(r"`(scan|filter|quarantine|service)\.(\w+)", README):
        assert key in example[section], f"{section}.{key}"
    for key in ("max_file_size", "one_file_system", "password_file", "exclude"):
        assert key in README
        assert f"{key}:" in (ROOT / "config.example.yaml").read_text()


@needs_script
def test_the_json_lines(tmp_path):
    """Every event has the keys of the table, in its order; all that can be made without a service."""
    shell = Shell(tmp_path.resolve())
    table = {}
    for names, event, keys in rows(USAGE, "command | event | keys"):
        for command in re.findall(r"`(.*?)`", names):
            table[command, event.strip("`")] = ["event", *re.findall(r"`(.*?)`", keys)]
    made = set()

    def check(command, arguments, before=""):
        for event in shell.events(f"hashscan {before} {command} {arguments} --json"):
            key = command, event["event"]
            assert list(event) == table[key], key
            made.add(key)
            yield event

    shell.run(
        "mkdir www && mkfifo fifo && truncate -s 10M www/holes && echo known > www/a && echo other > www/b && sha1sum www/a > list"
    )
    local = "--known list --state state"
    list(check("check", f"www/a fifo {local}"))
    list(check("scan", f"www {local} --action quarantine"))
    (record,) = check("quarantine list", "--state state")
    list(check("quarantine show", f"{record['id']} --state state"))
    list(check("quarantine restore", "--all --state state"))
    list(check("quarantine purge", f"{record['id']} --yes --state state"))
    shell.run(f"hashscan scan www {local} --action quarantine")
    (record,) = check("quarantine list", "--state state")
    shell.run("echo newer > www/a")
    list(check("quarantine restore", "--all --state state"))
    shell.run(f"echo altered > state/quarantine/{record['id']}/content")
    list(check("quarantine verify", "--state state"))
    shell.run(f"echo '{{' > state/quarantine/{record['id']}/record.json")
    list(check("quarantine list", "--state state"))
    for name in "abc":
        shell.run(f"mkdir -p sites && cp www/b sites/{name}")
    shell.run("sha1sum www/b > other && echo 'brakes: {files: 1}' > brakes.yaml")
    braked = "--config brakes.yaml"
    shell.run(f"hashscan {braked} scan sites --known other --state state2 --action quarantine")
    list(check("hold list", "--state state2", braked))
    list(check("hold show", "H1 --state state2", braked))
    list(check("hold dismiss", "H1 --reason TEXT --state state2", braked))
    list(check("allow list", "--state state2", braked))
    list(check("hold release", "H1 --state state2", braked))
    shell.run("echo http://site.example/ > notice")
    (notice,) = check("notice add", "notice --state state")
    list(check("notice list", "--state state"))
    list(check("notice show", f"{notice['id']} --state state"))
    list(check("report", "--state state"))
    shell.run("sed -i 2s/root/boot/ state/audit/000001.jsonl")
    list(check("history verify", "--state state"))
    list(check("notice sites", "http://site.example/"))
    list(check("filter build", "list -o filter"))
    list(check("filter info", "filter"))
    shell.run("mkdir stock && head -c 99 /dev/zero > stock/f")
    list(check("allow build", "stock -o allow.csv"))
    list(check("allow show", f"{'0' * 40} --list allow.csv"))
    shell.run(f"echo 'allow: [{tmp_path}/allow.csv]' > allow.yaml")
    list(check("allow list", "--state state2", "--config allow.yaml"))
    list(check("config show", ""))
    list(check("repository init", "repository --keys keys"))
    list(check("repository add", "repository list --keys keys --category baseline"))
    list(check("repository refresh", "repository --keys keys"))
    list(check("repository keys", "repository --keys keys"))
    list(check("repository rotate", "repository --keys keys --role timestamp"))
    with FileServer(tmp_path / "repository") as server:
        (tmp_path / "config.yaml").write_text(
            f"state: {tmp_path}/state\nfilter: {{source: '{server.url}', "
            f"root: {tmp_path}/repository/metadata/1.root.json}}\n"
        )
        list(check("sync", "", "--config config.yaml"))
    page = "{name: page, kind: command, command: [/bin/cat]}"
    (tmp_path / "notify.yaml").write_text(f"state: {tmp_path}/state\nnotify: [{page}]\n")
    list(check("notify test", "", "--config notify.yaml"))
    list(check("status", "", "--config config.yaml"))
    list(check("doctor", "", "--config config.yaml"))
    # Problems and pending candidates of a scan need a disk or a service that fails: their keys
    # are compared with the printer's own. Withdrawals need days: tests/cli/test_quarantine_withdrawn.py.
    needs_more = {("scan", "problem"), ("scan", "pending"), ("quarantine withdrawn", "withdrawn")}
    assert set(table) - made == needs_more


@pytest.mark.parametrize("event", ["problem", "pending"])
def test_the_json_lines_of_failures(event):
    from io import StringIO

    from hashscan.model import (
        Candidate,
        FileDigests,
        Identity,
        PendingEvent,
        ProblemEvent,
        Stamp,
    )
    from hashscan.output.jsonl import JsonReporter

    out = StringIO()
    reporter = JsonReporter(out, StringIO())
    if event == "problem":
        reporter.problem(ProblemEvent(b"/srv/www/a", "denied", "why"))
    else:
        one = Candidate(
            b"/srv/www", b"a", Identity(1, 2), Stamp(3, 4, 5), FileDigests(sha1=b"x" * 20), 1, 0, ()
        )
        reporter.pending(PendingEvent(one, "why"))
    (keys,) = (
        k for c, e, k in rows(USAGE, "command | event | keys") if (c, e) == ("`scan`", f"`{event}`")
    )
    assert list(json.loads(out.getvalue())) == ["event", *re.findall(r"`(.*?)`", keys)]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_lines_fit(page):
    for line in (ROOT / page).read_text().splitlines():
        if not line.startswith(("|", "{", "MATCH")):
            assert len(line) <= 105, line


def test_the_page_on_the_law_names_commands():
    """A norm that no command answers must not look answered."""
    text = (ROOT / "docs" / "law.md").read_text()
    named = set(
        re.findall(r"hashscan ([a-z]+(?: (?:add|answer|list|serve|show|xarf|export))?)", text)
    )
    assert {"notice add", "notice answer", "report xarf", "quarantine export"} <= named
    known = {name.removeprefix("hashscan ") for name in commands()}
    assert {one for one in named if one not in known} <= {
        "cannot",
        "does",
        "follows",
        "has",
        "quarantine",
    }
    options = {
        option
        for one in commands().values()
        for option in re.findall(r"`(--[a-z-]+)", " ".join(options_of(one)))
    }
    assert set(re.findall(r"`?(--[a-z][a-z-]*)", text)) <= options


def test_nothing_tells_to_install_from_an_index():
    """Nobody owns the name on the public index: its first owner could run code as root."""
    tops = (".ci", "benchmarks", "docs", "hashscan", "packaging", "tests")
    paths = [*ROOT.glob("*"), *(one for top in tops for one in (ROOT / top).rglob("*"))]
    assert {ROOT / "Makefile", ROOT / "docs" / "service.md"} < set(paths)
    # A command, or a requirement, by name rather than by path
    by_name = re.compile(
        r"(pip3?|pipx|uv|uvx|poetry)\b.*\b(install|add|run|tool|uvx)\b[^|;&`]*[\s'\"=]hashscan\b"
        r"(?![/.-])|hashscan\[\w"
    )
    found = []
    for path in paths:
        if path == Path(__file__) or path.suffix == ".pyc" or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if by_name.search(line):
                found.append(f"{path}:{number}: {line}")
    assert found == []


def test_no_entry_of_the_changelog_is_there_twice():
    """A merge that keeps both versions of an entry leaves two that begin alike."""
    entries = re.findall(r"^- (.+(?:\n  .+)*)", CHANGELOG, re.MULTILINE)
    begins = Counter(" ".join(entry.split())[:28] for entry in entries)
    assert len(entries) > 100
    assert [begin for begin, number in begins.items() if number > 1] == []


def test_the_changelog_knows_the_version():
    assert re.search(r"^## \[Unreleased\]$", CHANGELOG, re.MULTILINE)
    assert hashscan.__version__ in CHANGELOG


def test_the_licence_is_what_the_project_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert (ROOT / project["readme"]).exists()


def test_the_tests_that_guard_the_promises_exist():
    """docs/design.md names them; a name that is gone is a promise without a guard."""
    root = Path(__file__).parent.parent
    named = re.findall(
        r"`(tests/[\w/]+(?:\.py)?/?)(?:::(\w+))?`", (root / "docs/design.md").read_text()
    )
    assert len(named) > 12
    for path, test in named:
        assert (root / path).exists(), path
        if test:
            assert f"def {test}(" in (root / path).read_text(), test
