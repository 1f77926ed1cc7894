"""The answers of sources of sites to a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

from hashscan.notices.sites.location import Location, LocationKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.disk import Disk
    from hashscan.notices.sites.reverse import Base


@dataclass(frozen=True, slots=True)
class Redirected:
    """The server sends the client to another address."""

    address: Address


@dataclass(frozen=True, slots=True)
class Passed:
    """The server passes the request on to another server.

    Attributes:
        address: the address of the request to the other server.
        otherwise: the answer if no source has the other server.
    """

    address: Address
    otherwise: Location


Answer = Redirected | Passed


class AnswerError(Exception):
    """Ends the phases of a request with its answer."""

    def __init__(self, answer: Location | Answer) -> None:
        """``answer``: the server's answer to the request."""
        super().__init__()
        self.answer = answer


class Phases(ABC):
    """The phases of a request; a phase may end the request with an answer."""

    def answer(self) -> Location | Answer:
        """The server's answer to the request.

        Raises:
            UndecidedError: hashscan cannot decide on the answer.
        """
        try:
            self._run()
        except AnswerError as ended:
            return ended.answer

    @abstractmethod
    def _run(self) -> NoReturn:
        """Run the phases until a phase ends the request."""

    def _end(self, answer: Location | Answer) -> NoReturn:
        raise AnswerError(answer)


def is_root_missing(answer: Location | Answer, disk: Disk) -> bool:
    """Whether an answer is ``no-file`` because its document root is missing."""
    if not isinstance(answer, Location) or answer.kind is not LocationKind.NO_FILE:
        return False
    return not answer.root or disk.root(answer.root) is None


def is_same(one: Location | Answer, other: Location | Answer) -> bool:
    """Whether two answers are equal, apart from their steps."""
    if isinstance(one, Location) and isinstance(other, Location):
        return (one.kind, one.root, one.path) == (other.kind, other.root, other.path)
    return one == other


class SiteSource(Protocol):
    """An entry of ``sites`` in the configuration."""

    @property
    def name(self) -> str:
        """The name of the entry, for messages."""

    def is_changed(self) -> bool:
        """Whether the content of the source changed since the last reading, or was unreadable."""

    def bases(self) -> Iterable[Base]:
        """The document roots with known hosts.

        Raises:
            UndecidedError: the document roots cannot be read.
        """

    def content(self) -> str:
        """The content of the source in a few words, e.g. the number of hosts; reads a file.

        Raises:
            UndecidedError: the content cannot be read.
        """

    def answer(self, address: Address, disk: Disk) -> Location | Answer | None:
        """The answer to a request; ``None``: the source does not have the host.

        Raises:
            UndecidedError: hashscan cannot decide on the answer.
        """
