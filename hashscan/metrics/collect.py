"""Collects the values of the metrics at this moment, and writes the metrics as text.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from hashscan.durable import replace_file
from hashscan.errors import ExitCode, MachineError, UnsafePathError
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.coverage_gaps import resolved_roots
from hashscan.jobs.status import status_of
from hashscan.jobs.status_complaints import complaints
from hashscan.machine import fix_of
from hashscan.metrics.families import Snapshot, families, verdict
from hashscan.metrics.processes import Usage, usage_of
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from hashscan.config.settings import Settings
    from hashscan.jobs.status import Status
    from hashscan.jobs.status_complaints import Complaint

#: Mode of the textfile of metrics: node_exporter reads the textfile as another user.
_MODE = 0o644


def snapshot_of(
    settings: Settings, status: Status, wrong: Iterable[Complaint], began: float
) -> Snapshot:
    """Return the present facts for the metrics; ``began``: monotonic begin of this collection."""
    daemon = children = Usage()
    if status.alive and status.daemon is not None:
        daemon, children = usage_of(int(status.daemon["pid"]))
    wrong = list(wrong)
    return Snapshot(
        settings,
        status,
        [one.reason for one in wrong],
        int(wrong[0].code) if wrong else 0,
        time.time(),
        resolved_roots(settings),
        time.monotonic() - began,
        daemon,
        children,
    )


def collect(settings: Settings) -> Snapshot:
    """Read the status and all other facts for the metrics.

    Raises:
        HashscanError: a limit of this process, e.g. for memory, prevents the reading.
    """
    began = time.monotonic()
    status = status_of(settings)
    return snapshot_of(settings, status, complaints(status), began)


class _Once:
    """A collector of prometheus_client that returns metrics whose values were read before."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> list[Metric]:
        return self._found


def _text(found: list[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Once(found))
    return generate_latest(registry)


def page(snapshot: Snapshot) -> bytes:
    """Return the metrics as text in the format of Prometheus."""
    return _text(families(snapshot))


def page_without_configuration() -> bytes:
    """Return the metrics for an unreadable configuration, as text: only the verdict metric."""
    return _text(verdict(ExitCode.USAGE, [Reason.CONFIGURATION], time.time()))


def write_textfile(path: str, text: bytes) -> None:
    """Replace the textfile of metrics for node_exporter; no reader sees half of the textfile.

    Raises:
        MachineError: the textfile cannot be written.
    """
    try:
        replace_file(path, text, _MODE)
    except (OSError, UnsafePathError) as error:
        why = said_by(error) if isinstance(error, OSError) else str(error)
        if isinstance(error, FileNotFoundError):
            why += "; create its directory, or correct the path"
        elif isinstance(error, OSError):
            why += f"; {fix_of(error)}"
        raise MachineError(f"{shown(path)}: the metrics cannot be written: {why}") from error
