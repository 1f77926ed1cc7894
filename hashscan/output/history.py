"""Events of the audit log as sentences and lines for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from hashscan.audit import events
from hashscan.output.wrapping import wrapped
from hashscan.text import counted, one_line, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.audit.line import AuditEvent

#: Columns of an event's time and of the actor's name, with the two spaces after each.
_TIME, _NAME = 21, 10


def printed(event: AuditEvent, width: int | None = None) -> str:
    """Return an event's local time, its actor and its sentence, wrapped at ``width`` columns."""
    head = f"{_local(event.time):<{_TIME}}{event.who!s:<{_NAME - 2}}  "
    return wrapped(head + sentence(event), width, _TIME + _NAME)


def _local(time: str) -> str:
    try:
        moment = datetime.fromisoformat(time).astimezone()
    except ValueError:
        return one_line(time)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def sentence(event: AuditEvent) -> str:
    """Return a line that says what happened in an event; the line has names escaped."""
    facts = _Facts(event.facts)
    make = _SENTENCES.get(event.event)
    if make is None:  # a newer hashscan wrote this event
        return " ".join([event.event, *(f"{name}={facts[name]}" for name in sorted(event.facts))])
    said = make(facts)
    if since := facts["delayed_since"]:
        said += f" (it was at {_local(since)}; the log could not be written then)"
    return said


class _Facts:
    """The facts of an audit event as escaped texts; the text of a missing fact is empty."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts

    def __getitem__(self, name: str) -> str:
        value = self._facts.get(name)
        if value is None:
            return ""
        if isinstance(value, list):
            return ", ".join(shown(str(one)) for one in value)
        if isinstance(value, dict):  # a fact may have several values by name: digests, or counts
            return ", ".join(f"{shown(str(one))} {shown(str(value[one]))}" for one in value)
        return shown(str(value))

    def number(self, name: str) -> int:
        value = self._facts.get(name)
        return value if isinstance(value, int) else 0

    def after(self, words: str, name: str) -> str:
        """Return the text of an event's fact after ``words``; empty if the event lacks the fact."""
        value = self[name]
        return f"{words}{value}" if value else ""

    def said(self, name: str = "message") -> str:
        """Return the event's message, which is escaped already, after a colon."""
        value = self._facts.get(name)
        return f": {one_line(value)}" if isinstance(value, str) and value else ""

    def about(self) -> str:
        """Return the event's message after a colon, without the path at the message's begin."""
        text = self.said()
        return text.replace(f": {self['path']}: ", ": ", 1)


def _scan_ended(facts: _Facts) -> str:
    if facts["error"]:
        return f"scan of {facts['volumes']} failed{facts.said('error')}"
    ended = "was interrupted" if facts["interrupted"] == "True" else "ended"
    parts = [
        counted(facts.number("files"), "file"),
        counted(facts.number("matches"), "match", "matches"),
    ]
    others = ("quarantined", "held", "pending", "problems")
    parts += [f"{facts.number(name):,} {name}" for name in others if facts.number(name)]
    return f"scan of {facts['volumes']} {ended}: {', '.join(parts)}"


def _sync(facts: _Facts) -> str:
    return f"sync{facts.after(' of ', 'source')} ended{facts.after(': ', 'states')}{facts.said()}"


def _match(facts: _Facts) -> str:
    notice = facts.after(", notice ", "notice")
    # The audit log has one line with the hold's reason, for all matches of the hold.
    hold = facts.after(" by ", "hold")
    return (
        f"match {facts['path']}: {facts['action']}{facts.after(' as ', 'quarantine_id')}{hold}"
        f" ({facts['category']}{notice}){'' if hold else facts.about()}"
    )


def _notice_action(facts: _Facts) -> str:
    about = f"notice {facts['notice']}{facts.after(', item ', 'item')}"
    kind = facts["action"]
    if kind == "state":
        return f"{about}: now {facts['to']}{facts.after(': ', 'reason')}"
    if kind == "file":
        what = "no longer in its place" if facts["away"] == "True" else facts["done"] or "found"
        return f"{about}: {facts['path']}: {what}{facts.after(' as ', 'quarantine_id')}"
    if kind == "repeated":
        return f"{about}: named again{facts.after(' by ', 'by')}"
    if kind == "answered":
        return f"{about}: {facts['kind']} {facts['how']}{facts.after(', for ', 'to')}"
    return f"{about}: {kind}{facts.after(': ', 'reason')}"


def _deadline(facts: _Facts, how: str) -> str:
    when = f", deadline {_local(facts['deadline'])}" if facts["deadline"] else ""
    return f"notice {facts['notice']} {how}{when}"


def _stopped(facts: _Facts) -> str:
    if facts["clean"] == "False":
        seen = f" after {_local(facts['seen'])}" if facts["seen"] else ""
        return f"the daemon before ended without a stop{seen}"
    return f"daemon stopped (process {facts['pid']})"


