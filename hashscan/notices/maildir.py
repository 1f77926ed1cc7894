"""Takes notices from a Maildir, which may belong to another user.

hashscan stores the notice in a mail first, then marks the mail as read: the mail moves from ``new``
to ``cur`` with the flag S, as mail programs do. If the process is killed in between, the next round
through the Maildir reads the mail again, and the store recognises the mail's bytes. A mail that is
no notice in a known format remains unread. It counts as waiting until a person has read or trashed
the mail (flag S or T). hashscan also reads mails that other programs moved to ``cur``, with any
flags.

Source: https://cr.yp.to/proto/maildir.html (directories, unique names, flags).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from hashscan import __version__
from hashscan.errors import HashscanError, NoticeError, UnsafePathError
from hashscan.fs.beneath import closing, open_directory, open_file
from hashscan.fs.named import opened_named
from hashscan.fs.reading import is_same_stamp
from hashscan.fs.rename import put
from hashscan.notices.accept import InputFacts, accept, key_of
from hashscan.notices.intake import MOST_BYTES
from hashscan.notices.notice import Channel, Mail
from hashscan.notices.senders import NOBODY
from hashscan.text import one_line, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.notices.senders import Senders
    from hashscan.notices.store import NoticeStore

#: The most names that one round through the Maildir lists in each directory.
MOST_NAMES = 100_000
#: The most mails that one round through the Maildir reads, and the round's longest time in seconds.
#: The next round reads the other mails.
MOST_MAILS, MOST_SECONDS = 200, 60.0
#: How often the process may die while it reads the same mail, before hashscan refuses the mail.
MOST_TRIES = 3
#: The most refused mails of which a round through the Maildir gives the paths.
_EXAMPLES = 5
_LONGEST_REASON = 1000
_DIRECTORIES = (b"new", b"cur")  # in this order, to find a mail that another program moves
_INFO = b":2,"
#: Errors on opening a link or a socket, which no later round can open either. After other errors,
#: e.g. of a file lease, a later round may open the file.
_NEVER_OPEN = frozenset({errno.ELOOP, errno.ENXIO})


class RefusedMail(NamedTuple):
    """A refused mail: its path, and why hashscan cannot read the mail or find a notice in it."""

    path: str
    why: str


@dataclass(slots=True)
class MaildirRound:
    """The result of one round through the Maildir: what hashscan did with each mail.

    Attributes:
        stored: ids of the new notices that the round stored.
        repeated: number of mails whose bytes were stored before this round.
        refused: mails that this round refused, because they are unreadable or no notice.
        waiting: number of refused mails that no person has read yet.
        examples: some of the refused mails that no person has read yet, with the reasons.
        left: number of unread mails that this round leaves for the next round.
        trouble: why mails cannot be read or marked as read; "": all mails can.
    """

    stored: list[str] = field(default_factory=list)
    repeated: int = 0
    refused: list[RefusedMail] = field(default_factory=list)
    waiting: int = 0
    examples: list[RefusedMail] = field(default_factory=list)
    left: int = 0
    trouble: str = ""


class _MailFile(NamedTuple):
    """A mail file in ``new`` or ``cur``: its name, the unique part of the name, flags and inode."""

    directory: bytes
    name: bytes
    unique: bytes
    flags: bytes
    inode: int


class _RefusedError(Exception):
    """The mail is refused. ``final``: later rounds through the Maildir do not read it again."""

    def __init__(self, why: str, *, final: bool = True) -> None:
        self.why = why
        self.final = final
        super().__init__(why)


def take_mails(
    path: str,
    store: NoticeStore,
    *,
    senders: Senders = NOBODY,
    before_each: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> MaildirRound:
    """Read the new mails of a Maildir, and store their notices, in one round.

    ``senders``: the senders whose mails may move files. ``before_each`` is called before each mail
    is read. ``clock`` returns the time in seconds, for the bound on the round.

    Raises:
        StateError: the file of notices cannot be used.
    """
    done = MaildirRound()
    try:
        with _opened(path) as directories:
            _MaildirPass(path, directories, store, done, senders, before_each).run(clock)
    except (UnsafePathError, OSError) as error:
        done.trouble = _trouble(path, error)
    return done


def why_unusable(path: str) -> str | None:
    """Why a Maildir's mails cannot be read and marked as read; ``None``: no reason."""
    try:
        with _opened(path) as directories:
            for name, fd in directories.items():
                if not os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
                    where = shown(os.path.join(os.fsencode(path), name))
                    return (
                        f"{where} cannot be read and changed by this user: run hashscan as root, "
                        "or check the mode and the mount"
                    )
    except (UnsafePathError, OSError) as error:
        return _trouble(path, error)
    return None


