"""hashscan.jobs.scan_options: a configuration's settings reach the options of a scan."""

import dataclasses
import os
from types import SimpleNamespace

from faulty import break_os

from hashscan.config.settings import Settings
from hashscan.fs.volume import Volume
from hashscan.jobs import scan_options as module
from hashscan.jobs.scan_options import jobs_of, scan_options
from hashscan.scan.options import ScanOptions

VOLUMES = (Volume(b"/v"),)
KNOWN = SimpleNamespace(
    filters=("filter",), name="set", algorithms=frozenset({"sha1"}), service="s", remote=True
)


def options_of(tmp_path, scan=None, **given):
    (tmp_path / "state").mkdir()
    quarantine = str(tmp_path / "quarantine")
    settings = Settings.model_validate(
        {"scan": scan or {}, "quarantine": {"directory": quarantine}}
    )
    state = SimpleNamespace(directory=str(tmp_path / "state"))
    if given.pop("quarantine", False):
        os.mkdir(quarantine)
    return settings, scan_options(settings, state, KNOWN, VOLUMES, **given)


def test_each_setting_of_the_scan_that_an_option_is_named_after_arrives(tmp_path):
    scan = {
        "jobs": 3, "max_file_size": 5000, "max_rate": 70_000, "max_files": 40,
        "pause_above_io_pressure": "25%",
    }  # fmt: skip
    settings, options = options_of(tmp_path, scan)
    named = {field.name for field in dataclasses.fields(ScanOptions)}
    both = named & set(type(settings.scan).model_fields)
    assert both == set(scan)
    for name in both:
        default = getattr(Settings().scan, name)
        assert getattr(options, name) == getattr(settings.scan, name) != default, name


def test_the_filters_and_what_a_caller_asks_for_arrive(tmp_path):
    others = (Volume(b"/o"),)
    _settings, options = options_of(tmp_path, others=others, jobs=2, full=True, step_aside=True)
    assert (options.volumes, options.others, options.jobs) == (VOLUMES, others, 2)
    assert (options.full, options.step_aside) == (True, True)
    assert (options.filters, options.filterset) == (KNOWN.filters, KNOWN.name)
    assert (options.algorithms, options.service, options.remote) == ({"sha1"}, "s", True)


def test_a_scan_never_enters_the_state_and_a_quarantine_that_exists(tmp_path):
    _settings, options = options_of(tmp_path, quarantine=True)
    found = {(one.stat().st_dev, one.stat().st_ino) for one in tmp_path.iterdir()}
    assert len(found) == 2
    assert options.own == found


def test_a_quarantine_that_does_not_exist_yet_is_left_out(tmp_path):
    _settings, options = options_of(tmp_path)
    assert len(options.own) == 1


def test_how_many_processes(monkeypatch):
    auto, three = (Settings.model_validate({"scan": scan}) for scan in ({}, {"jobs": 3}))
    break_os(monkeypatch, module, sched_getaffinity=lambda _pid: {0, 2, 5, 7, 9})
    assert jobs_of(auto, None) == 5
    assert jobs_of(three, None) == 3
    assert jobs_of(three, 1) == 1
    break_os(monkeypatch, module, sched_getaffinity=lambda _pid: set())
    assert jobs_of(auto, None) == 1
