"""Fetches files of a repository: python-tuf's fetcher over requests, with bounds.

A server's answer has at most the bytes that TUF allows for the requested file, arrives at
``SLOWEST`` bytes a second or more, and comes from the configured host only. Redirects are not
followed, so credentials are never sent to another host. An interrupted download of a target
continues where it ended. python-tuf checks the whole target.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth
from tuf.api.exceptions import DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

from hashscan import __version__
from hashscan.errors import Fault
from hashscan.known.sync.web_answers import (
    FetchError,
    check_beginning,
    check_metadata,
    decoded,
    status_error,
)
from hashscan.net.bounded_requests import BoundedSession, Bounds
from hashscan.net.explain import FOREIGN_ERRORS, Names, coding_of, explain, fault_in
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hashscan.known.sync.repository_settings import RepositorySource

#: The slowest average speed, in bytes a second: a slower download is ended.
SLOWEST = 1024.0
_CHUNK = 1 << 16
#: Number of bytes of an answer allowed besides its body: status line, headers, sizes of chunks.
_HEADERS = 64 * 1024
_PARTIAL = re.compile(r"[0-9a-f]{64}\.")
_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)")
_NAMES = Names(
    "filter.source", "filter.ca_bundle", "filter.timeout", "filter.proxy", "the repository"
)
_ROOT = re.compile(r"[0-9]+\.root\.json")


class Fetcher(FetcherInterface):
    """Fetches metadata and targets of one repository.

    Attributes:
        fetched: number of bytes of the bodies fetched so far.
        resumed: whether the last download continued a download of an earlier run.
    """

    def __init__(self, source: RepositorySource, partial: str) -> None:
        """Keep ``partial``, the path of the directory for interrupted downloads."""
        self.fetched = 0
        self.resumed = False
        self._source = source
        self._partial = partial

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Not used: TUF's client calls ``download_file``, but its interface demands this method."""
        with self.download_file(url, 1 << 20) as file:
            yield from iter(lambda: file.read(_CHUNK), b"")

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Fetch the file at ``url``, and yield it open for reading.

        Raises:
            DownloadHTTPError: an HTTP status other than success.
            DownloadLengthMismatchError: the file has more than ``max_length`` bytes.
            FetchError: the file cannot be fetched for any other reason.
        """
        name = urlsplit(url).path.rpartition("/")[2]
        self.resumed = False
        with self._open(name) as file:
            try:
                self._download(url, file, max_length)
            except FOREIGN_ERRORS as error:
                where = urlsplit(self._source.url)
                raise FetchError(
                    f"{where.scheme}://{where.netloc}: "
                    f"{explain(error, self._source.timeout, _NAMES)}",
                    fault=fault_in(error),
                ) from None
            file.seek(0)
            if name.endswith(".json"):
                check_metadata(file, shown(url))
            yield file

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        """Yield the open file for a download; keep a target's file, so that it can continue."""
        if not _PARTIAL.match(name):
            with tempfile.TemporaryFile(dir=self._partial) as file:
                yield file
            return
        path = os.path.join(self._partial, name[:64])
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "r+b") as file:
            yield file
        # The caller read the file to its end without an error: the file is complete, or a forgery.
        # Remove the file.
        os.unlink(path)

    def forget(self, keep: Collection[str] = ()) -> None:
        """Remove files of earlier downloads, except targets with a SHA-256 in ``keep``."""
        for entry in os.scandir(self._partial):
            if entry.name in keep:
                continue
            with contextlib.suppress(OSError):
                os.unlink(entry.path)

    def _download(self, url: str, file: IO[bytes], max_length: int) -> None:
        start = file.seek(0, os.SEEK_END)
        if start >= max_length:  # the file was complete, or is not this target
            start = 0
        bounds = Bounds(answer=max_length + _HEADERS + max_length // 64, slowest=SLOWEST)
        with contextlib.closing(BoundedSession(bounds=bounds)) as session:
            session.trust_env = self._source.proxy is None
            headers = {"User-Agent": f"hashscan/{__version__}", "Accept-Encoding": "identity"}
            if start:
                headers["Range"] = f"bytes={start}-"
            with self._get(session, url, headers) as response:
                code = response.status_code
                if start and code == requests.codes.partial_content and not coding_of(response):
                    self._check_part(response, url, start)
                    self.resumed = True
                    return self._take(response, url, file, start, max_length)
                # A download of compressed data cannot be continued: ask the server for the whole
                # file.
                if not start or code not in {
                    requests.codes.partial_content,
                    requests.codes.range_not_satisfiable,
                }:
                    self._check(response, url)
                    return self._take(response, url, file, 0, max_length)
            headers.pop("Range")
            with self._get(session, url, headers) as response:
                self._check(response, url)
                return self._take(response, url, file, 0, max_length)

    def _get(self, session: BoundedSession, url: str, headers: dict[str, str]) -> requests.Response:
        source = self._source
        session.auth = _no_auth
        if source.username:
            # The credentials are given as bytes, because requests encodes text as Latin-1 (RFC 7617
            # has UTF-8).
            session.auth = HTTPBasicAuth(
                source.username.encode(),
                (source.password or "").encode(),
            )
        return session.ask(
            "GET",
            url,
            source.timeout,
            headers=headers,
            verify=source.ca_bundle or True,
            proxies={"http": source.proxy, "https": source.proxy} if source.proxy else None,
        )

    def _check_part(self, response: requests.Response, url: str, start: int) -> None:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start:
            raise FetchError(
                f"{shown(url)}: the server answers with another part than was asked for; inform"
                " the publisher",
                fault=Fault.ANSWER,
            )

    def _check(self, response: requests.Response, url: str) -> None:
        if response.status_code != requests.codes.ok:
            is_root = _ROOT.fullmatch(urlsplit(url).path.rpartition("/")[2]) is not None
            raise status_error(response, shown(url), is_root=is_root)

    def _take(
        self, response: requests.Response, url: str, file: IO[bytes], start: int, max_length: int
    ) -> None:
        with _on_disk():
            file.truncate(start)
            file.seek(start)
        left = max_length - start
        wire = 0
        coding = coding_of(response)

        def chunks() -> Iterator[bytes]:
            nonlocal wire
            while chunk := response.raw.read(
                _CHUNK if coding else min(_CHUNK, left + 1), decode_content=False
            ):
                wire += len(chunk)
                yield chunk

        for chunk in decoded(chunks(), coding, shown(url), _CHUNK):
            if left == max_length:
                check_beginning(chunk, shown(url))
            left -= len(chunk)
            if left < 0:
                raise DownloadLengthMismatchError(f"more than the {max_length} bytes allowed")
            with _on_disk():
                file.write(chunk)
            self.fetched += len(chunk)
        with _on_disk():
            file.flush()
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length[:15]) != wire:
            raise requests.ConnectionError("it ended before its announced length")


class DiskError(Exception):
    """A download failed because of ``error``, a fault of the disk and not of the network."""

    def __init__(self, error: OSError) -> None:
        """Keep ``error``, the fault of the disk."""
        self.error = error
        super().__init__(str(error))


@contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(error) from error


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add no credentials; an auth function is set so that requests never reads ``~/.netrc``."""
    return request
