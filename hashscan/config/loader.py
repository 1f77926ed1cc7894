"""Finds, reads and checks the configuration file."""

from __future__ import annotations

import os
import stat

from pydantic import ValidationError

from hashscan.config.document import Document, TextError
from hashscan.config.messages import MOST, findings
from hashscan.config.settings import Settings
from hashscan.config.values import CHECK_FILES, CHECK_VOLUMES
from hashscan.errors import ConfigError, Finding
from hashscan.text import shown

SYSTEM_PATH = "/etc/hashscan/config.yaml"
LARGEST = 1 << 20  # bytes
_INIT = "run `hashscan config init` to write an example"


def default_path() -> str:
    """Where the configuration is looked for.

    Root: ``/etc/hashscan/config.yaml``. Others: the same, unless they have one of their own in
    ``$XDG_CONFIG_HOME/hashscan/`` (``~/.config/hashscan/``).
    """
    if os.geteuid() == 0:
        return SYSTEM_PATH
    own = user_path()
    return own if os.path.lexists(own) else SYSTEM_PATH


def user_path() -> str:
    """Where a user other than root keeps a configuration of their own."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the XDG specification: relative ones are to be ignored
        base = os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "hashscan", "config.yaml")


def _refused(where: str, what: str, fix: str = "") -> ConfigError:
    return ConfigError("the configuration cannot be used", [Finding(where, what, fix)])


def _content(path: str) -> bytes:
    try:
        # O_NONBLOCK: a FIFO in its place must not stop us
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise _refused(shown(path), "there is no such file", _INIT) from None
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        fix = "run as root, or let this user read it" if isinstance(error, PermissionError) else ""
        raise _refused(shown(path), told, fix) from None
    except ValueError:  # a NUL byte, or a surrogate that stands for no byte
        raise _refused(repr(path)[:200], "this cannot be a path", "correct --config") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(shown(path), "is not a regular file", "name a YAML file")
        if status.st_mode & stat.S_IWOTH and os.geteuid() == 0:
            raise _refused(
                shown(path),
                "everybody may write to it, and it says what root reads and moves",
                f"look through it, then run: chmod o-w {shown(path)}",
            )
        content = b""
        while len(content) <= LARGEST and (more := os.read(descriptor, LARGEST + 1 - len(content))):
            content += more
    except OSError as error:
        raise _refused(shown(path), (error.strerror or str(error)).lower()) from None
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        raise _refused(shown(path), "is larger than 1 MiB", "this is no configuration file")
    return content


def validate(
    document: Document,
    *,
    path: str = "configuration",
    check_files: bool = True,
    check_volumes: bool = True,
) -> Settings:
    """Check a parsed file; ``path`` is for messages.

    Raises:
        ConfigError: with every error at once, in the order of the lines.
    """
    settings, problem = None, None
    try:
        settings = Settings.model_validate(
            document.data, context={CHECK_FILES: check_files, CHECK_VOLUMES: check_volumes}
        )
    except ValidationError as error:
        problem = error
    found = findings(path, document, problem)
    if found or settings is None:
        number = "1 error" if len(found) == 1 else f"{len(found)} errors"
        if len(found) > MOST:
            number = f"more than {MOST} errors"
        raise ConfigError(f"the configuration cannot be used, {number}:", found)
    return settings


def load(path: str, *, check_files: bool = True, check_volumes: bool = True) -> Settings:
    """Read and check a configuration file.

    Args:
        path: a regular file of at most 1 MiB.
        check_files: look whether the files and directories that it names are there. Leave it out
            where a missing volume must not stand in the way, e.g. of a restore.
        check_volumes: look at the volumes as well; one on a dead file server never answers.

    Raises:
        ConfigError: with every error at once, in the order of the lines.
    """
    from hashscan.config.parsing import parse  # noqa: PLC0415 - not where there is no file

    content = _content(path)
    try:
        document = parse(content)
    except TextError as error:
        raise _refused(f"{shown(path)}:{error.line}", str(error), "correct that line") from None
    if document.data is None and not document.faults:
        raise _refused(f"{shown(path)}:1", "the file holds no settings", _INIT)
    return validate(document, path=path, check_files=check_files, check_volumes=check_volumes)


def load_or_default(
    path: str | None, *, check_files: bool = True, check_volumes: bool = True
) -> Settings:
    """``load(path)``; without a path the default one, and without such a file the defaults.

    Raises:
        ConfigError: the file that was named is missing, or any file has errors.
    """
    if path is None:
        path = default_path()
        if not os.path.lexists(path):
            return validate(Document(data={}), check_files=check_files, check_volumes=check_volumes)
    return load(path, check_files=check_files, check_volumes=check_volumes)


def with_state(
    settings: Settings, state: str, *, check_files: bool = True, check_volumes: bool = True
) -> Settings:
    """``settings`` with another state directory, as ``--state DIR`` gives it.

    Raises:
        ConfigError: it cannot be used, alone or beside the other settings.
    """
    data = {name: getattr(settings, name) for name in settings.model_fields_set}
    data["state"] = os.path.abspath(state)
    return validate(
        Document(data=data), path="--state", check_files=check_files, check_volumes=check_volumes
    )
