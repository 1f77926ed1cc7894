"""A JSON file of names, each with a hashed secret: the users of a service, or the tokens."""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hashscan.durable import replace_file
from hashscan.errors import StateError, UsageError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.service.data import Data

Secret = TypeVar("Secret")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LONGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class NamedFile(Generic[Secret]):
    """A kind of JSON file with names and secrets.

    Attributes:
        name: name of the file in the service's directory, without ``.json``; also the only key of
            the file's JSON object.
        one: the word for one name with its secret in messages, e.g. ``user``.
        command: the commands that add, list and remove names, for messages.
        load: returns a secret for a value from the JSON file.
        dump: returns the value for the JSON file for a secret.
    """

    name: str
    one: str
    command: str
    load: Callable[[Any], Secret]
    dump: Callable[[Secret], dict[str, object]]

    @property
    def file(self) -> str:
        """Return the name of the file, with ``.json``."""
        return f"{self.name}.json"

    def read(self, data: Data) -> dict[str, Secret]:
        """Return all names in the file, with their secrets.

        Raises:
            StateError: the file is damaged.
        """
        path = data.path(self.file)
        try:
            with open(path, "rb") as file:
                found = json.loads(file.read(_LONGEST))
            return {name: self.load(one) for name, one in found[self.name].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{shown(path)}: is damaged; move it away, and add the {self.name} again with "
                f"'{self.command} add'"
            ) from error

    def add(self, data: Data, name: str, secret: Secret) -> None:
        """Add a name with its secret to the file, or replace the secret of a name.

        Raises:
            UsageError: the name is too long, or has a character that names must not have.
            StateError: the file cannot be written.
        """
        self.check_name(name)
        with self._change(data) as names:
            names[name] = secret

    def check_name(self, name: str) -> None:
        """Raise if a name cannot be added to the file.

        Raises:
            UsageError: the name is too long, or has a character that names must not have.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{shown(name)} is no {self.one} name: use up to 64 letters, digits, '.', '_', "
                "'@', '-'"
            )

    def remove(self, data: Data, name: str) -> None:
        """Remove a name from the file; a running service refuses the name within a second.

        Raises:
            UsageError: the JSON file has no secret for the name.
            StateError: the file cannot be written.
        """
        with self._change(data) as names:
            if names.pop(name, None) is None:
                raise UsageError(f"there is no {self.one} {shown(name)}; '{self.command} list'")

    @contextmanager
    def _change(self, data: Data) -> Iterator[dict[str, Secret]]:
        path = data.path(self.file)
        try:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            lock = os.open(data.path(f"{self.name}.lock"), flags, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                names = self.read(data)
                yield names
                content = {name: self.dump(one) for name, one in sorted(names.items())}
                text = json.dumps({"format": 1, self.name: content}, indent=2) + "\n"
                replace_file(path, text.encode())
            finally:
                os.close(lock)
        except OSError as error:
            raise StateError(
                f"{shown(path)}: cannot be written: {error.strerror}; make room or mend the "
                "permissions there"
            ) from error
