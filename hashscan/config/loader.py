"""Finds, reads and checks the configuration file."""

from __future__ import annotations

import os
import stat

from pydantic import ValidationError

from hashscan.config.default_places import below_home
from hashscan.config.messages import MOST, findings, place
from hashscan.config.settings import Settings, default_state
from hashscan.config.values import CHECK_FILES
from hashscan.config.yaml_lines import Document, TextError
from hashscan.errors import ConfigError, Finding
from hashscan.machine import explain
from hashscan.text import shown

SYSTEM_PATH = "/etc/hashscan/config.yaml"
#: Size in bytes of the largest configuration file.
LARGEST = 1 << 20
_INIT = "run `hashscan config init` to write an example"


def default_path() -> str:
    """The path of the configuration file that is read if the caller names no file.

    For root: ``/etc/hashscan/config.yaml``. For other users: the user's own configuration in
    ``$XDG_CONFIG_HOME/hashscan/`` (``~/.config/hashscan/``) if it exists, else root's
    configuration.
    """
    own = None if os.geteuid() == 0 else user_path()
    return own if own is not None and os.path.lexists(own) else SYSTEM_PATH


def user_path() -> str | None:
    """The path of a user's own configuration, or ``None`` without a home directory."""
    base = below_home("XDG_CONFIG_HOME", ".config")
    return None if base is None else os.path.join(base, "hashscan", "config.yaml")


def _refused(where: str, what: str, fix: str = "") -> ConfigError:
    return ConfigError("the configuration cannot be used", [Finding(where, what, fix)])


def _content(path: str) -> bytes:
    try:
        # O_NONBLOCK: opening a FIFO of this name must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise _refused(shown(path), "there is no such file", _INIT) from None
    except OSError as error:
        told = explain(error) or (error.strerror or str(error)).lower()
        fix = "run as root, or let this user read it" if isinstance(error, PermissionError) else ""
        raise _refused(shown(path), told, fix) from None
    except ValueError:  # the path has a NUL byte, or a surrogate without a byte
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
        told = explain(error) or (error.strerror or str(error)).lower()
        raise _refused(shown(path), told) from None
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
) -> Settings:
    """Check a parsed configuration file; ``path`` is the file's path, for messages.

    Raises:
        ConfigError: the file has errors; the message lists all errors in the order of lines.
    """
    settings, problem = None, None
    try:
        settings = Settings.model_validate(document.data, context={CHECK_FILES: check_files})
    except ValidationError as error:
        problem = error
    found = findings(path, document, problem)
    if found or settings is None:
        number = "1 error" if len(found) == 1 else f"{len(found)} errors"
        if len(found) > MOST:
            number = f"more than {MOST} errors"
        raise ConfigError(f"the configuration cannot be used, {number}:", found)
    return settings


def load(path: str, *, check_files: bool = True) -> Settings:
    """Read and check a configuration file.

    Args:
        path: path of the configuration file: a regular file of at most 1 MiB.
        check_files: check that the named files and directories exist. Volumes are not checked: a
            volume on a dead file server never answers.

    Raises:
        ConfigError: the file has errors; the message lists all errors in the order of lines.
    """
    return _checked(_document(path), path, check_files=check_files)


def _checked(document: Document, path: str, *, check_files: bool) -> Settings:
    """The settings in ``document``; raise if they allow moves and others can change ``path``."""
    from hashscan.config.trust import faults, moves  # noqa: PLC0415 - not for the defaults

    settings = validate(document, path=path, check_files=check_files).read_from(path)
    if check_files and moves(settings):
        found = [
            Finding(
                f"{shown(path)}:{document.line(loc)}: {place(loc)}" if loc else shown(path), *words
            )
            for loc, *words in faults(settings)
        ]
        if found:
            raise ConfigError("the configuration cannot be used, because it moves files:", found)
    return settings


