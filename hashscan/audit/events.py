"""The names of the audit log's events, and the facts that the lines of each event have.

Facts that many lines share: ``path``, a file's full path (``os.fsdecode``); ``volume``;
``digests``, algorithm to lower-case hex; ``category``; ``quarantine_id``; ``notice``, the notice's
id; ``reason``, a word; ``message``, a sentence for people. ``delayed_since`` is the time of the
event, if the daemon could write the line only later.
"""

from __future__ import annotations

from typing import Final

# Scans and the known set
#: A scan begins. Facts: ``volumes``, ``kind``, ``action``, ``pid``.
SCAN_STARTED: Final = "scan-started"
#: A scan ended. Facts: ``volumes``, ``kind``, ``interrupted``, and the counts of the JSON line
#: ``summary``.
SCAN_ENDED: Final = "scan-ended"
#: A sync of the filters begins. Facts: ``source``.
SYNC_STARTED: Final = "sync-started"
#: A sync of the filters ended. Facts: ``source``, ``message``, ``states`` (category, state and
#: version of each filter).
SYNC: Final = "sync"
#: A scan or the daemon begins to use another filter set. Facts: ``filters`` (name of the filter set
#: in the catalog).
FILTER_CHANGED: Final = "filter-changed"

# Matches and quarantine
#: A match was found and acted on. Facts: ``path``, ``size``, ``uid``, ``digests``, ``algorithm``,
#: ``category``, ``action`` (quarantined, reported, held, allowed), ``quarantine_id``, ``detected``,
#: ``found_by``, ``hold``; ``problem`` and ``message`` if an action failed.
MATCH: Final = "match"
#: Lines about an owner's matches in place have filled one file of the log within a day, so further
#: matches of this owner get no lines until the day is over. Facts: ``uid``.
MATCHES_LEFT_OUT: Final = "matches-left-out"
#: A file is about to be moved to quarantine. Facts: ``path``, ``volume``, ``quarantine_id``,
#: ``digests``, ``category``, ``notice``.
MOVING: Final = "moving"
#: A file was moved to quarantine. Facts: ``path``, ``quarantine_id``.
MOVED: Final = "moved"
#: A file was not moved to quarantine, or was put back. Facts: ``path``, ``quarantine_id``,
#: ``reason``, ``message``.
NOT_MOVED: Final = "not-moved"
#: Many moves of an owner's files failed within an hour, so the tries of the next minute get no
#: lines ``moving`` and ``not-moved``. A file that is moved gets its line ``moved``. Facts: ``uid``,
#: ``count`` (tries without lines since the last line of this kind).
MOVES_LEFT_OUT: Final = "moves-left-out"
#: The next start finished or undid a move, a restore or a purge that a kill had interrupted; or the
#: act had ended, and only its result was missing in the log. Facts: ``quarantine_id``, ``message``.
RECOVERED: Final = "recovered"
#: A file is about to be restored from quarantine. Facts: ``quarantine_id``, ``path`` (its original
#: path), ``to``.
RESTORING: Final = "restoring"
#: A file was restored from quarantine. Facts: ``quarantine_id``, ``path`` (its new path).
RESTORED: Final = "restored"
#: A file was not restored from quarantine. Facts: ``quarantine_id``, ``path``, ``message``.
NOT_RESTORED: Final = "not-restored"
#: A content in quarantine is about to be deleted for ever. Facts: ``quarantine_id``, ``path``,
#: ``because``.
PURGING: Final = "purging"
#: A content in quarantine was deleted for ever, or scans may move a restored file again. Facts:
#: ``quarantine_id``, ``path``.
PURGED: Final = "purged"
#: A content in quarantine could not be deleted. Facts: ``quarantine_id``, ``message``.
NOT_PURGED: Final = "not-purged"
#: A record of the quarantine and its content are about to be exported to a file. Facts:
#: ``quarantine_id``, ``path``, ``to``.
EXPORTED: Final = "exported"
#: The service no longer knows a digest in quarantine, and its records are about to be marked.
#: Facts: ``digest``, ``category``, ``files`` (number of files), ``service``.
WITHDRAWN: Final = "withdrawn"
#: The service no longer knows some digests in quarantine, and a brake holds their withdrawal until
#: an administrator accepts it. Facts: ``digests`` and ``files`` (numbers), ``reason``.
WITHDRAWAL_HELD: Final = "withdrawal-held"

