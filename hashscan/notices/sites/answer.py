"""The answers that sources of sites give to a request; a source is an entry of ``sites``."""

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
    """The answer of a web server that sends the client to another address."""

    address: Address


@dataclass(frozen=True, slots=True)
class Passed:
    """The answer of a web server that passes the request on to another server.

    Attributes:
        address: the address that the web server requests from the other server.
        otherwise: the answer that counts if no entry of ``sites`` has the other server's host.
    """

    address: Address
    otherwise: Location


Answer = Redirected | Passed


class AnswerError(Exception):
    """Ends the web server's phases for a request; carries the web server's answer."""

    def __init__(self, answer: Location | Answer) -> None:
        """``answer``: the web server's answer to the request."""
        super().__init__()
        self.answer = answer


class Phases(ABC):
    """The phases in which a web server processes a request; a phase may end the request."""

    def answer(self) -> Location | Answer:
        """The web server's answer to the request.

        Raises:
            UndecidedError: hashscan cannot decide on the web server's answer.
        """
        try:
            self._run()
        except AnswerError as ended:
            return ended.answer

    @abstractmethod
    def _run(self) -> NoReturn:
        """Run the web server's phases until a phase ends the request."""

    def _end(self, answer: Location | Answer) -> NoReturn:
        raise AnswerError(answer)


def is_root_missing(answer: Location | Answer, disk: Disk) -> bool:
    """Whether an answer is ``no-file`` because the document root is missing."""
    if not isinstance(answer, Location) or answer.kind is not LocationKind.NO_FILE:
        return False
    return not answer.root or disk.root(answer.root) is None


def is_same(one: Location | Answer, other: Location | Answer) -> bool:
    """Whether two answers are equal, apart from the steps to the answers."""
    if isinstance(one, Location) and isinstance(other, Location):
        return (one.kind, one.root, one.path) == (other.kind, other.root, other.path)
    return one == other


class SiteSource(Protocol):
    """A source of sites: answers requests by an entry of ``sites`` in the configuration."""

    @property
    def name(self) -> str:
        """The name of the source of sites, for messages."""

    def is_changed(self) -> bool:
        """Whether the source of sites changed since it was read, or could not be read then."""

    def bases(self) -> Iterable[Base]:
        """The document roots of hosts that the source of sites names.

        Raises:
            UndecidedError: the document roots of the source of sites cannot be read.
        """

    def content(self) -> str:
        """The content of the source of sites in words, e.g. the number of hosts; reads the source.

        Raises:
            UndecidedError: the content of the source of sites cannot be read.
        """

    def answer(self, address: Address, disk: Disk) -> Location | Answer | None:
        """The web server's answer to a request; ``None``: the source of sites lacks the host.

        Raises:
            UndecidedError: hashscan cannot decide on the web server's answer.
        """
