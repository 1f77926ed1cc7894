"""hashscan.jobs.withdrawn_digests: withdrawals of a quarantine that is not there."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import QuarantineError
from hashscan.jobs import (
    withdrawn_digests,
)


def test_withdrawals_of_a_quarantine_that_is_not_there(monkeypatch):
    fault = ["no-store"]

    def opens(*_given, **_named):
        raise QuarantineError("damaged", reason=fault[0])

    asked = SimpleNamespace(to_read=lambda _path: "answers")
    monkeypatch.setattr(withdrawn_digests, "AskedStore", asked)
    monkeypatch.setattr(withdrawn_digests, "Store", SimpleNamespace(open=opens))
    given = Settings.of(state="/s"), SimpleNamespace(withdrawn="/s/w")
    assert withdrawn_digests.withdrawals(*given) == []
    fault[0] = "unsafe"
    with pytest.raises(QuarantineError, match="damaged"):
        withdrawn_digests.withdrawals(*given)
    asked.to_read = lambda _path: None
    assert withdrawn_digests.withdrawals(*given) == [], "nobody was ever asked"
