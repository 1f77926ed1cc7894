"""The names of the audit log's events, with the facts that their lines have.

Facts that many lines share: ``path``, a file's full path (``os.fsdecode``); ``volume``;
``digests``, algorithm to lower-case hex; ``category``; ``quarantine_id``; ``notice``, the notice's
id; ``reason``, a word; ``message``, a sentence for people. ``delayed_since`` is the time of the
event, if the daemon could write the line only later.
"""

from __future__ import annotations

from typing import Final

# Scans and the known set
#: A scan begins: ``volumes``, ``kind``, ``action``, ``pid``.
SCAN_STARTED: Final = "scan-started"
#: A scan ended: ``volumes``, ``kind``, its counts as in the JSON line ``summary``, ``interrupted``.
SCAN_ENDED: Final = "scan-ended"
#: A sync begins: ``source``.
SYNC_STARTED: Final = "sync-started"
#: A sync ended: ``source``, ``states`` with category, state and version of each, ``message``.
SYNC: Final = "sync"
#: Other filters are in use from now on: ``filters``, as the catalog names them.
FILTER_CHANGED: Final = "filter-changed"

# Matches and quarantine
#: A match, after it was acted on: ``path``, ``size``, ``uid``, ``digests``, ``algorithm``,
#: ``category``, ``action`` (quarantined, reported, held, allowed), ``quarantine_id``, ``detected``,
#: ``found_by``, ``hold``; ``problem`` and ``message`` if an action failed.
MATCH: Final = "match"
#: Lines about an owner's matches in place have filled one file of the log within a day, so the next
#: ones have no lines until that day is over: ``uid``.
MATCHES_LEFT_OUT: Final = "matches-left-out"
#: A file is about to be moved to quarantine: ``path``, ``volume``, ``quarantine_id``, ``digests``,
#: ``category``, ``notice``.
MOVING: Final = "moving"
#: The file was moved: ``path``, ``quarantine_id``.
MOVED: Final = "moved"
#: The file was not moved, or was put back: ``path``, ``quarantine_id``, ``reason``, ``message``.
NOT_MOVED: Final = "not-moved"
#: Many moves of an owner's files failed within an hour, so the tries of the next minute have no
#: lines ``moving`` and ``not-moved``: ``uid``, ``count`` (tries without lines since the last such
#: line). A file that moves has its line ``moved``.
MOVES_LEFT_OUT: Final = "moves-left-out"
#: The next start finished or undid a move, a restore or a purge that a kill had interrupted, or
#: found it ended without a line about its result; or the next act found that, because the log could
#: not be written: ``quarantine_id``, ``message``.
RECOVERED: Final = "recovered"
#: A file is about to be restored: ``quarantine_id``, ``path`` (from where it came), ``to``.
RESTORING: Final = "restoring"
#: The file was restored: ``quarantine_id``, ``path`` (where it is now).
RESTORED: Final = "restored"
#: The file was not restored: ``quarantine_id``, ``path``, ``message``.
NOT_RESTORED: Final = "not-restored"
#: A content is about to be deleted for good: ``quarantine_id``, ``path``, ``because``.
PURGING: Final = "purging"
#: The content was deleted for good, or the hold on a restored file was lifted:
#: ``quarantine_id``, ``path``.
PURGED: Final = "purged"
#: A purge failed: ``quarantine_id``, ``message``.
NOT_PURGED: Final = "not-purged"
#: Record and content are about to be written to a file: ``quarantine_id``, ``path``, ``to``.
EXPORTED: Final = "exported"
#: The service no longer knows a digest in quarantine, and its records are about to be marked:
#: ``digest``, ``category``, ``files`` (how many), ``service``.
WITHDRAWN: Final = "withdrawn"
#: Digests in quarantine turned unknown, and a brake holds their withdrawal until an administrator
#: accepts it: ``digests`` and ``files`` (how many), ``reason``.
WITHDRAWAL_HELD: Final = "withdrawal-held"

