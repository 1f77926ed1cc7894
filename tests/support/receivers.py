"""Receivers of notifications on real sockets and in real processes, one interface for all.

with MailPlace(tmp_path) as place:
    place.behave("later")          # accept, later, refuse or hang
    open_notifier(place.settings).send(message)
    place.received                 # [Got(id, text)]
"""

import contextlib
import json
import socket
import stat
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from fault_server import KnownServer, answer, hang

from hashscan.config.notify import ReceiverSettings


@dataclass
class Got:
    """A message as it arrived."""

    id: str
    text: str
    raw: bytes
    headers: dict[str, str] = field(default_factory=dict)
    to: str = ""


class _Handler:
    def __init__(self, place):
        self._place = place

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd
        self._place.attempts.append(address)
        code = self._place.codes.pop(0) if self._place.codes else self._place.code
        if code == "hang":
            import asyncio

            await asyncio.sleep(300)
            return "421 late"
        if code is not None:
            return f"{code} said the server"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd
        raw = envelope.content
        found = message_from_bytes(raw, policy=policy.default)
        self._place.mails.append(found)
        self._place.received.append(
            Got(
                found["X-Hashscan-Message-Id"],
                found.get_body(("plain",)).get_content(),
                raw,
                dict(found.items()),
                envelope.rcpt_tos[0],
            )
        )
        return self._place.data_answer


class _Server(Controller):
    """Any free port, and SMTP options of the place."""

    def __init__(self, place, **options):
        self._options = options
        super().__init__(_Handler(place), hostname="127.0.0.1", port=0, ready_timeout=20)

    def factory(self):
        return SMTP(self.handler, hostname="test", **self._options)

    def _trigger_server(self):
        # The library's own connects to port 0.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailPlace:
    """A mail server (aiosmtpd)."""

    kind = "mail"

    def __init__(self, tmp_path, *, to=("oncall@host.example",), server=None, **more):
        self.attempts, self.mails, self.received = [], [], []
        self.code, self.codes = None, []
        self.data_answer = "250 OK"
        self._to, self._more = to, more
        self._server = _Server(self, **(server or {}))

    def __enter__(self):
        self._server.start()
        self.settings = ReceiverSettings(
            **{
                "name": "post",
                "kind": "mail",
                "to": list(self._to),
                "server": "127.0.0.1",
                "port": self._server.port,
                "encryption": "none",
                "timeout": 60,
                **self._more,
            }
        )
        return self

    def __exit__(self, *_):
        self._server.stop()

    def behave(self, how):
        self.code = {"accept": None, "later": 451, "refuse": 550, "hang": "hang"}[how]


class HookPlace:
    """A webhook receiver."""

    kind = "webhook"

    def __init__(self, tmp_path, *, tls=None, **more):
        self._server = KnownServer(tls=tls)
        self._more = more
        self.received = []

    def _good(self, exchange):
        body = json.loads(exchange.request.body)
        headers = exchange.request.headers
        text = body.get("text", body.get("body"))
        self.received.append(
            Got(headers["x-hashscan-message-id"], text, exchange.request.body, headers)
        )
        answer(200, b"ok")(exchange)

    def __enter__(self):
        self._server.__enter__()
        self.server = self._server
        self._server.always(self._good)
        settings = {
            "name": "hook",
            "kind": "webhook",
            "url": f"{self._server.url}/in",
            "timeout": 60,
        }
        self.settings = ReceiverSettings(**{**settings, **self._more})
        return self

    def __exit__(self, *_):
        self._server.__exit__(*_)

    def behave(self, how):
        faults = {"accept": self._good, "later": answer(503), "refuse": answer(400), "hang": hang()}
        self._server.always(faults[how])

    @property
    def attempts(self):
        return self._server.requests


_SCRIPT = """#!/bin/sh
case "$(cat {here}/how)" in
accept) cat >>{here}/got; echo >>{here}/got;;
later) exit 75;;
hang) sleep 300;;
esac
"""


class CommandPlace:
    """A program."""

    kind = "command"

    def __init__(self, tmp_path, **more):
        self.here = tmp_path / "command"
        self._more = more

    def __enter__(self):
        self.here.mkdir()
        program = self.here / "program"
        program.write_text(_SCRIPT.format(here=self.here))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.behave("accept")
        settings = {"name": "page", "kind": "command", "command": [str(program)], "timeout": 60}
        self.settings = ReceiverSettings(**{**settings, **self._more})
        return self

    def __exit__(self, *_):
        pass

    def behave(self, how):
        (self.here / "how").write_text(how)

    @property
    def received(self):
        with contextlib.suppress(FileNotFoundError):
            lines = (self.here / "got").read_text().splitlines()
            found = [(json.loads(line), line.encode()) for line in lines if line]
            return [Got(one["id"], one["text"], raw) for one, raw in found]
        return []


PLACES = {"mail": MailPlace, "webhook": HookPlace, "command": CommandPlace}


class RawServer:
    """A server that runs ``talk(socket)`` for each connection."""

    def __init__(self, talk):
        self._talk = talk

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                self._talk(sock)


def mail_settings(port, **more):
    """Of a mail server on this machine, without TLS."""
    return ReceiverSettings(
        **{
            "name": "post",
            "kind": "mail",
            "to": ["a@host.example"],
            "server": "127.0.0.1",
            "port": port,
            "encryption": "none",
            "timeout": 1,
            **more,
        }
    )
