"""Hands a mail to the program that sends mails, e.g. sendmail(8)."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.errors import MachineError
from hashscan.text import human_age, one_line, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The program that sends mails may take this many seconds.
LONGEST = 60.0
_SAID = 2000
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_NOT_SENT = "the answer is not marked as sent"


def send(words: Sequence[str], content: bytes, seconds: float = LONGEST) -> None:
    """Run a program with a mail on the program's standard input, and wait until the program ends.

    The output of the program goes to memory, not to a pipe. So a process that the program leaves
    running, e.g. for its queue of mails, does not block the caller.

    words: the full path of the program, and the program's arguments; no shell reads the arguments.

    Raises:
        MachineError: the program cannot be started, takes too long, or exits with an error.
    """
    name = shown(words[0])
    with (
        open(os.memfd_create("answer"), "w+b") as given,
        open(os.memfd_create("output"), "w+b") as said,
    ):
        given.write(content)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the administrator's own program, no shell
                list(words),
                stdin=given,
                stdout=said,
                stderr=said,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise MachineError(
                f"{name} cannot be started: {said_by(error)}; {_NOT_SENT}; install a mail server, "
                "or name another program in notices.sendmail"
            ) from error
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise MachineError(
                f"{name} did not end within {human_age(seconds)} and was killed; {_NOT_SENT}, but "
                "check the mail server's queue and log before you send it again"
            ) from None
        finally:
            if process.returncode is None:
                with suppress(OSError):  # kill also the processes that the program started
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code != 0:
            said.seek(0)
            words_said = one_line(said.read(_SAID).decode("utf-8", "replace"))
            raise MachineError(
                f"{name} ended with code {code}; {_NOT_SENT}; its output: {words_said or 'none'}"
            )
