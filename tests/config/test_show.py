"""Settings as people write them, and as programs read them."""

import pytest
import yaml

from hashscan.config import loader
from hashscan.config.settings import Settings
from hashscan.config.show import to_plain, to_yaml


@pytest.mark.parametrize(
    "change",
    [
        ('exclude: ["*/cache/*"]', 'exclude: ["yes", "12", "a: b", "\\udc80", "*.ümlaut", "#"]'),
        ("username: example", "username: 08"),
        ("timeout: 10s", "timeout: 1500ms"),
        ("timeout: 10s", "timeout: 0.37"),
        ("max_rate: none", "max_rate: 1.5GiB"),
        ("max_rate: none", "max_rate: 50MB"),
        ("20%", "33.33%"),
        ("20%", "none"),
        ("retention: none", "retention: 90d"),
        ("listen: none", 'listen: "[::1]:9464"'),
    ],
)
def test_what_show_prints_is_read_back_the_same(write, whole, change):
    assert change[0] in whole
    settings = loader.load(write(whole.replace(*change)))
    printed = to_yaml(settings)
    assert loader.load(write(printed)) == settings
    assert yaml.safe_load(printed)["service"]["timeout"].endswith("s")


def test_what_show_prints_names_the_quarantine_and_begins_with_the_state():
    printed = to_yaml(Settings.of(state="/s"))
    assert printed.startswith("state: /s\nvolumes: []\n")
    assert yaml.safe_load(printed)["quarantine"]["directory"] == "/s/quarantine"


def test_a_program_reads_seconds_bytes_and_shares():
    scan = {"max_rate": "50MiB", "pause_above_io_pressure": "20%"}
    plain = to_plain(Settings.of(state="/s", scan=scan, quarantine={"retention": "2h"}))
    assert plain["quarantine"]["retention"] == 7200.0
    assert (plain["scan"]["max_rate"], plain["scan"]["max_file_size"]) == (50 << 20, None)
    assert plain["scan"]["pause_above_io_pressure"] == 0.2
    assert plain["quarantine"]["directory"] == "/s/quarantine"


def test_lines_of_yaml_are_ascii_and_unbroken():
    path = "/s/" + "é " * 100
    printed = to_yaml(Settings.of(state=path.rstrip()))
    assert printed.isascii()
    assert yaml.safe_load(printed)["state"] == path.rstrip()
    assert printed.splitlines()[1] == "volumes: []"
