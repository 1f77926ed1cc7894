"""Explains a web server's answers that are not the requested file.

hashscan reports such an answer as a fault of the server, not as an attack.

hashscan uses no content of these answers, so an attacker on the network gains nothing by an answer.
"""

from __future__ import annotations

import codecs
import json
import unicodedata
import zlib
from typing import IO, TYPE_CHECKING

import requests
from tuf.api.exceptions import DownloadError, DownloadHTTPError

from hashscan.errors import Fault, OtherMachineError
from hashscan.net.explain import redirect_host, retry_after
from hashscan.text import human_age

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = (requests.codes.not_found, requests.codes.gone)
_LATER = (requests.codes.too_many_requests, requests.codes.service_unavailable)
#: Smallest number of seconds that a message shows in larger units.
_LONG = 7200.0
_BLANK = b"\xef\xbb\xbf \t\r\n"


class FetchError(OtherMachineError, DownloadError):
    """Nothing can be fetched from the repository; the text says why."""


def status_error(response: requests.Response, url: str, *, is_root: bool) -> DownloadError:
    """The error for an HTTP status other than 200.

    Args:
        response: the answer with the status.
        url: the URL as shown in a message.
        is_root: true if the client asks for the next root until the server has none (404; some
            stores: 403).
    """
    status = response.status_code
    told = f"{url}: the server answered HTTP {status}"
    if status in _MISSING or (status == requests.codes.forbidden and is_root):
        missing = 404 if status in _MISSING else status
        return DownloadHTTPError(f"HTTP {status} for {url[-300:]}", missing)
    if status in {requests.codes.unauthorized, requests.codes.forbidden}:
        return FetchError(
            f"{told}: it refuses the credentials or this host; check filter.username and "
            "filter.password_file, and ask the publisher",
            fault=Fault.CREDENTIALS,
        )
    if status == requests.codes.proxy_authentication_required:
        return FetchError(
            f"{told}: a proxy on the way refuses the credentials; check filter.proxy, or the "
            "http_proxy and https_proxy of hashscan's environment",
            fault=Fault.CREDENTIALS,
        )
    if status in _LATER:
        seconds = retry_after(response.headers.get("Retry-After"))
        span = "" if seconds is None else f"{seconds:.0f} s"
        if seconds is not None and seconds >= _LONG:
            span = human_age(seconds)
        wait = f", and asks to wait {span}" if span else ""
        return FetchError(
            f"{told}: it is too busy{wait}; the next sync asks again",
            retry_after=seconds,
            fault=Fault.BUSY,
        )
    if 300 <= status < 400 and "Location" in response.headers:
        host = redirect_host(response.headers.get("Location"))
        return FetchError(
            f"{told}: it redirects to {host}, and hashscan follows no redirects; write the "
            "repository's own URL into filter.source. A login page of the network does this, too",
            fault=Fault.ANSWER,
        )
    if status >= 500:
        return FetchError(
            f"{told}: it fails; the next sync asks again. See the server's log: for a missing file "
            "it must answer 404",
            fault=Fault.ANSWER,
        )
    return FetchError(
        f"{told}, which is neither the file nor 404; check filter.source and the server's "
        "configuration",
        fault=Fault.ANSWER,
    )


def check_beginning(beginning: bytes, url: str) -> None:
    """Refuse an answer that is a page or another text in place of a file.

    Metadata begin with a brace. Targets are compressed, so they are not text.

    Args:
        beginning: the first bytes of the answer, at least one.
        url: the URL as shown in a message.

    Raises:
        FetchError: the server's answer is a page or a text.
    """
    head = beginning[:1024]
    start = head.lstrip(_BLANK)
    if start.startswith(b"<"):
        raise _no_file(url, "a web page")
    if url.endswith(".json"):
        if start and not start.startswith((b"{", b"[")):
            raise _no_file(url, "something else")
    elif _is_text(head):
        raise _no_file(url, "text")


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(one) == "Cc" for one in text if one not in "\t\r\n")


def check_metadata(file: IO[bytes], url: str) -> None:
    """Refuse a file that is not metadata of a repository at all, signed or not.

    Raises:
        FetchError: the fetched file is not metadata of a repository.
    """
    content = file.read()
    file.seek(0)
    if not content.strip():
        raise _no_file(url, "nothing")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return  # TUF's client refuses damaged metadata
    if not isinstance(found, dict) or not {"signed", "signatures"} & found.keys():
        raise _no_file(url, "something else")


def _no_file(url: str, what: str) -> FetchError:
    return FetchError(
        f"{url}: the server answered HTTP 200 with {what} instead of the file; for a missing file "
        "it must answer 404. Check its configuration (a fallback page?), filter.source, and "
        "whether a login page or a proxy answers in its place",
        fault=Fault.ANSWER,
    )


def decoded(chunks: Iterator[bytes], coding: str, url: str, most: int) -> Iterator[bytes]:
    """Yield the decompressed body of an answer, in pieces of at most ``most`` bytes.

    Args:
        chunks: the pieces of the answer's body as they arrive.
        coding: the value of ``Content-Encoding``; an empty text means no compression.
        url: the URL as shown in a message.
        most: number of bytes of the largest piece.

    Raises:
        FetchError: the body's compression is not supported, or broken.
    """
    if not coding:
        yield from chunks
        return
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise FetchError(
            f"{url}: the server answers with Content-Encoding: {coding}, though it was asked for "
            "none; configure it, or the proxy in front of it, not to compress these files",
            fault=Fault.ANSWER,
        )
    unpacking = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # gzip or zlib, by the header
    begins = True
    try:
        for chunk in chunks:
            packed = chunk
            # Some servers send deflate without the header of zlib (RFC 9110, 8.4.1.2).
            if begins and coding == "deflate" and not _has_zlib_header(chunk):
                unpacking = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            begins = False
            while packed and not unpacking.eof:
                if piece := unpacking.decompress(packed, most):
                    yield piece
                packed = unpacking.unconsumed_tail
        if piece := unpacking.flush():
            yield piece
        whole = unpacking.eof and not unpacking.unused_data
    except zlib.error:
        whole = False
    if not whole:
        raise FetchError(
            f"{url}: the server answers with Content-Encoding: {coding}, but the body is "
            "something else, or not whole; the next sync asks again. Configure the server not to "
            "compress these files",
            fault=Fault.ANSWER,
        )


def _has_zlib_header(beginning: bytes) -> bool:
    """Whether compressed data begins with zlib's header (RFC 1950, 2.2), or is one byte only."""
    if len(beginning) < 2:
        return True
    return beginning[0] & 0x0F == 8 and (beginning[0] << 8 | beginning[1]) % 31 == 0
