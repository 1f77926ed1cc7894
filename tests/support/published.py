"""The published schema of XARF: a third of a second to import, so only tests that use it do."""

import importlib


def parse(report):
    """Return what the schema says of ``report``: ``errors``, and ``report`` if there are none."""
    return importlib.import_module("xarf").parse(report)
