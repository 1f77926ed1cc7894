"""The tree of hashscan/ as docs/architecture.md prints it; run it to bring the page up to date."""

import ast
import re
import textwrap
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs" / "architecture.md"
WIDTH = 100
_BLOCK = re.compile(r"(?<=^```tree\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)


def purpose(init):
    """The first line of a room's docstring, as text without markup."""
    line = (ast.get_docstring(ast.parse(init.read_text())) or "").split("\n")[0]
    return line.replace("``", "").removesuffix(".")


def tree(top=TOP / "hashscan"):
    """One line a room, then the names of its files, without .py."""
    lines = []
    for init in sorted(top.rglob("__init__.py"), key=lambda one: one.parts[:-1]):
        room = "hashscan" if init.parent == top else init.parent.relative_to(top)
        lines.append(f"{room}/  {purpose(init)}")
        names = sorted(one.stem for one in init.parent.glob("*.py") if one != init)
        lines += textwrap.wrap(
            "  ".join(names), WIDTH, initial_indent="    ", subsequent_indent="    "
        )
    return "".join(f"{line}\n" for line in lines)


def printed(page):
    """The tree in the text of the page."""
    return _BLOCK.search(page)[0]


def updated(page):
    """The text of the page with the tree of today."""
    return _BLOCK.sub(lambda _: tree(), page, count=1)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