def _document(path: str) -> Document:
    from hashscan.config.parsing import parse  # noqa: PLC0415 - not needed without a file

    content = _content(path)
    try:
        document = parse(content)
    except TextError as error:
        raise _refused(f"{shown(path)}:{error.line}", str(error), error.fix) from None
    if document.data is None and not document.faults:
        raise _refused(f"{shown(path)}:1", "the file holds no settings", _INIT)
    return document


def load_or_default(
    path: str | None,
    *,
    state: str | None = None,
    check_files: bool = True,
) -> Settings:
    """Load the configuration ``path``; without a path: the default file, if any, or the defaults.

    ``state`` replaces the configured state directory, as ``--state DIR`` does.

    Raises:
        ConfigError: the file ``path`` is missing, a file has errors, or the directory ``state``
            cannot be used, alone or together with the other settings.
    """
    named = path is not None or os.path.lexists(default_path())
    used = default_path() if path is None else path
    document = _document(used) if named else Document(data={})
    if state is not None and isinstance(document.data, dict) and not default_state():
        document.data.setdefault("state", os.path.abspath(state))
    if named:
        settings = _checked(document, used, check_files=check_files)
    else:
        settings = validate(document, check_files=check_files)
    if state is None:
        return settings
    return with_state(settings, state, check_files=check_files)


def load_for_lists(
    path: str | None, *, state: str | None = None, check_files: bool = True
) -> tuple[Settings, str]:
    """Load the settings for a command with the user's own lists or state; return them and a remark.

    The machine's configuration is for the user who owns the configured state directory and
    quarantine. For other users, only three settings of the machine's configuration are used: the
    volumes, the limits of scans and the readable allow-lists. If the user may not read the
    machine's configuration, no setting of it is used. An error in the machine's configuration does
    not end the command. The remark says which settings are used; the remark is empty if all
    settings are used.

    Raises:
        ConfigError: this user's own configuration has errors, or the file that the caller names is
            missing.
    """
    machine = os.geteuid() != 0 and path is None and default_path() == SYSTEM_PATH
    if not machine or not os.path.lexists(SYSTEM_PATH):
        return load_or_default(path, state=state, check_files=check_files), ""
    data: dict[str, object] = {}
    try:
        settings = load_or_default(None, state=state, check_files=False)
        if all(map(_may_use, (settings.state, settings.quarantine_directory))):
            return load_or_default(None, state=state, check_files=check_files), ""
    except ConfigError as error:
        why = f"it is not used: {error.findings[0]}"
    else:
        why = (
            "it names the state or quarantine of another user: only its volumes, scan and allow "
            "are used"
        )
        data = {
            "volumes": settings.volumes,
            "scan": settings.scan,
            "allow": [one for one in settings.allow if os.access(one, os.R_OK)],
        }
    own = default_state() if state is None else os.path.abspath(state)
    settings = validate(
        Document(data=data | {"state": own}),
        path="configuration" if state is None else "--state",
        check_files=check_files,
    )
    return settings, f"{shown(SYSTEM_PATH)}: {why}; the state is {shown(own)}"


def _may_use(directory: str) -> bool:
    """Whether this user owns the directory ``path``, or could make it."""
    try:
        return os.stat(directory).st_uid == os.geteuid()
    except FileNotFoundError:
        parent = os.path.dirname(directory)
        while not os.path.isdir(parent):
            parent = os.path.dirname(parent)
        return os.access(parent, os.W_OK | os.X_OK)
    except OSError:
        return False


def with_state(settings: Settings, state: str, *, check_files: bool = True) -> Settings:
    """A copy of ``settings`` with another state directory, as ``--state DIR`` names it.

    Raises:
        ConfigError: the state directory cannot be used, alone or together with the other settings.
    """
    data = {name: getattr(settings, name) for name in settings.model_fields_set}
    data["state"] = os.path.abspath(state)
    return validate(Document(data=data), path="--state", check_files=check_files).read_from(
        settings.file
    )
