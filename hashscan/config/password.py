"""Reads passwords and other secrets from systemd's credential store or a file; shows no secret."""

from __future__ import annotations

import codecs
import os
import stat
from typing import Protocol

from hashscan.errors import ConfigError, Finding
from hashscan.text import shown

#: Size in bytes of the largest secret file.
_LONGEST = 4096
#: The names of the systemd credentials that hold the passwords of the service and the repository.
SERVICE_CREDENTIAL = "password"
FILTER_CREDENTIAL = "filter-password"
#: The noun for the content of a secret file, by the setting that names the file.
_NOUNS = {
    "password_file": "password",
    "url_file": "URL",
    "secret_file": "key",
    "token_file": "token",
}


class HasPassword(Protocol):
    """A section of the settings that may name a password file."""

    @property
    def password_file(self) -> str | None:
        """The path of the section's password file; ``None`` if the section names none."""
        ...


class HasUser(HasPassword, Protocol):
    """A section of the settings that may name a user; without one, no password is needed."""

    @property
    def username(self) -> str:
        """The name of the section's user; empty if the section names none."""
        ...


def credential(name: str = SERVICE_CREDENTIAL) -> str | None:
    """The path of the systemd credential ``name``, or ``None`` if this process does not have it.

    A credential whose content is a bare line end counts as missing: the systemd unit sets such a
    default for an optional file.

    Source: systemd.exec(5), ``LoadCredential=`` and ``$CREDENTIALS_DIRECTORY``.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory.startswith("/"):
        return None
    path = os.path.join(directory, name)
    try:
        return path if os.stat(path).st_size > 1 else None
    except FileNotFoundError:
        return None
    except OSError:
        return path  # a later function opens the file and reports the fault


def noun_of(setting: str) -> str:
    """The noun for the content of the file that ``setting`` names, e.g. "password"."""
    return _NOUNS[setting.rpartition(".")[2]]


def is_secret(setting: str) -> bool:
    """Whether a setting names a file with a secret."""
    return setting.rpartition(".")[2] in _NOUNS


def _why_not(
    path: str, status: os.stat_result, noun: str, *, private: bool
) -> tuple[str, str] | None:
    if not stat.S_ISREG(status.st_mode):
        return f"{shown(path)} is not a regular file", f"name the file that holds the {noun}"
    if status.st_size > _LONGEST:
        return (
            f"{shown(path)} is too large for a {noun} ({status.st_size} bytes)",
            f"name the file that holds the {noun}, and nothing else",
        )
    if private and status.st_mode & 0o077:
        return (
            f"{shown(path)} may be used by others (mode {stat.S_IMODE(status.st_mode):04o})",
            f"run: chmod 600 {shown(path)}",
        )
    if private and status.st_uid not in (0, os.geteuid()):
        return (
            f"{shown(path)} belongs to another user (uid {status.st_uid})",
            f"run: chown root {shown(path)}",
        )
    return None


def _refusal(path: str, error: OSError, noun: str) -> tuple[str, str]:
    fix = (
        "run as root, or as the user whom the file belongs to"
        if isinstance(error, PermissionError)
        else f"write the {noun} into that file, and run chmod 600 on it"
    )
    return f"{shown(path)}: {(error.strerror or str(error)).lower()}", fix


def fault_of(path: str, noun: str = "password") -> tuple[str, str] | None:
    """The fault of a secret file, and the fix; ``None`` if the file's secret can be used."""
    try:
        _secret_of(path, noun, private=True)
    except _UnusableError as error:
        return error.what, error.fix
    return None


def has_blanks_around(path: str) -> bool:
    """Whether the password in the file ``path`` begins or ends with a blank.

    Such a blank is part of the password.
    """
    try:
        found = _secret_of(path, "password", private=True)
    except _UnusableError:
        return False
    return found != found.strip()


