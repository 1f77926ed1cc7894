"""``config.example.yaml`` comes from the types, and can be loaded."""

import os
import re

import pytest

from hashscan.config.example import inline, render
from hashscan.config.explain import notes
from hashscan.config.loader import load
from hashscan.config.parsing import parse

EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "config.example.yaml")


def with_real_files(text, root):
    """The example with every path below ``root``, where what it names exists."""
    for name in ("srv/www", "etc/hashscan", "var/lib/hashscan"):
        (root / name).mkdir(parents=True)
    for name in ("password", "known.txt", "allow.txt", "filter-password", "root.json",
                 "metrics-token"):  # fmt: skip
        (root / "etc/hashscan" / name).write_text("x")
        (root / "etc/hashscan" / name).chmod(0o600)
    for name in ("srv/www", "etc/hashscan", "var/lib/hashscan"):
        text = re.sub(rf"(?<![\w.~/])/{name}", f"{root}/{name}", text)
    return text


def test_the_committed_example_is_the_generated_one():
    with open(EXAMPLE, encoding="utf-8") as file:
        assert file.read() == render(), "run: hashscan config init --output - > config.example.yaml"


def test_the_example_can_be_loaded_and_has_no_setting_without_effect(write, tmp_path):
    settings = load(write(with_real_files(render(), tmp_path)))
    assert settings.volumes[0].path == f"{tmp_path}/srv/www"
    assert settings.quarantine.action == "report"
    assert notes(settings) == []


def test_every_setting_that_is_commented_out_can_be_set(write, tmp_path):
    text = re.sub(r"^( *)#(?=[a-z_]+: )", r"\1", render(), flags=re.MULTILINE)
    settings = load(write(with_real_files(text, tmp_path)))
    assert settings.model_fields_set == set(type(settings).model_fields)
    for section in (settings.volumes[0], settings.service, settings.filter, settings.scan):
        assert section.model_fields_set == set(type(section).model_fields)


def test_lines_are_short():
    assert max(map(len, render().splitlines())) <= 100


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yes",
        "null",
        "12",
        "1.5",
        "20%",
        "7d",
        "a b",
        "a:",
        "a: b",
        "#",
        "*",
        "-",
        "é",
        '"',
        "\n",
        True,
        3,
        ["a", "y"],
        [],
        [{"a": "/b/{c}", "d": [1]}],
    ],
)
def test_a_value_in_one_line_is_read_back(value):
    assert parse(f"key: {inline(value)}\n".encode()).data == {"key": value}