_SENTENCES: dict[str, Callable[[_Facts], str]] = {
    events.SCAN_STARTED: lambda f: (
        f"scan of {f['volumes']} began ({f['kind']}, action {f['action']})"
    ),
    events.SCAN_ENDED: _scan_ended,
    events.SYNC_STARTED: lambda f: f"sync began{f.after(' from ', 'source')}",
    events.SYNC: _sync,
    events.FILTER_CHANGED: lambda f: f"other filters are in use: {f['filters']}",
    events.MATCH: _match,
    events.MOVES_LEFT_OUT: lambda f: (
        f"many moves of files of user {f['uid']} failed: tries of the next minute have no lines"
        f" ({f['count']} since the last such line)"
    ),
    events.MATCHES_LEFT_OUT: lambda f: (
        f"user {f['uid']} has so many matches in place that the next ones have no lines for a day"
    ),
    events.MOVING: lambda f: (
        f"moving {f['path']} to quarantine as {f['quarantine_id']}{f.after(', notice ', 'notice')}"
    ),
    events.MOVED: lambda f: f"moved {f['path']} to quarantine as {f['quarantine_id']}",
    events.NOT_MOVED: lambda f: f"did not move {f['path']}{f.about()}",
    events.RECOVERED: lambda f: f"ended unfinished work on {f['quarantine_id']}{f.said()}",
    events.RESTORING: lambda f: f"restoring {f['quarantine_id']} to {f['to']}",
    events.RESTORED: lambda f: f"restored {f['quarantine_id']} to {f['path']}",
    events.NOT_RESTORED: lambda f: f"did not restore {f['quarantine_id']}{f.said()}",
    events.PURGING: lambda f: (
        f"deleting the content of {f['quarantine_id']}, {f['path']}{f.after(': ', 'because')}"
    ),
    events.PURGED: lambda f: f"deleted the content of {f['quarantine_id']}, {f['path']}",
    events.NOT_PURGED: lambda f: f"did not delete {f['quarantine_id']}{f.said()}",
    events.EXPORTED: lambda f: f"exporting {f['quarantine_id']}, {f['path']}, to {f['to']}",
    events.WITHDRAWN: lambda f: (
        f"{f['service']} no longer knows {f['digest']}, of {counted(f.number('files'), 'file')}"
    ),
    events.WITHDRAWAL_HELD: lambda f: (
        f"the withdrawal of {counted(f.number('digests'), 'digest')} is held"
        f"{f.after(': ', 'reason')}"
    ),
    events.HELD: lambda f: f"hold {f['hold']} began{f.after(': ', 'reason')}{f.said()}",
    events.HOLD_RELEASED: lambda f: f"released hold {f['hold']}{f.after(': ', 'because')}",
    events.HOLD_CLOSED: lambda f: f"closed hold {f['hold']}{f.after(': ', 'because')}",
    events.HOLD_DISMISSED: lambda f: f"dismissed hold {f['hold']}{f.after(': ', 'because')}",
    events.NOTICE_RECEIVED: lambda f: (
        f"notice {f['notice']} received{f.after(' from ', 'sender')}, "
        f"{counted(f.number('items'), 'item')}"
    ),
    events.NOTICE_REFUSED: lambda f: (
        f"an input{f.after(' in ', 'path')}{f.after(' of ', 'sender')} is no notice{f.about()}"
    ),
    events.NOTICE_ACTION: _notice_action,
    events.NOTICE_ANSWERING: lambda f: (
        f"notice {f['notice']}: {f['kind']} about to be {f['how']}, for {f['to']}"
    ),
    events.NOTICE_DUE: lambda f: _deadline(f, "is due soon"),
    events.NOTICE_OVERDUE: lambda f: _deadline(f, "is overdue"),
    events.NOTICE_CLOSED: lambda f: f"notice {f['notice']} closed{f.after(': ', 'reason')}",
    events.NOTICE_REOPENED: lambda f: f"notice {f['notice']} reopened{f.after(': ', 'reason')}",
    events.SENDER_CHANGED: lambda f: f"sender {f['sender']}: {f['action']}",
    events.NOTIFY_TEST: lambda f: f"sending a test message to the receiver {f['receiver']}",
    events.DAEMON_STARTED: lambda f: (
        f"daemon started (hashscan {f['version']}, process {f['pid']})"
    ),
    events.DAEMON_STOPPED: _stopped,
    events.RELOAD: lambda f: f"configuration reloaded{f.after(' from ', 'file')}",
    events.REFUSED: lambda f: f"{f['what']} refused{f.said()}",
    events.PROBLEM: lambda f: f"problem with {f['what']}{f.said()}",
    events.PROBLEM_ENDED: lambda f: f"the problem with {f['what']} has ended",
    events.VOLUME_LOST: lambda f: f"volume {f['volume']} lost{f.said()}",
    events.VOLUME_BACK: lambda f: f"volume {f['volume']} is there again",
    events.DAILY_DIGEST: lambda f: f"summary of the day: {f['counts'] or 'nothing happened'}",
    events.LOG_REPAIRED: lambda f: f"the end of this log was mended{f.said()}",
    events.LOG_REMOVED: lambda f: f"removed the oldest file of this log, {f['file']}",
}
