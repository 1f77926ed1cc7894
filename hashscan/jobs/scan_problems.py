"""Writes problems that prevent scans to the audit log, so that receivers are notified."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from hashscan.audit.problems import Problems
from hashscan.audit.recorder import Recorder
from hashscan.config.trust import faults
from hashscan.errors import FilterError, LockedError, QuarantineError, StateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.config.settings import Settings
    from hashscan.errors import ConfigError
    from hashscan.scan.asker import NoAnswer
    from hashscan.state import State
#: Errors that prevent a scan, and that the sysadmin must mend.
STOPS = (FilterError, UsageError, StateError, QuarantineError)


class ScanProblems:
    """Writes the problems that one scan finds; a lasting problem has one line over all scans."""

    def __init__(self, recorder: Recorder, notice: Callable[[str], None]) -> None:
        """Prepare for a caller that holds the lock of the state directory.

        ``notice`` receives the reason why an audit line was not written.
        """
        self._recorder = recorder
        self._notice = notice
        self._problems = Problems(recorder.log.state, self._write)

    def _write(self, event: str, facts: dict[str, Any]) -> bool:
        try:
            self._recorder.write(event, **facts)
        except StateError as error:
            self._notice(str(error))
            return False
        return True

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Write an error in the ``with`` block, which opens the known set and the allow-list.

        The kind of problem is the class of the error, because a message may contain a time.
        """
        try:
            yield
        except STOPS as error:
            self._problems.problem("scanning", type(error).__name__, str(error))
            raise
        self._problems.problem_ended("scanning")

    def service(self, failure: NoAnswer | None, *, answered: bool) -> None:
        """Note whether the service answered during the scan.

        Args:
            failure: why candidates have no verdict at the end; ``None``: all candidates have a
                verdict.
            answered: the service gave a verdict in this scan.
        """
        if failure is not None:
            what = "password" if failure.is_last else "service"
            self._problems.problem(what, str(failure.fault), failure.message)
        elif answered:
            for what in ("service", "password"):
                self._problems.problem_ended(what)

    def volume(self, root: bytes, why: str | None) -> None:
        """Note that a configured volume is present (``None``), or why the volume is missing."""
        if why is None:
            self._problems.volume_back(root)
        else:
            self._problems.volume_lost(root, why)


def note_refused(
    settings: Settings, state: State, error: ConfigError, notice: Callable[[str], None]
) -> None:
    """Report that a file which the configuration names cannot be used, and send the notifications.

    ``settings`` is the configuration, read without a check of the files that it names. Nothing is
    reported if other users can change such a file, because receivers may run programs; or if a
    daemon or another scan uses the state.

    Raises:
        StateError: the state directory cannot be used.
    """
    from hashscan.jobs.notifications import begin_notifying, send_now  # noqa: PLC0415 - heavy

    if settings.service is None or faults(settings):
        return
    with suppress(LockedError):
        with state.lock():
            begin_notifying(settings, state)
            problems = ScanProblems(Recorder.of(settings, "scan", state), notice)
            with suppress(UsageError), problems.opening():
                raise error
        send_now(settings, state, notice)
