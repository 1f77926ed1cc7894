"""Modules, functions, files and sections that prose names are there."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
DOTTED = re.compile(r"(?<![\w./@-])hashscan(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"(?<![\w/.~*-])(?:[\w-]+/)*[\w-]+\.(?:py|md|sh|rules\.yml|test\.yml)\b")
#: A module without its suffix, for example ``scan/engine``.
MODULE = re.compile(r"``((?:[a-z_]+/)+[a-z_]+)``")
SECTION = re.compile(r'((?:[\w-]+/)*[\w-]+\.md), "([^"]+)"')
#: Of others, or of an example in the text that names them.
NOT_OURS = {"hashlookup-analyser.py", "os.py"}
NOT_MODULES = re.compile(
    r"hashscan\.(service|socket|timer|json|conf|prom|example|yaml|yml|rules)\b"
)


def tracked():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = None
    if shutil.which("git"):
        found = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    if found is None or found.returncode:  # no git here, or an unpacked archive
        return [str(path.relative_to(TOP)) for path in TOP.rglob("*") if ".venv" not in path.parts]
    return found.stdout.split("\n")


FILES = [name for name in tracked() if name and (TOP / name).is_file()]
PROSE = [
    name
    for name in FILES
    if name.endswith((".py", ".md", ".toml", ".yaml", "Makefile")) and not name.startswith("tests/")
]


def resolves(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def exists(name, by):
    """Whether a file's name, or the end of its path, is that of a tracked file."""
    return (
        name in NOT_OURS
        or (TOP / by).parent.joinpath(name).exists()
        or any(one == name or one.endswith("/" + name) for one in FILES)
    )


def has_section(page, section):
    """Whether a page has a heading with this text."""
    headings = re.findall(r"^#+ (.+)$", (TOP / page).read_text(), re.MULTILINE)
    return section in headings


def missing(by, text):
    for found in sorted(set(DOTTED.findall(text))):
        if not NOT_MODULES.match(found) and not resolves(found):
            yield found
    for found in sorted(set(FILE.findall(text))):
        if not exists(found, by):
            yield found
    for found in sorted(set(MODULE.findall(text)) if by.startswith("hashscan/") else ()):
        in_package = (TOP / "hashscan" / found.split("/")[0]).is_dir()
        if in_package and not exists(f"hashscan/{found}.py", by) and not exists(found, by):
            yield found
    for page, section in sorted(set(SECTION.findall(text))):
        if exists(page, by) and not has_section(page, section):
            yield f"{page}, {section}"


def test_everything_that_prose_names_is_there():
    wrong = {
        name: found for name in PROSE if (found := list(missing(name, (TOP / name).read_text())))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see hashscan.fs.walk", ["hashscan.fs.walk"]),
        ("``hashscan.model.Digest`` and hashscan.errors", []),
        ("hashscan.model.Digest.nothing", ["hashscan.model.Digest.nothing"]),
        ("scan/nothing.py and scan/engine.py", ["scan/nothing.py"]),
        ("docs/usage.md, docs/nowhere.md", ["docs/nowhere.md"]),
        ('docs/design.md, "2. Words"', []),
        ('docs/design.md, "The weather"', ["docs/design.md, The weather"]),
        ("journalctl -u hashscan.service", []),
    ],
)
def test_a_name_without_its_thing_is_found(text, found):
    assert list(missing("README.md", text)) == found


def test_a_module_without_its_suffix_is_found():
    text = "``scan/engine``, ``scan/nothing``, ``daemon/walking`` and ``some/text``"
    assert list(missing("hashscan/model.py", text)) == ["daemon/walking", "scan/nothing"]
