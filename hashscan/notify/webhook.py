"""Posts messages to a URL, as JSON with a signature, or in the format of Slack or Matrix.

HTTP headers of the request for every message:

- ``X-Hashscan-Message-Id``: the message's id, the same each time the message is sent.
- ``X-Hashscan-Timestamp``: time of sending, in seconds since the epoch.
- ``X-Hashscan-Signature``: ``v1=`` and the HMAC-SHA-256 of the time stamp, a full stop and the body
  in hexadecimal digits; with ``secret_file`` only.

Sources: RFC 2104 (HMAC); Slack, "Sending messages using incoming webhooks"; Matrix client-server
API v1.11, PUT /rooms/{roomId}/send/{eventType}/{txnId}: the server drops a repeated txnId.
"""

from __future__ import annotations

import hmac
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic_core import PydanticCustomError

from hashscan.config.values import url as checked_url
from hashscan.net.bounded_requests import BoundedSession
from hashscan.net.explain import (
    FOREIGN_ERRORS,
    Names,
    explain,
    is_certificate_error,
    is_unsent,
    redirect_host,
    retry_after,
)
from hashscan.notify.command import json_of
from hashscan.notify.notifier import NotSentError, SendFault, secret_of
from hashscan.notify.wording import text

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from hashscan.config.notify import ReceiverSettings
    from hashscan.notify.message import Message

_NAMES = Names("`url`", "ca_bundle", "`timeout`", who="the receiver")
#: HTTP statuses with which a receiver refuses one message only, and not every message.
_REFUSED = frozenset({400, 409, 411, 413, 415, 422})
_LATER = frozenset({408, 421, 423, 425, 429})
#: HTTP statuses from 500 on that certainly mean that the receiver did not take the message.
_NOT_TAKEN = frozenset({501, 503, 505, 511})
#: Largest number of bytes of a text. Slack cuts longer texts, and Matrix refuses events of more
#: than 64 KiB.
_LONGEST_TEXT = 20_000
_FIXES = {
    401: "check the token in token_file, or the secret that the receiver knows",
    403: "check the token in token_file, and whether it may write there",
    404: "check the URL: there is nothing at that path; a webhook may have been removed",
    410: "the webhook was removed: make a new one, and write its URL",
}


class WebhookNotifier:
    """Posts messages to a URL."""

    def __init__(
        self, settings: ReceiverSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep the receiver's settings; ``clock`` returns seconds since the epoch."""
        self._settings = settings
        self._clock = clock
        self._session: BoundedSession | None = None

    def send(self, message: Message) -> None:
        """Send a message; return when the receiver has answered with a status 200 to 299.

        Raises:
            NotSentError: the receiver did not accept the message (see ``Notifier``).
            ConfigError: a secret of the receiver cannot be read.
        """
        settings = self._settings
        method, url, body = self._request(message)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "hashscan",
            "X-Hashscan-Message-Id": message.id,
            "X-Hashscan-Timestamp": str(int(self._clock())),
        }
        if (secret := secret_of(settings, "secret_file")) is not None:
            stamp = headers["X-Hashscan-Timestamp"]
            headers["X-Hashscan-Signature"] = signature(secret, stamp, body)
        if (token := secret_of(settings, "token_file")) is not None:
            if not token.isascii():
                raise NotSentError(SendFault.SETUP, "the token is not ASCII", "correct token_file")
            headers["Authorization"] = f"Bearer {token}"
        with BoundedSession() as session:
            # Without this setting, requests would add the credentials of a .netrc file.
            session.auth = _unchanged
            try:
                response = session.ask(
                    method,
                    url,
                    settings.timeout,
                    data=body,
                    headers=headers,
                    verify=settings.ca_bundle or True,
                )
                response.close()
            except FOREIGN_ERRORS as error:
                certificate = is_certificate_error(error)
                what, _, fix = explain(error, settings.timeout, _NAMES).partition("; ")
                raise NotSentError(
                    SendFault.SETUP if certificate else SendFault.LATER,
                    f"the receiver: {what}",
                    fix,
                    unsure=not certificate and not is_unsent(error),
                ) from error
        _judge(response)

    def stop(self) -> None:
        """Do nothing: the HTTP request of ``send`` ends by itself within ``timeout``."""

    def _request(self, message: Message) -> tuple[str, str, bytes]:
        """Return the method, the URL and the body of the HTTP request for a message."""
        settings = self._settings
        url = settings.url
        if url is None:
            try:
                url = checked_url(secret_of(settings, "url_file"))
            except PydanticCustomError as error:
                what = (error.context or {}).get("what", "is not a URL")
                raise NotSentError(
                    SendFault.SETUP, f"the URL in url_file {what}", "correct the file"
                ) from None
        if settings.format == "json":
            return "POST", url, json_of(message)
        said = text(message)
        raw = said.encode()
        if len(raw) > _LONGEST_TEXT:
            said = f"{raw[:_LONGEST_TEXT].decode(errors='ignore')}…\n"
        if settings.format == "slack":
            # Links and mentions of Slack need one of the three signs ``& < >``.
            for sign, other in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                said = said.replace(sign, other)
            # Mattermost and Rocket.Chat take `@all` in a file's name for a mention of everybody.
            said = said.replace("@", "@\u200b")
            # In a code block, a file's name makes no link, image or other markup.
            first, _, rest = said.replace("`", "`\u200b").partition("\n\n")
            return "POST", url, _json({"text": f"{first}\n```\n{rest}```\n"})
        assert settings.room is not None
        place = f"/_matrix/client/v3/rooms/{quote(settings.room, safe='')}/send/m.room.message/"
        # Without `m.mentions`, servers and clients look for `@room` and names in the text.
        content = {"msgtype": "m.text", "body": said, "m.mentions": {}}
        return "PUT", f"{url.rstrip('/')}{place}{message.id}", _json(content)


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Return the value of the HTTP header ``X-Hashscan-Signature`` for a message."""
    signed = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256")
    return f"v1={signed.hexdigest()}"


def _json(found: dict[str, Any]) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode("ascii")


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _judge(response: requests.Response) -> None:
    """Return if the receiver's HTTP answer accepts the message; otherwise raise.

    Raises:
        NotSentError: the receiver's HTTP answer does not accept the message.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        host = redirect_host(response.headers.get("Location"))
        raise NotSentError(
            SendFault.SETUP,
            f"the receiver redirects to {host} (status {status}), which hashscan does not follow",
            "write the URL that it redirects to",
        )
    what = f"the receiver answers with status {status}"
    if status in _REFUSED:
        raise NotSentError(
            SendFault.REFUSED, f"{what}: it refuses this message", "check `format`, and its log"
        )
    if status in _LATER or status >= 500:
        wait = retry_after(response.headers.get("Retry-After"))
        raise NotSentError(
            SendFault.LATER,
            what,
            "see the log of the receiver",
            # The receiver may have taken the message: a proxy lost its answer, or a later step
            # failed.
            unsure=status >= 500 and status not in _NOT_TAKEN,
            wait=wait,
        )
    raise NotSentError(SendFault.SETUP, what, _FIXES.get(status, "check the URL"))
