"""Writes the texts of messages; each text from outside becomes one printable line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from hashscan.text import counted, human_size, local_time, one_line, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.notify.message import Event, Message

#: Words for the number of events of a kind: singular and plural.
_NOUNS = {
    "match": ("match", "matches"),
    "hold": ("hold", "holds"),
    "withdrawn": ("message about withdrawn digests", "messages about withdrawn digests"),
    "notice": ("new notice", "new notices"),
    "notice-due": ("notice due soon", "notices due soon"),
    "notice-overdue": ("OVERDUE notice", "OVERDUE notices"),
    "problem": ("message about a problem", "messages about problems"),
    "volume-lost": ("message about a lost volume", "messages about lost volumes"),
    "daemon-stopped": ("stop of the daemon", "stops of the daemon"),
    "daily": ("summary of the day", "summaries of the day"),
}
#: The command that shows more about the events of a kind, by kind.
_COMMANDS = {
    "match": "hashscan quarantine list",
    "hold": "hashscan hold list",
    "withdrawn": "hashscan quarantine list",
    "notice": "hashscan notice list",
    "notice-due": "hashscan notice list",
    "notice-overdue": "hashscan notice list",
}
#: The words for the begin of a problem, by the event's fact ``what``.
_PROBLEMS = {
    "scanning": "nothing is scanned, because the known set cannot be used",
    "sync": "new filters cannot be fetched, or are refused",
    "service": "the service does not answer, so candidates wait for a verdict",
    "password": "the service refuses the password",
    "notices": "notices cannot be read",
    "reload": "the last reload of the configuration was refused",
}
#: The words for the end of a problem, by the event's fact ``what``.
_WELL = {
    "scanning": "the known set can be used again",
    "sync": "new filters are fetched again",
    "service": "the service answers again",
    "password": "the service takes the password again",
    "notices": "notices can be read again",
    "reload": "the configuration was read again",
}
REPEAT = (
    "This message may have been sent before: hashscan does not know whether it arrived. The earlier"
    " message has the same id."
)


def subject(message: Message) -> str:
    """Return one line with the host and a summary of the events."""
    if message.is_test:
        return f"hashscan on {_word(message.host)}: test"
    return f"hashscan on {_word(message.host)}: {summary(message)}"


def summary(message: Message) -> str:
    """Return the numbers of events in words: ``2 matches, 1 hold``."""
    parts = [counted(number, *_NOUNS[kind]) for kind, number in message.counts.items()]
    return ", ".join(parts) or "nothing"


def text(message: Message) -> str:
    """Return the whole message as lines of text."""
    if message.is_test:
        lines = [
            f"This is a test of hashscan on {_word(message.host)}: messages reach you.",
        ]
    else:
        lines = [f"{summary(message)} on {_word(message.host)}:", ""]
        lines += [f"- {line_of(one)}" for one in message.events]
        more = sum(message.counts.values()) - len(message.events)
        if more > 0:
            lines.append(f"- and {more:,} more: 'hashscan history' on that machine shows them")
        commands = dict.fromkeys(_command(kind, message) for kind in message.counts)
        lines += ["", f"On that machine: {', '.join(commands)}"]
    if message.dropped:
        lines += ["", message.dropped]
    if message.may_repeat:
        lines += ["", REPEAT]
    return "\n".join([*lines, "", f"Message {message.id}"]) + "\n"


def _command(kind: str, message: Message) -> str:
    """Return the command that shows more about the events of a kind."""
    if kind == "match" and not any("quarantine_id" in one.facts for one in message.events):
        return "hashscan history --event match"  # no match of the message is in quarantine
    return _COMMANDS.get(kind, "hashscan status")


def line_of(event: Event) -> str:
    """Return an event as one line."""
    said = _LINES[event.event](event.facts)
    path = event.facts.get("path")
    if path is not None:
        said += f": {shown(str(path))}"
    digests = event.facts.get("digests", event.facts.get("digest"))
    if isinstance(digests, dict | str):
        pairs = digests.items() if isinstance(digests, dict) else [("digest", digests)]
        said += "".join(f", {_word(name)} {_word(value)}" for name, value in pairs)
    if (uid := event.facts.get("uid")) is not None:
        said += f", owner {_word(uid)}"
    if message := event.facts.get("message"):
        said += f" ({_word(message)})"
    return f"{_moment(event.time)} {said}"


def _match(facts: dict[str, Any]) -> str:
    said = f"match, {_word(facts.get('action', 'unknown action'))}"
    if category := facts.get("category"):
        said += f", category {_word(category)}"
    if isinstance(size := facts.get("size"), int):
        said += f", {human_size(size)}"
    if record := facts.get("quarantine_id"):
        said += f", record {_word(record)}"
    return said


def _matches_left_out(facts: dict[str, Any]) -> str:
    del facts
    return (
        "an owner has so many matches in place that messages leave out the next ones for a day;"
        " 'hashscan status' counts them"
    )


def _held(facts: dict[str, Any]) -> str:
    files, owners = facts.get("files"), facts.get("owners")
    many = "matches are held back"
    if isinstance(files, int) and isinstance(owners, int):
        # The numbers are from the begin of the hold; a scan may have found more matches since.
        many = (
            f"{counted(files, 'match', 'matches')} of {counted(owners, 'owner')} held back so far"
        )
    reason = f" ({_word(facts['reason'])})" if facts.get("reason") else ""
    name = f" {_word(facts['hold'])}" if facts.get("hold") is not None else ""
    return (
        f"hold{name}: {many}{reason}, and no more of them move until you decide;"
        f" 'hashscan hold show{name}' says how many there are now, and how to decide"
    )


def _withdrawn(facts: dict[str, Any]) -> str:
    del facts
    return (
        "the service no longer knows a digest in quarantine; 'hashscan quarantine restore"
        " --withdrawn' puts the files back"
    )


def _withdrawal_held(facts: dict[str, Any]) -> str:
    files = facts.get("files")
    of = f" of {counted(files, 'file')}" if isinstance(files, int) else ""
    return (
        f"the withdrawal{of} in quarantine waits until you accept it; see 'hashscan quarantine"
        " withdrawn'"
    )


def _notice(begin: str) -> Callable[[dict[str, Any]], str]:
    def said(facts: dict[str, Any]) -> str:
        if facts.get("notice") is None:
            return f"{begin}s; 'hashscan notice list' shows them"
        name = _word(facts["notice"])
        due = f", deadline {_moment(facts['deadline'])}" if facts.get("deadline") else ""
        items = facts.get("items")
        number = f" with {counted(items, 'item')}" if isinstance(items, int) else ""
        return f"{begin} {name}{number}{due}; 'hashscan notice show {name}'"

    return said


def _problem(facts: dict[str, Any]) -> str:
    what = _word(facts.get("what", "unknown"))
    return f"problem: {_PROBLEMS.get(what, what)}; 'hashscan status' says what to do"


def _problem_ended(facts: dict[str, Any]) -> str:
    what = _word(facts.get("what", "unknown"))
    return f"ended: {_WELL.get(what, f'no problem any more: {what}')}"


def _volume(state: str) -> Callable[[dict[str, Any]], str]:
    def said(facts: dict[str, Any]) -> str:
        if facts.get("volume") is not None:
            return f"volume {shown(str(facts['volume']))} {state}"
        number = facts.get("number")
        place = f"number {number} of the configuration " if isinstance(number, int) else ""
        return f"a volume {place}{state}"

    return said


def _stopped(facts: dict[str, Any]) -> str:
    if facts.get("clean", True):
        return "the daemon was stopped; nothing is watched until it starts again"
    seen = f" after {_moment(facts['seen'])}" if facts.get("seen") else ""
    return f"the daemon ended without a stop{seen} (a crash, a kill or a power cut); it runs again"


def _daily(facts: dict[str, Any]) -> str:
    counts = facts.get("counts")
    if not isinstance(counts, dict):
        return "summary of the day"
    parts = [f"{_word(name)} {number:,}" for name, number in counts.items()]
    return f"summary of the day: {', '.join(parts) or 'nothing happened'}"


_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "match": _match,
    "matches-left-out": _matches_left_out,
    "held": _held,
    "withdrawn": _withdrawn,
    "withdrawal-held": _withdrawal_held,
    "notice-received": _notice("new notice"),
    "notice-due": _notice("due soon: notice"),
    "notice-overdue": _notice("OVERDUE: notice"),
    "problem": _problem,
    "problem-ended": _problem_ended,
    "volume-lost": _volume("is not there, or does not answer; nothing on it is scanned"),
    "volume-back": _volume("is there again"),
    "daemon-stopped": _stopped,
    "daily-digest": _daily,
}


def _word(value: Any) -> str:
    """Return a value as one printable line without signs that change the direction of text."""
    return one_line(str(value))


def _moment(value: Any) -> str:
    """Return a time as text in this machine's zone; a time of the audit log, or epoch seconds."""
    try:
        if isinstance(value, str):
            return local_time(datetime.fromisoformat(value).timestamp())
        return local_time(float(value))
    except (ValueError, TypeError, OverflowError, OSError):
        return _word(value)