# Brakes
#: A brake trips and holds matches. Facts: ``hold``, ``kind`` (digest, copies, rate, share, list),
#: ``reason``, ``files`` and ``owners`` (numbers at the begin of the hold), ``digest`` if all files
#: have the same content.
HELD: Final = "held"
#: An administrator lets the held files move. Facts: ``hold``, ``kind``, ``digest`` (some digests,
#: as ``sha1:...``), ``files``, ``owners``, ``because``.
HOLD_RELEASED: Final = "hold-released"
#: An administrator allows the content of the held files. Facts: see ``hold-released``.
HOLD_DISMISSED: Final = "hold-dismissed"
#: hashscan closes a hold before an administrator decides, because the list was corrected. Facts:
#: see ``hold-released``.
HOLD_CLOSED: Final = "hold-closed"

# Notices
#: A notice was stored. Facts: ``notice``, ``format``, ``sender``, ``reference``, ``items``
#: (number), ``deadline``, ``channel``, ``unproven`` (why hashscan moves no file because of this
#: notice alone).
NOTICE_RECEIVED: Final = "notice-received"
#: hashscan refused an input, because the input is not a notice that hashscan can read. Facts:
#: ``channel``, ``message``, and ``path`` (of the input) or ``sender``.
NOTICE_REFUSED: Final = "notice-refused"
#: A step of a notice was done. Facts: ``notice``, ``item``, ``action`` (state, file, repeated,
#: approved, answered), and the details of the step in ``notice show``; ``done`` is the action on a
#: file.
NOTICE_ACTION: Final = "notice-action"
#: The deadline of a notice with open items is near. Facts: ``notice``, ``deadline``.
NOTICE_DUE: Final = "notice-due"
#: The deadline of a notice with open items has passed. Facts: ``notice``, ``deadline``.
NOTICE_OVERDUE: Final = "notice-overdue"
#: An answer to a notice is about to be sent or written; a line ``notice-action`` follows. Facts:
#: ``notice``, ``kind``, ``how`` (sent, written), ``to``.
NOTICE_ANSWERING: Final = "notice-answering"
#: All items of a notice are settled. Facts: ``notice``, ``reason``.
NOTICE_CLOSED: Final = "notice-closed"
#: An item of a notice is open again. Facts: ``notice``, ``reason``.
NOTICE_REOPENED: Final = "notice-reopened"

#: A sender of notices over HTTP gets or loses its token. Facts: ``sender`` (the sender's name),
#: ``action``.
SENDER_CHANGED: Final = "sender-changed"

#: A test notification is about to be sent to a receiver of notifications. Facts: ``receiver``.
NOTIFY_TEST: Final = "notify-test"

# The daemon
#: The daemon starts. Facts: ``version``, ``pid``.
DAEMON_STARTED: Final = "daemon-started"
#: The daemon ends on request. Facts: ``pid``. After a kill, the next daemon writes this line with
#: ``clean`` (false) and ``seen`` (the last time at which the killed daemon was alive).
DAEMON_STOPPED: Final = "daemon-stopped"
#: The daemon uses a changed configuration. Facts: ``file``.
RELOAD: Final = "reload"
#: hashscan refuses a faulty input and does not use it. Facts: ``what`` (configuration, filter,
#: service), ``message``.
REFUSED: Final = "refused"
#: A fault begins that needs an administrator. Facts: ``what``, ``message``.
PROBLEM: Final = "problem"
#: A fault that needed an administrator has ended. Facts: ``what``.
PROBLEM_ENDED: Final = "problem-ended"
#: A volume is missing or does not answer. Facts: ``volume``, ``message``.
VOLUME_LOST: Final = "volume-lost"
#: A lost volume has come back. Facts: ``volume``.
VOLUME_BACK: Final = "volume-back"
#: The counts of the last 24 hours, at the time of day that a receiver of notifications has
#: configured. Facts: ``at``, ``counts``.
DAILY_DIGEST: Final = "daily-digest"

# The log itself
#: The writer found a damaged end of the log and continued. Facts: ``reason`` (torn, cut, head,
#: foreign), ``message``.
LOG_REPAIRED: Final = "log-repaired"
#: The oldest file of the log is about to be removed. Facts: ``file``, ``begins`` (``seq`` and
#: ``prev`` of the first line that is kept).
LOG_REMOVED: Final = "log-removed"

#: The names of all events.
ALL: Final = frozenset(
    value for name, value in tuple(globals().items()) if name.isupper() and isinstance(value, str)
)