@contextmanager
def _opened(path: str) -> Iterator[dict[bytes, int]]:
    """Descriptors of the directories of a Maildir, by their names."""
    with ExitStack() as stack:
        named = stack.enter_context(opened_named(os.fsencode(path)))
        yield {
            name: stack.enter_context(closing(open_directory(named.fd, name)))
            for name in _DIRECTORIES
        }


def _trouble(path: str, error: UnsafePathError | OSError) -> str:
    if isinstance(error, UnsafePathError):
        return str(error)
    where = shown(error.filename) if isinstance(error.filename, bytes | str) else shown(path)
    return (
        f"{shown(path)} cannot be used as a Maildir: {where}: {said_by(error)}; check "
        "notices.maildir: a Maildir has the directories new and cur"
    )


class _MaildirPass:
    """One round through a Maildir: lists its mails, reads new mails, stores their notices."""

    def __init__(
        self,
        path: str,
        directories: dict[bytes, int],
        store: NoticeStore,
        done: MaildirRound,
        senders: Senders,
        before_each: Callable[[], None],
    ) -> None:
        self._path = os.fsencode(path)
        self._directories = directories
        self._store = store
        self._done = done
        self._senders = senders
        self._before_each = before_each
        self._mails = store.mails()

    def run(self, clock: Callable[[], float]) -> None:
        until = clock() + MOST_SECONDS
        found = self._list()
        unread = []
        for one in found:
            mail = self._mails.get(one.unique)
            if mail is None or mail.inode != one.inode:
                unread.append(one)
            elif mail.notice:
                if one.directory == b"new":
                    self._mark(one)
            elif mail.key is not None and (notice := self._store.id_of(mail.key)):
                # An administrator added this mail's bytes with 'notice add' and the right format.
                self._mark(one)
                self._store.put_mail(one.unique, replace(mail, notice=notice))
            elif mail.refused is None or mail.version != __version__:
                unread.append(one)
            else:
                self._wait(one, mail.refused)
        unread.sort(key=lambda one: one.unique)  # file names begin with the time of delivery
        for number, one in enumerate(unread):
            if number == MOST_MAILS or clock() >= until:
                self._done.left = len(unread) - number
                break
            self._store_mail(one)

    def _list(self) -> list[_MailFile]:
        """List the mails of ``new`` and ``cur``, each once; forget mails that no longer exist."""
        # Two mails may have the same name against the rules of Maildir: the inode tells the mails
        # apart.
        found: dict[tuple[bytes, int], _MailFile] = {}
        whole = True
        for name in _DIRECTORIES:
            listed = list(islice(self._names(name), MOST_NAMES + 1))
            if len(listed) > MOST_NAMES:
                whole = False
                where = shown(self._path + b"/" + name)
                self._done.trouble = (
                    f"{where} has more than {MOST_NAMES:,} mails, and hashscan reads no more: move "
                    "old mails to another folder"
                )
            found |= {(one.unique, one.inode): one for one in listed[:MOST_NAMES]}
        gone = self._mails.keys() - {unique for unique, _ in found}
        if whole and gone:
            self._store.forget_mails(gone)
        return list(found.values())

    def _names(self, directory: bytes) -> Iterator[_MailFile]:
        with os.scandir(self._directories[directory]) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if not name.startswith(b"."):
                    unique, _, flags = name.partition(_INFO)
                    inode = entry.inode() & (1 << 63) - 1  # SQLite's integers are signed
                    yield _MailFile(directory, name, unique, flags, inode)

    def _store_mail(self, one: _MailFile) -> None:
        known = self._mails.get(one.unique)
        same = known is not None and known.inode == one.inode and known.refused is None
        tries = known.tries if known is not None and same else 0
        mail = Mail(one.inode, tries=tries + 1)
        try:
            if tries >= MOST_TRIES:
                raise _RefusedError(f"hashscan failed {tries} times to read this mail")
            self._store.put_mail(one.unique, mail)
            self._before_each()
            content, arrived = self._read(one)
            mail = replace(mail, key=key_of(content))
            added = accept(
                self._store,
                content,
                channel=Channel.MAILDIR,
                facts=InputFacts(received=min(arrived, time.time())),
                senders=self._senders,
            )
        except FileNotFoundError:
            return  # another program moved the mail: the next round finds the mail
        except _RefusedError as error:
            # Count only the death of the process as a failed try to read the mail. A mail that
            # cannot be read now does not count.
            kept = mail if error.final else replace(mail, tries=0)
            self._refuse(one, kept, error.why, final=error.final)
            return
        except NoticeError as error:
            self._refuse(one, mail, _without_findings(error))
            return
        except HashscanError:
            raise
        except MemoryError:
            self._refuse(one, mail, "there is too little memory to read it", final=False)
            return
        except Exception as error:  # noqa: BLE001 - a fault in one mail must not stop the others
            why = f"internal error: {type(error).__name__}: {error}; please report it"
            self._refuse(one, mail, why)
            return
        if added.new:
            self._done.stored.append(added.id)
        else:
            self._done.repeated += 1
        self._mark(one)
        self._store.put_mail(one.unique, replace(mail, notice=added.id))

    def _read(self, one: _MailFile) -> tuple[bytes, float]:
        """The bytes of a mail, and the time of its arrival in seconds since the epoch.

        Raises:
            FileNotFoundError: the mail's file is gone.
            _RefusedError: the mail's file is too large, is no regular file, or cannot be read.
        """
        try:
            fd = open_file(self._directories[one.directory], one.name)
        except FileNotFoundError:
            raise
        except OSError as error:
            final = error.errno in _NEVER_OPEN
            raise _RefusedError(f"it cannot be opened: {said_by(error)}", final=final) from error
        with closing(fd):
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise _RefusedError("it is not a regular file")
            if before.st_size > MOST_BYTES:
                raise _RefusedError(f"it has more than {MOST_BYTES >> 20} MiB")
            try:
                content = _read_whole(fd)
            except OSError as error:
                raise _RefusedError(f"it cannot be read: {said_by(error)}", final=False) from error
            if not is_same_stamp(before, os.fstat(fd)) or len(content) != before.st_size:
                raise _RefusedError(
                    "it changes while it is read; hashscan tries again", final=False
                )
            return content, before.st_mtime

    def _refuse(self, one: _MailFile, mail: Mail, why: str, *, final: bool = True) -> None:
        why = one_line(why)[:_LONGEST_REASON]
        self._store.put_mail(
            one.unique, replace(mail, refused=why, version=__version__) if final else mail
        )
        if final:
            self._done.refused.append(RefusedMail(self._shown(one), why))
            self._store.note_refused(Channel.MAILDIR, why, path=self._shown(one))
        self._wait(one, why)

    def _wait(self, one: _MailFile, why: str) -> None:
        """Count a refused mail as waiting, unless a person has read or trashed the mail."""
        if one.directory == b"cur" and (b"S" in one.flags or b"T" in one.flags):
            return
        self._done.waiting += 1
        if len(self._done.examples) < _EXAMPLES:
            self._done.examples.append(RefusedMail(self._shown(one), why))

    def _mark(self, one: _MailFile) -> None:
        """Move the file of a stored mail to ``cur`` with the flag S, for "read"."""
        flags = bytes(sorted({*one.flags, ord("S")}))
        target = one.unique + _INFO + flags
        if (one.directory, one.name) == (b"cur", target):
            return
        try:
            put(self._directories[one.directory], one.name, self._directories[b"cur"], target)
        except FileNotFoundError:
            pass  # another program moved the mail's file
        except OSError as error:
            self._done.trouble = (
                f"{self._shown(one)} is stored as a notice, but cannot be marked as read: "
                f"{said_by(error)}; check the owner, the mode and the mount of the Maildir"
            )

    def _shown(self, one: _MailFile) -> str:
        return shown(b"/".join((self._path, one.directory, one.name)))


def _without_findings(error: NoticeError) -> str:
    """Why a mail is refused, in one line for the log and ``status``, without formats' messages."""
    if not error.findings:
        return str(error)
    return f"{str(error).partition(';')[0]}; 'hashscan notice add FILE' says what each format lacks"


def _read_whole(fd: int) -> bytes:
    """The content of an open file, up to ``MOST_BYTES`` + 1 bytes."""
    parts = []
    left = MOST_BYTES + 1
    while left and (part := os.read(fd, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
