"""``status --nagios``: prints one line with performance data for a monitoring plug-in.

The exit code is that of the plug-in.

Source: Monitoring Plugins Development Guidelines (https://www.monitoring-plugins.org/doc/
guidelines.html), plugin output, performance data, return codes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.errors import ExitCode
from hashscan.jobs.status_complaints import complaints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.jobs.status import Status

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
#: Exit codes of ``status`` that are critical for the plug-in; the other codes are warnings.
_CRITICAL = {ExitCode.FILTER, ExitCode.INTERNAL, ExitCode.MATCHES}
#: Largest number of lines after the first line, so that they fit on a monitoring system's page.
_MOST_LINES = 20


def plugin_result(status: Status) -> tuple[int, str]:
    """Return the plug-in's exit code (0 to 3) and the plug-in's output for a status."""
    wrong = complaints(status)
    code = OK
    if wrong:
        code = CRITICAL if any(one.code in _CRITICAL for one in wrong) else WARNING
        # The first line has the fault that decides the plug-in's exit code.
        wrong.sort(key=lambda one: one.code not in _CRITICAL)
    messages = [one.message for one in wrong] or [_all_well(status)]
    more = f" (and {len(messages) - 1:,} more)" if len(messages) > 1 else ""
    lines = [f"HASHSCAN {_NAMES[code]} - {_clean(messages[0])}{more} | {_performance(status)}"]
    lines += [_clean(one) for one in messages[1:_MOST_LINES]]
    return code, "\n".join(lines)


def unknown(message: str) -> tuple[int, str]:
    """Return the plug-in's exit code and output for a status that cannot be read."""
    return UNKNOWN, f"HASHSCAN UNKNOWN - {_clean(message)}"


def _clean(text: str) -> str:
    """Return a text as one line without ``|``, the sign that begins the performance data."""
    return " ".join(text.replace("|", "/").split())


def _all_well(status: Status) -> str:
    digests = sum(one.digests or 0 for one in status.filters)
    daemon = "the daemon runs" if status.alive else "no daemon"
    return f"{daemon}, {digests:,} digests" if digests else daemon


def _performance(status: Status) -> str:
    return " ".join(f"{name}={value}" for name, value in _figures(status))


def _figures(status: Status) -> Iterator[tuple[str, str]]:
    """Return the performance data: names and values with their units; ages in seconds."""
    catalog = status.catalog
    now = time.time()
    if status.alive and status.daemon is not None:
        volumes = status.daemon.get("volumes", ())
        yield "volumes", f"{len(volumes)};;;0"
        yield "volumes_away", f"{sum(bool(one.get('away')) for one in volumes)};;;0"
    yield "problems", f"{catalog.problems if catalog else 0};;;0"
    yield "pending", f"{catalog.pending if catalog else 0};;;0"
    oldest = catalog.oldest if catalog else None
    yield "pending_age", f"{0 if oldest is None else max(0.0, now - oldest):.0f}s;900;;0"
    yield "unmoved", f"{status.unmoved[0] if status.unmoved else 0};;0;0"
    yield "held", f"{sum(one.files for one in status.holds)};;0;0"
    yield "reported", f"{status.reported};;0;0"
    yield "quarantined", f"{status.quarantine.get('quarantined', 0)};;;0"
    if status.deadlines is not None:
        yield "notices", f"{status.deadlines.open};;;0"
        yield "notices_due_soon", f"{status.deadlines.due_soon};0;;0"
        yield "notices_overdue", f"{status.deadlines.overdue};;0;0"
    if status.mail is not None:
        yield "mails_not_understood", f"{status.mail['waiting']};0;;0"
    ages = [one.age for one in status.filters if one.age is not None]
    if ages:
        yield "filter_age", f"{max(ages):.0f}s;;;0"
    if catalog is not None and catalog.whole is not None:
        ended = catalog.whole.ended or catalog.whole.started
        yield "scan_age", f"{max(0.0, now - ended):.0f}s;;;0"
    if status.alive and status.daemon is not None and "backlog" in status.daemon:
        yield "backlog", f"{status.daemon['backlog']};;;0"