# Brakes
#: The brakes hold matches back: ``hold``, ``kind`` (digest, copies, rate, share, list), ``reason``,
#: ``digest`` if all files have the same content; ``files`` and ``owners`` as the hold begins.
HELD: Final = "held"
#: An administrator lets the held files move: ``hold``, ``kind``, ``digest`` (some, as
#: ``sha1:...``), ``files``, ``owners``, ``because``.
HOLD_RELEASED: Final = "hold-released"
#: An administrator allows the held files: the same facts.
HOLD_DISMISSED: Final = "hold-dismissed"
#: The list was corrected, so hashscan closes the hold, before anybody decided: the same facts.
HOLD_CLOSED: Final = "hold-closed"

# Notices
#: A notice was stored: ``notice``, ``format``, ``sender``, ``reference``, ``items`` (how many),
#: ``deadline``, ``channel``, ``unproven`` (why it moves no file by itself).
NOTICE_RECEIVED: Final = "notice-received"
#: An input is not understood as a notice: ``channel``, ``message``, and ``path`` of the input, or
#: ``sender``.
NOTICE_REFUSED: Final = "notice-refused"
#: A step of a notice: ``notice``, ``item``, ``action`` (state, file, repeated, approved, answered),
#: and the details of the step, as ``notice show`` has them; ``done`` is what happened to a file.
NOTICE_ACTION: Final = "notice-action"
#: The deadline of a notice with open items is near: ``notice``, ``deadline``.
NOTICE_DUE: Final = "notice-due"
#: The deadline of a notice with open items has passed: ``notice``, ``deadline``.
NOTICE_OVERDUE: Final = "notice-overdue"
#: An answer is about to be sent or written: ``notice``, ``kind``, ``how`` (sent, written), ``to``.
#: The line about the step of the notice follows.
NOTICE_ANSWERING: Final = "notice-answering"
#: All items of a notice are settled: ``notice``, ``reason``.
NOTICE_CLOSED: Final = "notice-closed"
#: An item is open again: ``notice``, ``reason``.
NOTICE_REOPENED: Final = "notice-reopened"

#: A sender of notices over HTTP gets or loses its token: ``sender`` its name, ``action``.
SENDER_CHANGED: Final = "sender-changed"

#: A test message is about to be sent to a receiver of notifications: ``receiver``.
NOTIFY_TEST: Final = "notify-test"

# The daemon
#: The daemon starts: ``version``, ``pid``.
DAEMON_STARTED: Final = "daemon-started"
#: The daemon ends on request: ``pid``. After a kill the next daemon writes the line, with
#: ``clean`` (False) and ``seen``, the last time at which the killed one was alive.
DAEMON_STOPPED: Final = "daemon-stopped"
#: The daemon uses a changed configuration: ``file``.
RELOAD: Final = "reload"
#: hashscan refused something, and does not use it: ``what`` (configuration, filter, service),
#: ``message``.
REFUSED: Final = "refused"
#: A fault that needs an administrator: ``what``, ``message``.
PROBLEM: Final = "problem"
#: The fault has ended: ``what``.
PROBLEM_ENDED: Final = "problem-ended"
#: A volume is not there, or does not answer: ``volume``, ``message``.
VOLUME_LOST: Final = "volume-lost"
#: The volume is there again: ``volume``.
VOLUME_BACK: Final = "volume-back"
#: The counts of the last 24 hours, at a time that a receiver wants: ``at``, ``counts``.
DAILY_DIGEST: Final = "daily-digest"

# The log itself
#: The writer found a damaged end of the log and continued: ``reason`` (torn, cut, head, foreign),
#: ``message``.
LOG_REPAIRED: Final = "log-repaired"
#: The oldest file of the log is about to be removed: ``file``, ``begins`` with ``seq`` and ``prev``
#: of the first line that is kept.
LOG_REMOVED: Final = "log-removed"

#: All events.
ALL: Final = frozenset(
    value for name, value in tuple(globals().items()) if name.isupper() and isinstance(value, str)
)
