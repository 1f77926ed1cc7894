"""The mail addresses of the files' owners, and the mail to an owner of a matched file.

The mail never describes the content of a file.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from typing import TYPE_CHECKING, TextIO

from hashscan.config.values import is_mail_address
from hashscan.errors import UsageError
from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.program import run_program
from hashscan.text import counted, human_age, local_time, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.message import Message

_MOST_OUTPUT = 1024
_LARGEST, _LONGEST_LINE = 64 << 20, 4096
_LARGEST_TEMPLATE = 64 << 10
_COMMAND_SECONDS = 10.0
#: The text of the mail to an owner; its first paragraph is the subject.
BUILT_IN = """\
A file of your account was moved away

Hello,

an automatic check has moved {files} of your account {owner} on {host} to a safe
place ({time}). Nothing was deleted. Please write to us by answering this
mail before you upload the file again.

Message {id}
"""
_FIELDS = ("files", "owner", "host", "time", "id")


class Contacts:
    """Looks up owners' mail addresses for a receiver with ``contacts`` or ``contacts_command``."""

    def __init__(self, settings: ReceiverSettings) -> None:
        """Keep the receiver's settings; ``address`` reads the file of contacts."""
        self._settings = settings

    def address(self, owner: str) -> str:
        """Return the mail address of an owner; ``owner``: a user id.

        Raises:
            NotSentError: the owner has no mail address, or the contacts cannot be read.
        """
        name = name_of(owner)
        if self._settings.contacts is not None:
            found = self._from_file(self._settings.contacts, {owner, name})
        else:
            found = self._from_command(name)
        if not found:
            raise NotSentError(
                SendFault.NOBODY, f"owner {shown(name)} has no address", "add it to the contacts"
            )
        if not is_mail_address(found):
            raise NotSentError(
                SendFault.NOBODY,
                f"the address of owner {shown(name)} is not one plain mail address",
                "correct it in the contacts",
            )
        return found

    def _from_file(self, path: str, names: set[str]) -> str:
        try:
            with open(path, encoding="utf-8", errors="replace", opener=_without_waiting) as file:
                for line in _lines(file):
                    owner, _, address = line.partition(":")
                    if owner.strip() in names and not line.startswith("#"):
                        return address.strip()
        except OSError as error:
            raise NotSentError(
                SendFault.SETUP,
                f"{shown(path)}: {said_by(error)}",
                "put the file of contacts there",
            ) from error
        return ""

    def _from_command(self, name: str) -> str:
        words = self._settings.contacts_command
        assert words is not None
        program = shown(words[0])
        if name.startswith("-"):  # The program would read a name that begins with "-" as an option.
            return ""
        try:
            ran = run_program([*words, name], _COMMAND_SECONDS, _MOST_OUTPUT)
        except OSError as error:
            raise NotSentError(
                SendFault.SETUP, f"{program} cannot be started: {said_by(error)}", "run it by hand"
            ) from error
        if not ran.in_time or ran.code or ran.too_long:
            how = (
                f"did not end within {human_age(_COMMAND_SECONDS)}"
                if not ran.in_time
                else "prints more than an address"
                if ran.too_long
                else f"ended with code {ran.code}"
            )
            raise NotSentError(SendFault.LATER, f"{program} {how}", "run it by hand to see why")
        return ran.output.decode("utf-8", "replace").strip()

    def text(self, message: Message) -> str:
        """Return the text of the mail to an owner; the first paragraph is the mail's subject.

        Raises:
            NotSentError: the template of the mail cannot be read.
        """
        template = BUILT_IN
        if self._settings.template is not None:
            try:
                template = read_template(self._settings.template)
            except UsageError as error:
                raise NotSentError(SendFault.SETUP, str(error)) from error
        values = {
            "files": counted(sum(message.counts.values()), "file"),
            "owner": shown(name_of(message.recipient)),
            "host": shown(message.host),
            "time": local_time(message.made),
            "id": message.id,
        }
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", value)
        return template


def read_template(path: str) -> str:
    """Read the template of the mail to an owner: a subject, an empty line, and a text.

    Raises:
        UsageError: the template cannot be read, or it is no subject, empty line and text.
    """
    try:
        with open(path, encoding="utf-8", opener=_without_waiting) as file:
            found = file.read(_LARGEST_TEMPLATE + 1)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"the template {shown(path)} cannot be read: {said_by(error)}") from error
    first, _, rest = found.partition("\n\n")
    if len(found) > _LARGEST_TEMPLATE or not first.strip() or "\n" in first or not rest.strip():
        raise UsageError(
            f"the template {shown(path)} must have one line as the subject, an empty line, and a"
            f" text; in it {', '.join(f'{{{one}}}' for one in _FIELDS)} are replaced"
        )
    return found


def _without_waiting(path: str, flags: int) -> int:
    """Open a regular file; raise for a FIFO or a device, which could block the reader forever.

    Raises:
        OSError: the path names no regular file, or the regular file cannot be opened.
    """
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return fd


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file's first ``_LARGEST`` bytes, without lines that are too long."""
    read, begins = 0, True
    while read < _LARGEST and (line := file.readline(_LONGEST_LINE)):
        read += len(line)
        is_whole = len(line) < _LONGEST_LINE or line.endswith("\n")
        if begins and is_whole:
            yield line
        begins = line.endswith("\n")


def name_of(owner: str) -> str:
    """Return the name of a user id, or the number itself if the machine has no name for it."""
    try:
        return pwd.getpwuid(int(owner)).pw_name
    except (KeyError, ValueError, OverflowError):
        return owner
