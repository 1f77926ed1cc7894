"""An installation without matplotlib."""

import pytest

from hashscan.report import plots


@pytest.fixture
def without_plots(monkeypatch):
    def missing(_report):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(plots, "plots", missing)
