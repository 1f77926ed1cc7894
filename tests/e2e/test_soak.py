"""The short form of ``benchmarks/soak.py``: a third of a minute of coming, changing and going."""

import importlib.util
from argparse import Namespace
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_memory_and_descriptors_are_flat_and_nothing_is_missed(tmp_path):
    found = importlib.util.spec_from_file_location("soak", SOAK)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    told = module.soak(Namespace(minutes=0.35, rate=40, files=200, watch="auto"), str(tmp_path))
    assert told["exit"] == 0
    assert told["known"] == told["quarantined"] >= 10
    assert told["unaccounted"] == 0
    second, last = told["memory_mib"]
    assert last < second * 1.2 + 5, told
    second, last = told["descriptors"]
    assert last <= second + 6, told
