"""Runs the intake of notices over HTTP."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.errors import HashscanError
from hashscan.files import INTAKE
from hashscan.service.data import Data
from hashscan.service.intake.app import Intake, JsonProtocol, application
from hashscan.service.intake.box import Box
from hashscan.service.intake.links import LinkOptions, Links
from hashscan.service.intake.record import Requests
from hashscan.service.intake.running import Serving
from hashscan.service.intake.tokens import TOKENS, TokenSenders
from hashscan.service.server import Listening, run
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.audit.recorder import Recorder
    from hashscan.config.sites import SiteSettings
    from hashscan.state import State

#: Number of requests a second that the intake allows with one token.
RATE = 50.0
#: Seconds between two commits of the audit, and between two checks for changed tokens.
_EVERY = 1.0
#: Seconds between two messages about wrong tokens.
_QUIET = 60.0


@dataclass(frozen=True, slots=True)
class IntakeOptions(Listening):
    """The options of the intake over HTTP, including the address on which the intake listens.

    Attributes:
        links: options of the link checker.
        rate: number of requests a second that the intake allows with one token.
        audit_days: days after which the intake removes requests from the audit; ``None``: never.
    """

    links: LinkOptions = field(default_factory=LinkOptions)
    rate: float = RATE
    audit_days: float | None = None


def data_of(state: State) -> Data:
    """Return the directory with the tokens and the audit of the intake.

    Raises:
        UsageError: the intake's directory cannot be used.
    """
    return Data(os.path.join(state.directory, INTAKE), "--state")


def serve(
    state: State,
    sites: tuple[SiteSettings, ...],
    options: IntakeOptions,
    say: Callable[[str], None],
    recorder: Recorder | None = None,
) -> None:
    """Run the intake until the process gets SIGTERM or SIGINT.

    Args:
        state: the state directory, which the daemon may use at the same time.
        sites: the sites of this machine, for the link checker.
        options: the options of the intake, including its address.
        say: a function that is called with a sentence when the intake listens, and for each fault.
        recorder: writes to the audit log.

    Raises:
        UsageError: the intake cannot, or must not, listen at the address in the options.
        StateError: the state directory cannot be used.
    """
    options.check()
    data = data_of(state)
    with ExitStack() as stack:
        serving = Serving(data)
        stack.callback(serving.close)
        record = Requests(data, days=options.audit_days)
        stack.callback(record.close)
        box = Box(state, say, recorder)
        stack.callback(box.close)
        intake = Intake(TokenSenders(), record, box, rate=options.rate)
        keeper = _Keeper(data, intake, say)
        keeper.check()
        links = Links(state, sites, options.links, say)

        def ready(address: str) -> None:
            serving.listens(address)
            say(f"the intake of notices listens on {address}")

        run(
            application(intake, links),
            options,
            ready=ready,
            beside=keeper.keep,
            protocol=JsonProtocol,
        )
        links.close()


class _Keeper:
    """Commits the audit, loads changed tokens and reports wrong tokens, once a second."""

    def __init__(self, data: Data, intake: Intake, say: Callable[[str], None]) -> None:
        self._data = data
        self._intake = intake
        self._say = say
        self._stamp: object = ()
        self._trouble = ""
        self._wrong = 0
        self._quiet_until = 0.0

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await asyncio.to_thread(self.check)

    def check(self) -> None:
        self._intake.record.commit()
        trouble = self._intake.record.trouble
        senders = self._intake.senders
        try:
            stamp = self._data.stamp(TOKENS.file)
            if stamp != self._stamp:
                tokens = TOKENS.read(self._data)
                senders.take(tokens)
                self._stamp = stamp
                if not tokens:
                    self._say(
                        "no sender has a token; make one with 'hashscan notice token add NAME'"
                    )
        except HashscanError as error:
            trouble = trouble or str(error)
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble
        now = time.monotonic()
        if senders.wrong > self._wrong and now >= self._quiet_until:
            number = counted(senders.wrong - self._wrong, "request")
            self._say(f"{number} with a wrong token")
            self._wrong, self._quiet_until = senders.wrong, now + _QUIET
