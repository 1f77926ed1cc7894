"""The settings of notifications: events, receivers, intervals and ways of sending."""
# No "from __future__ import annotations": pydantic needs the types at run time.

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hashscan.config import values
from hashscan.config.notices import SENDMAIL
from hashscan.config.password import credential, fault_of, noun_of
from hashscan.config.section import Section
from hashscan.hosts import is_loopback

EventKind = Literal[
    "match",
    "hold",
    "withdrawn",
    "notice",
    "notice-due",
    "notice-overdue",
    "problem",
    "volume-lost",
    "daemon-stopped",
    "daily",
]
Include = Literal["paths", "digests", "owners"]
#: All events of notifications, the most urgent events first; a message lists its events in this
#: order.
EVENTS: tuple[EventKind, ...] = (
    "notice-overdue",
    "match",
    "hold",
    "withdrawn",
    "notice-due",
    "daemon-stopped",
    "volume-lost",
    "problem",
    "notice",
    "daily",
)
#: The events that a receiver of notifications gets if its entry has no ``events``.
_USUAL: tuple[EventKind, ...] = tuple(one for one in EVENTS if one not in {"notice", "daily"})
#: For each kind of receiver of notifications: the settings that only this kind has.
_OF_KIND = {
    "mail": {"to", "sender", "server", "port", "encryption", "username", "password_file"}
    | {"ca_bundle", "sendmail", "contacts", "contacts_command", "template", "most_an_hour"},
    "webhook": {"url", "url_file", "format", "room", "secret_file", "token_file", "ca_bundle"},
    "command": {"command"},
}
#: Settings that name files with secrets, and the last part of their systemd credentials' names.
SECRETS = {
    "password_file": "password",
    "url_file": "url",
    "secret_file": "secret",
    "token_file": "token",
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_ROOM = re.compile(r"![!-.0-~]{1,200}")
_MOST = 20
_DAY = 86400.0


def receiver_name(value: object) -> str:
    """Check a receiver's short name, which is used in messages and systemd credentials."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise values.bad(
            "must be a name of lower-case letters, digits, _ and -", "write e.g. `name: oncall`"
        )
    return value


def clock_time(value: object) -> str:
    """Check a time of day. YAML reads 08:00 without quotes as text, but 10:00 as a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        value = f"{value // 60:02}:{value % 60:02}"
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise values.bad("must be a time of day from 00:00 to 23:59", 'write e.g. "08:00"')
    return value


def _room(value: object) -> str:
    found = values.text(value)
    if not _ROOM.fullmatch(found):
        raise values.bad(
            "must be the internal id of a Matrix room, which begins with !",
            'write e.g. "!abc:host.example"; a client shows it in the settings of the room',
        )
    return found


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise values.bad("must be a port from 1 to 65535", "write e.g. 587")
    return value


def _server(value: object) -> str:
    if isinstance(value, str) and (values.is_host_name(value) or is_loopback(value)):
        return value
    raise values.bad("must be a host name or an address", "write e.g. smtp.host.example")


def _program(given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...] | None:
    # The default program is not checked: it need not exist on a machine that mails through a
    # server.
    return given if given == SENDMAIL else values.program(given, info)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
        raise values.bad("must be a number from 1 to 100000", "write e.g. 50")
    return value


_FileOrNone = Annotated[
    str | None,
    PlainValidator(values.or_none(values.absolute_path)),
    AfterValidator(lambda path, info: None if path is None else values.existing_file(path, info)),
    values.shower(values.none_shown(str)),
]
_ProgramOrNone = Annotated[
    tuple[values.Text, ...] | None,
    BeforeValidator(values.words),
    AfterValidator(values.program),
]


def _or_none(check: Any) -> Any:
    return PlainValidator(values.or_none(check))


class ReceiverSettings(Section):
    """One entry of ``notify``: a receiver, and the rule for the events that are sent to it."""

    name: Annotated[str, PlainValidator(receiver_name)] = Field(
        description="A short name for messages and systemd credentials.", examples=["oncall"]
    )
    kind: Literal["mail", "webhook", "command"] = Field(
        description="mail, webhook (an HTTP POST) or command (a program that reads JSON).",
        examples=["mail"],
    )
    events: tuple[EventKind, ...] = Field(
        default=_USUAL,
        strict=False,
        description="The events that the receiver gets: match, hold, withdrawn, notice (a notice"
        " arrived), notice-due, notice-overdue, problem, volume-lost, daemon-stopped, daily"
        " (a summary of the day). Default: all but notice and daily.",
    )
    collect: values.Duration = Field(
        default=10.0,
        description="How long to wait after an event for more events: one message has all of them.",
    )
    at_most: values.Duration = Field(
        default=300.0,
        description="The shortest time between two messages; later events wait for the next"
        " message. The events hold, notice-overdue, daemon-stopped and volume-lost wait only"
        " after a message with an event of the same kind. With contacts: between two"
        " messages to one owner, and a day by default.",
    )
    daily: Annotated[str, PlainValidator(clock_time)] = Field(
        default="08:00", description="The time of the daily summary, in local time."
    )
    include: tuple[Include, ...] = Field(
        default=(),
        strict=False,
        description="Further facts that a message names: paths, digests, owners. Default: none"
        " of them.",
    )
    timeout: values.Duration = Field(
        default=30.0, description="The longest time for sending one message."
    )
    to: tuple[Annotated[str, PlainValidator(values.mail_address)], ...] = Field(
        default=(), strict=False, description="mail: the addresses.", examples=[["a@host.example"]]
    )
    sender: Annotated[str | None, _or_none(values.mail_address)] = Field(
        default=None,
        description="mail: the address that the mail comes from. Default: the first"
        " address of `to`.",
    )
    server: Annotated[str | None, _or_none(_server)] = Field(
        default=None, description="mail: the mail server; none: the program `sendmail`."
    )
    port: Annotated[int | None, _or_none(_port)] = Field(
        default=None,
        description="mail: the server's port. Default: 587 with starttls, 465 with tls, or 25.",
    )
    encryption: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="mail: starttls, tls, or none (to this machine only)."
    )
    username: values.Text = Field(
        default="", description="mail: the user name for the server, if it asks for one."
    )
    password_file: values.PathOrNone = Field(
        default=None,
        description="mail: a file with the password (chmod 600). The systemd credential"
        " notify-NAME-password takes precedence.",
    )
    ca_bundle: values.PathOrNone = Field(
        default=None,
        description="mail, webhook: a PEM file of the authorities to trust, or none for the usual"
        " ones.",
    )
    sendmail: Annotated[
        tuple[values.Text, ...], BeforeValidator(values.words), AfterValidator(_program)
    ] = Field(
        default=SENDMAIL,
        strict=False,
        description="mail without server: the program that sends a mail, and its arguments.",
    )
    contacts: _FileOrNone = Field(
        default=None,
        description="mail: instead of `to`: a file with `owner: address` on each line. Each owner"
        " of a quarantined file gets a message; see docs/notifications.md first.",
    )
    contacts_command: _ProgramOrNone = Field(
        default=None,
        strict=False,
        description="mail: instead of `to`: a program that gets the owner's name as its last"
        " argument, and prints the address, or nothing.",
    )
    template: _FileOrNone = Field(
        default=None,
        description="mail with contacts: a file with the text of the message, or none for the"
        " built-in one.",
    )
    most_an_hour: Annotated[int, PlainValidator(_count)] = Field(
        default=50, description="mail with contacts: messages to owners in an hour at most."
    )
    url: Annotated[str | None, _or_none(values.url)] = Field(
        default=None,
        description="webhook: the URL of the receiver; with format matrix, the URL"
        " of the home server.",
    )
    url_file: values.PathOrNone = Field(
        default=None,
        description="webhook: a file with the URL, if the URL itself is a secret (chmod 600).",
    )
    format: Literal["json", "slack", "matrix"] = Field(
        default="json",
        description="webhook: json (all facts of a message), slack (a text for Slack, Mattermost"
        " or Rocket.Chat), or matrix (a message in a room).",
    )
    room: Annotated[str | None, _or_none(_room)] = Field(
        default=None, description="webhook with format matrix: the internal id of the room."
    )
    secret_file: values.PathOrNone = Field(
        default=None, description="webhook: a file with the key that signs each message."
    )
    token_file: values.PathOrNone = Field(
        default=None, description="webhook: a file with a token for the header Authorization."
    )
    command: _ProgramOrNone = Field(
        default=None,
        strict=False,
        description="command: the program and its arguments; it runs without a shell.",
    )

    @field_validator("events", "include")
    @classmethod
    def _once(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(set(given)) != len(given) or (not given and info.field_name == "events"):
            raise values.bad("must name each one once, and at least one event", "correct the list")
        return given

    @field_validator(*SECRETS)
    @classmethod
    def _check_secret(cls, path: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name", "")
        if path is None or not values.checks_files(info):
            return path
        if credential(credential_of(name, str(info.field_name))):
            return path
        if fault := fault_of(path, noun_of(str(info.field_name))):
            raise values.bad(*fault)
        return path

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        foreign = [
            name
            for names in _OF_KIND.values()
            for name in sorted(names - _OF_KIND[self.kind])
            if name in self.model_fields_set
        ]
        if foreign:
            raise values.bad(f"has {foreign[0]}, which is not for kind {self.kind}", "remove it")
        {"mail": self._check_mail, "webhook": self._check_webhook, "command": self._check_command}[
            self.kind
        ]()
        return self

    def _check_mail(self) -> None:
        ways = [
            name
            for name in ("to", "contacts", "contacts_command")
            if getattr(self, name) not in {None, ()}
        ]
        if len(ways) != 1:
            raise values.bad(
                "has no address" if not ways else f"has {' and '.join(ways)}",
                "write `to: [address]`, or one of contacts and contacts_command",
            )
        if not self.for_owners:
            for name in ("template", "most_an_hour"):
                if name in self.model_fields_set:
                    raise values.bad(f"has {name}, which is for contacts", "remove it")
        elif self.sender is None:
            raise values.bad("has contacts and no sender", "write `sender: abuse@host.example`")
        elif self.include or "events" in self.model_fields_set:
            raise values.bad(
                "has contacts, so it gets no other events and includes nothing",
                "remove `events` and `include`, and write another entry for yourself",
            )
        if self.server is None:
            for name in ("port", "encryption", "username", "password_file", "ca_bundle"):
                if name in self.model_fields_set:
                    raise values.bad(f"has {name} and no server", "write `server: …`, or remove it")
        elif self.encryption == "none" and not is_loopback(self.server):
            raise values.bad(
                "encryption: none is allowed to this machine only: the message and the password"
                " would be readable on the way",
                "write `encryption: starttls` or `encryption: tls`",
            )
        if self.password_file and not self.username:
            raise values.bad("has password_file and no username", "write `username: …`")

    def _check_webhook(self) -> None:
        if (self.url is None) == (self.url_file is None):
            raise values.bad("needs url or url_file, and not both", "write one of them")
        if (self.room is None) == (self.format == "matrix"):
            raise values.bad(
                "room and format: matrix belong together", 'write `room: "!abc:host.example"` too'
            )
        if self.format == "matrix" and self.token_file is None:
            raise values.bad("format: matrix needs token_file", "name a file with an access token")

    def _check_command(self) -> None:
        if self.command is None:
            raise values.bad("has no command", "write `command: [/full/path, word]`")

    @property
    def interval(self) -> float:
        """Least seconds between two messages to one recipient; by default a day for owners."""
        return _DAY if self.for_owners and "at_most" not in self.model_fields_set else self.at_most

    @property
    def for_owners(self) -> bool:
        """Whether the receiver's messages go to the owners of moved files, not to the provider."""
        return self.contacts is not None or self.contacts_command is not None


def credential_of(receiver: str, setting: str) -> str:
    """The name of the systemd credential that holds a receiver's secret."""
    return f"notify-{receiver}-{SECRETS[setting]}"


def receivers(given: tuple[ReceiverSettings, ...]) -> tuple[ReceiverSettings, ...]:
    """Check the list of receivers of notifications: no two receivers have the same name."""
    if len(given) > _MOST:
        raise values.bad(f"has more than {_MOST} receivers", "combine some of them")
    names = [one.name for one in given]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise values.bad("has the name of another receiver", "change it", at=(index, "name"))
    return given
