"""The settings for notices, which hotlines and authorities send."""
# No "from __future__ import annotations": pydantic needs the types at run time.

import os
import stat
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from hashscan.config import values
from hashscan.config.section import Section, Starter

#: The default command that sends an answer; the command reads the mail, and the recipients in the
#: mail's headers, from standard input.
SENDMAIL = ("/usr/sbin/sendmail", "-t", "-i")
#: Kinds of answers to notices, and the languages of answers: a template is ``LANGUAGE/KIND.txt``.
ANSWERS = ("receipt", "decision", "statement")
LANGUAGES = ("en", "nl")
Classification = Literal["baseline", "A1", "A2", "B1", "B2"]
#: Length in characters of the longest name of the organisation (XARF v4, contact_info.org).
_LONGEST_NAME = 200


def _name(value: Any) -> str:
    found = values.text(value).strip()
    if not 1 <= len(found) <= _LONGEST_NAME:
        raise values.bad(f"must have from 1 to {_LONGEST_NAME} characters", "write e.g. Host BV")
    return found


def _program(given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...] | None:
    # The default program is not checked: it need not exist on a machine that sends no answers.
    return given if given == SENDMAIL else values.program(given, info)


def _directory(path: str | None, info: ValidationInfo) -> str | None:
    if path is not None and values.checks_files(info):
        try:
            is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError:
            is_directory = False
        if not is_directory:
            raise values.bad(
                f"{values.short_path(path)} is no directory that can be read",
                "make it, or write none for the built-in templates",
            )
    return path


def _sender(value: Any) -> str:
    found = values.text(value).strip().lower()
    if found != "*" and not values.is_mail_address(found) and not values.is_host_name(found):
        raise values.bad(
            "must be a mail address, a domain, or *", "write e.g. ntd@hotline.example in quotes"
        )
    return found


def _verified(given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if given and "*" not in given and info.data.get("verified_by", "") is None:
        raise values.bad(
            "needs notices.verified_by, because anybody can write any sender into a mail",
            "write the name of the mail server that is in its Authentication-Results header",
        )
    return given


def _by_category(value: Any) -> Any:
    if not isinstance(value, dict):
        return value  # pydantic reports that ``classifications`` must be a section
    found: dict[str, Any] = {}
    for key, one in value.items():
        if not isinstance(key, str) or not key.strip():
            raise values.bad("has a key that is no name of a category", "put the key in quotes")
        found[key.strip().lower()] = one
    return found


class OrganisationSettings(Section):
    """The provider's name and address, for answers to notices and for reports."""

    name: Annotated[str, PlainValidator(_name)] = Field(
        description="The name of the organisation.", examples=["Host BV"]
    )
    contact: Annotated[str, PlainValidator(values.mail_address)] = Field(
        description="The mail address from which answers come.", examples=["abuse@host.example"]
    )
    domain: Annotated[str, PlainValidator(values.host_name)] = Field(
        description="The organisation's domain.", examples=["host.example"]
    )


class NoticesSettings(Section):
    """The settings for the intake of notices, and for the files that notices name."""

    action: Annotated[Literal["report", "quarantine"], Starter()] = Field(
        default="report",
        description="The action on a file that a notice names and that is in no list. report:"
        " hashscan only reports it. quarantine: hashscan moves it away; `hashscan quarantine"
        " restore` puts it back.",
    )
    maildir: values.PathOrNone = Field(
        default=None,
        description="A Maildir to which the mail server delivers notices, e.g."
        " /var/mail/notices, or none. The daemon reads new mails, and marks each mail that"
        " it understood as read.",
    )
    verified_by: Annotated[
        str | None,
        PlainValidator(values.or_none(values.host_name)),
        values.shower(values.none_shown(str)),
    ] = Field(
        default=None,
        description="The name of the mail server in the header Authentication-Results, which it"
        " writes into a mail after it has checked DKIM or DMARC; or none.",
        examples=["mx.host.example"],
    )
    senders: Annotated[
        tuple[Annotated[str, PlainValidator(_sender)], ...], AfterValidator(_verified)
    ] = Field(
        default=(),
        strict=False,
        description="The senders whose mails may move files with action: quarantine: mail"
        " addresses or domains of hotlines, verified by verified_by; or * for every sender."
        " A notice from any other mail moves only files that are in a list, until you run"
        " `hashscan notice approve`.",
        examples=[["ntd@hotline.example", "meldpunt.example"]],
    )
    due_soon: values.Duration = Field(
        default=4 * 3600.0,
        description="How long before its deadline a notice counts as due soon, in `status` and in"
        " the log.",
    )
    organisation: OrganisationSettings | None = Field(
        default=None,
        description="The organisation that answers notices and sends XARF reports: its name, its"
        " mail address (contact) and its domain. Answers and XARF reports need it.",
        examples=[{"name": "Host BV", "contact": "abuse@host.example", "domain": "host.example"}],
    )
    language: Literal["en", "nl"] = Field(
        default="en", description="The language of answers: en or nl."
    )
    templates: Annotated[
        str | None,
        PlainValidator(values.or_none(values.absolute_path)),
        AfterValidator(_directory),
        values.shower(values.none_shown(str)),
    ] = Field(
        default=None,
        description="A directory with templates of answers, e.g. /etc/hashscan/answers, or none. A"
        " file en/receipt.txt in it replaces the built-in one.",
    )
    sendmail: Annotated[
        tuple[values.Text, ...], BeforeValidator(values.words), AfterValidator(_program)
    ] = Field(
        default=SENDMAIL,
        strict=False,
        description="The program that sends an answer, and its arguments; it runs without a shell,"
        " and gets the mail on standard input.",
    )
    classifications: Annotated[dict[str, Classification], BeforeValidator(_by_category)] = Field(
        default={},
        description="The XARF classification (baseline, A1, A2, B1 or B2) of each category of a"
        " list, or of a sender's own category. A category with one of these five names needs no"
        " entry.",
        examples=[{"vics-1": "baseline"}],
    )