def read_password(service: HasPassword) -> str:
    """Read the password for the service, from the systemd credential or else the password file.

    The password is one line of UTF-8, without the newline at its end. The caller must keep the
    password out of logs.

    Raises:
        ConfigError: there is no password, other users may read the password's file, or the file's
            content is not one line of text.
    """
    return read_secret(service.password_file, SERVICE_CREDENTIAL, "service.password_file")


def read_token(path: str) -> str:
    """Read the token in the file ``path``, which only the file's owner may read.

    Raises:
        ConfigError: the file with the token cannot be used.
    """
    try:
        return _secret_of(path, "token", private=True)
    except _UnusableError as error:
        raise _error("metrics.token_file", error.what, error.fix) from None


def read_filter_password(settings: HasUser) -> str | None:
    """Read the password for the repository of filters; ``None`` if the repository needs none.

    Raises:
        ConfigError: the settings name a user of the repository, and there is no usable password.
    """
    if not settings.username:
        return None
    return read_secret(settings.password_file, FILTER_CREDENTIAL, "filter.password_file")


def read_secret(file: str | None, name: str, setting: str) -> str:
    """Read a secret from the systemd credential ``name``, else from ``file``.

    ``setting`` is the setting that names ``file``.

    Raises:
        ConfigError: there is no secret, other users may read the secret's file, or the file's
            content is not one line of text.
    """
    path = credential(name)
    private = path is None
    path = path or file
    if path is None:
        raise _error(
            setting,
            f"is missing, and there is no systemd credential `{name}` either",
            f"name a file that holds the {noun_of(setting)}",
        )
    try:
        return _secret_of(path, noun_of(setting), private=private)
    except _UnusableError as error:
        raise _error(setting, error.what, error.fix) from None


class _UnusableError(Exception):
    """A secret file has no usable secret, because of the fault ``what`` with the fix ``fix``."""

    def __init__(self, what: str, fix: str) -> None:
        self.what = what
        self.fix = fix
        super().__init__(what)


def _secret_of(path: str, noun: str, *, private: bool) -> str:
    """Read the secret in the file ``path``.

    ``noun`` names the secret in errors. ``private``: raise if other users may read the file.

    Raises:
        _UnusableError: the file ``path`` has no usable secret.
    """
    try:
        # O_NONBLOCK: opening a FIFO of this name must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            fault = _why_not(path, os.fstat(descriptor), noun, private=private)
            content = b"" if fault else os.read(descriptor, _LONGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _UnusableError(*_refusal(path, error, noun)) from None
    if fault:
        raise _UnusableError(*fault)
    try:
        return password_in(content, path, noun)
    except ValueError as error:
        raise _UnusableError(str(error), f"write the {noun} into it, and nothing else") from None


def password_in(content: bytes, path: str, noun: str = "password") -> str:
    """The password, or other ``noun``, in a secret file's content: the line without its end.

    A byte order mark at the beginning, which some editors write, is not part of the password.

    Raises:
        ValueError: the content is not one line of UTF-8; the message names ``path`` and quotes no
            content.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{shown(path)} is UTF-16; save it as UTF-8")
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{shown(path)} is not UTF-8; save it as UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{shown(path)} does not hold one line of text: it is empty")
    if len(content) > _LONGEST:
        raise ValueError(f"{shown(path)} is too large for a {noun}")
    if not text.strip():
        raise ValueError(f"{shown(path)} does not hold one line of text: it has only blanks")
    if "\n" in text:
        raise ValueError(f"{shown(path)} does not hold one line of text: it has more lines")
    if any(ord(sign) < 32 or sign in "\x7f\ufeff" for sign in text):
        raise ValueError(
            f"{shown(path)} does not hold one line of text: it has control characters, or a byte"
            " order mark inside"
        )
    return text


def _error(setting: str, what: str, fix: str) -> ConfigError:
    finding = Finding(setting, what, fix)
    return ConfigError(f"there is no usable {noun_of(setting)}", [finding])
