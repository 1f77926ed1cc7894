"""Decides the order of password checks: one check takes 50 ms, so a flood could take all time.

Checks have three ranks. First come the checks of a user whom the service has recognised at the same
address before. The second rank are checks for addresses without a recent wrong password; the third
rank are checks for all other addresses. Two checks run at the same time, and one at most is of the
third rank. So a flood of wrong passwords from one address delays no other address, and a flood from
many addresses delays no known user.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from hashscan.service.connections import network_of
from hashscan.service.limits import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.service.users import Credentials

#: Number of wrong passwords, from one address for one user, that are checked without a delay; and
#: the seconds between two later checks for this address and user.
WRONG_BURST, WRONG_SECONDS = 5, 20.0
#: Seconds after a wrong password during which the checks for its address come last.
_SUSPECT_SECONDS = 600.0
#: Number of simultaneous checks, and number of them for addresses whose checks come last.
_PLACES, _SUSPECT_PLACES = 2, 1
#: Largest number of waiting checks, for all addresses and for one address.
_WAITING, _WAITING_ADDRESS = 64, 8
_KNOWN = 10_000

_USER, _FRESH, _SUSPECT = range(3)


class TooManyError(Exception):
    """The service does not check a password now, because too many checks came before.

    Attributes:
        seconds: number of seconds until the client may send the password again.
    """

    def __init__(self, seconds: float) -> None:
        """``seconds``: number of seconds until the client may send the password again."""
        self.seconds = seconds
        super().__init__("too many wrong credentials")


class Known:
    """The pairs of a user and an address from which the user sent the right password."""

    def __init__(self) -> None:
        """Start without pairs of a user and an address."""
        self._pairs: dict[tuple[str, str], None] = {}

    def note(self, name: str, address: str) -> None:
        """Add a pair; at the limit of pairs, drop the pair that was added longest ago."""
        pair = (name, network_of(address))
        self._pairs.pop(pair, None)
        if len(self._pairs) >= _KNOWN:
            del self._pairs[next(iter(self._pairs))]
        self._pairs[pair] = None

    def __contains__(self, pair: tuple[str, str]) -> bool:
        """Return whether the user sent the right password from the address before."""
        return (pair[0], network_of(pair[1])) in self._pairs


class _Waiting(NamedTuple):
    """A waiting password check; waiting checks are ordered by ``rank``, then by ``number``."""

    rank: int
    number: int
    network: str
    gone: Callable[[], bool]
    place: asyncio.Future[None]


class PasswordChecks:
    """Checks passwords, a few at the same time."""

    def __init__(self) -> None:
        """Start without users whom the service has recognised."""
        self._threads = ThreadPoolExecutor(_PLACES, "password")
        self._wrong = Limiter(1 / WRONG_SECONDS, WRONG_BURST)
        self._suspect = Limiter(1 / _SUSPECT_SECONDS, 1)
        self._known = Known()
        self._running = {_USER: 0, _FRESH: 0, _SUSPECT: 0}
        self._queue: list[_Waiting] = []
        self._numbers = itertools.count()

    def seen(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Add pairs of a user and an address from which the user sent the right password."""
        for name, address in pairs:
            self._known.note(name, address)

    async def right(
        self,
        credentials: Credentials,
        name: str,
        password: str,
        address: str,
        gone: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Return whether this is the user's password.

        ``gone``: returns whether the client has disconnected; then the password is not checked.

        Raises:
            TooManyError: the password was not checked, because too many wrong passwords came
                before.
        """
        network = network_of(address)
        # Wrong passwords are counted by address, so that a stranger cannot lock a user out.
        pair = (name, network)
        if wait := self._wrong.empty(pair):
            raise TooManyError(wait)
        rank = _USER if pair in self._known else _FRESH
        if rank == _FRESH and self._suspect.empty(network):
            rank = _SUSPECT
        await self._turn(rank, network, gone)
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._threads, credentials.check, name, password)
        finally:
            self._running[rank] -= 1
            self._next()
        if not right:
            self._wrong.wait(pair)
            self._suspect.wait(network)
        return right

    async def _turn(self, rank: int, network: str, gone: Callable[[], bool]) -> None:
        """Wait until this password check may run, and count the check in ``_running``."""
        if not self._queue and self._is_free(rank):
            self._running[rank] += 1
            return
        theirs = sum(1 for one in self._queue if one.network == network)
        if rank != _USER and theirs >= _WAITING_ADDRESS:
            raise TooManyError(1.0)
        if len(self._queue) >= _WAITING:
            last = max(self._queue)
            if last.rank <= rank:
                raise TooManyError(1.0)
            self._queue.remove(last)
            heapq.heapify(self._queue)
            if not last.place.done():
                last.place.set_exception(TooManyError(1.0))
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, _Waiting(rank, next(self._numbers), network, gone, place))
        self._next()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._running[rank] -= 1
                self._next()
            raise

    def _is_free(self, rank: int) -> bool:
        if rank == _SUSPECT and self._running[_SUSPECT] >= _SUSPECT_PLACES:
            return False
        return sum(self._running.values()) < _PLACES

    def _next(self) -> None:
        """Let waiting password checks run, as many as may; the first rank comes first."""
        while self._queue and self._is_free(self._queue[0].rank):
            first = heapq.heappop(self._queue)
            if first.place.done():
                continue
            if first.gone():
                first.place.set_exception(TooManyError(1.0))
            else:
                self._running[first.rank] += 1
                first.place.set_result(None)
