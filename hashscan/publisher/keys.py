"""Makes, reads and keeps the publisher's keys.

Each key is an Ed25519 key in a PEM file (PKCS #8) of its own, ``ROLE-NUMBER.pem``.

Root and targets keys should be kept off line; snapshot and timestamp keys are kept on the machine
that refreshes the repository. A key's file may be encrypted (``openssl pkcs8 -topk8``); then the
publisher asks for the passphrase.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import CryptoSigner

from hashscan.durable import new_file, replace_file
from hashscan.errors import UsageError
from hashscan.fs.named import opened_named
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

ROLES = ("root", "targets", "snapshot", "timestamp")
_LONGEST = 64 * 1024
#: File beside the keys with a copy of the first root: an attacker could forge the repository's.
PIN = "root.json"
#: File beside the keys with the last published versions of the metadata: an older state of the
#: repository must not be signed as a new state.
PUBLISHED = "published.json"
_NAME = re.compile(rf"({'|'.join(ROLES)})-([0-9]{{1,6}})\.pem")


def make_key(directory: str, role: str) -> CryptoSigner:
    """Make a key for ``role`` in ``directory``, which is made with mode 0700 if it is missing.

    Raises:
        UsageError: the directory cannot be used, or other users may read or write in it.
    """
    try:
        with opened_named(os.fsencode(directory), make=0o700) as named:
            _check_private(directory, os.fstat(named.fd))
        used = [int(found[2]) for _, found in _named(directory) if found[1] == role]
        path = os.path.join(directory, f"{role}-{max(used, default=0) + 1}.pem")
        signer = CryptoSigner.generate_ed25519()
        with new_file(path) as file:
            file.write(signer.private_bytes)
    except OSError as error:
        raise UsageError(
            f"{shown(directory)}: the key cannot be kept there: {error.strerror}; name another "
            "directory with --keys"
        ) from error
    return signer


def load_keys(
    directories: Sequence[str], ask: Callable[[str], str] | None = None
) -> dict[str, CryptoSigner]:
    """Read all keys in ``directories``; return them by key id.

    Raises:
        UsageError: a directory or a key's file cannot be used, or others may read a key.
    """
    return {signer.public_key.keyid: signer for _, signer in _loaded(directories, ask)}


def key_files(
    directories: Sequence[str], ask: Callable[[str], str] | None = None
) -> dict[str, str]:
    """The paths of all key files in ``directories``, by key id.

    Raises:
        UsageError: a directory or a key's file cannot be used, or others may read a key.
    """
    return {signer.public_key.keyid: path for path, signer in _loaded(directories, ask)}


def _loaded(
    directories: Sequence[str], ask: Callable[[str], str] | None
) -> Iterator[tuple[str, CryptoSigner]]:
    for directory in directories:
        try:
            _check_private(directory, os.stat(directory))
            for path, _ in _named(directory):
                yield path, _load(path, ask)
        except OSError as error:
            where = shown(error.filename or directory)
            raise UsageError(
                f"{where}: cannot be read: {error.strerror}; see --keys, and whether the medium "
                "with the keys is mounted"
            ) from error


def keep_pin(directory: str, content: bytes) -> None:
    """Store a copy of the first root beside the keys.

    Raises:
        UsageError: the copy of the first root cannot be written.
    """
    try:
        replace_file(os.path.join(directory, PIN), content)
    except OSError as error:
        raise UsageError(
            f"{shown(directory)}: the root cannot be kept there: {error.strerror}"
        ) from error


def read_pin(directories: Sequence[str]) -> bytes:
    """Read the first root that is kept beside the keys.

    Raises:
        UsageError: no directory has a first root, or two directories have different first roots.
    """
    found = set()
    for directory in directories:
        path = os.path.join(directory, PIN)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"{shown(path)}: cannot be read: {error.strerror}") from error
        with open(descriptor, "rb") as file:
            found.add(file.read(_LONGEST * 8))
    if len(found) != 1:
        what = "is missing" if not found else "differs"
        raise UsageError(
            f"{', '.join(map(shown, directories))}: {PIN} {what}, so nothing shows whether the "
            "repository is the one of these keys; copy the file that the agents pinned there"
        )
    return found.pop()


def keep_published(directories: Sequence[str], versions: dict[str, int]) -> None:
    """Store, beside the keys, the published versions of the metadata.

    Raises:
        UsageError: the file with the published versions cannot be written.
    """
    for directory in directories:
        if os.path.lexists(os.path.join(directory, PIN)):
            try:
                content = json.dumps(versions, indent=2).encode() + b"\n"
                replace_file(os.path.join(directory, PUBLISHED), content)
            except OSError as error:
                raise UsageError(
                    f"{shown(directory)}: published, but {PUBLISHED} cannot be kept there: "
                    f"{error.strerror}; make room or mend the permissions, and refresh"
                ) from error


def read_published(directories: Sequence[str]) -> dict[str, int]:
    """The highest versions of the metadata that were published with these keys, by role.

    Raises:
        UsageError: a file with the published versions is damaged.
    """
    highest: dict[str, int] = {}
    for directory in directories:
        path = os.path.join(directory, PUBLISHED)
        try:
            with open(path, "rb") as file:
                found = json.loads(file.read(_LONGEST))
            for role in ROLES:
                highest[role] = max(highest.get(role, 0), int(found[role]))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{shown(path)}: is damaged; if you are sure that the repository is the newest "
                "state, remove it"
            ) from error
    return highest


def _named(directory: str) -> Iterator[tuple[str, re.Match[str]]]:
    for name in sorted(os.listdir(directory)):
        if found := _NAME.fullmatch(name):
            yield os.path.join(directory, name), found


def _check_private(path: str, status: os.stat_result) -> None:
    if status.st_mode & 0o077:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise UsageError(
            f"{shown(path)}: others may use it (mode {stat.S_IMODE(status.st_mode):04o}); look who "
            f"had access, then run: chmod {mode} {shown(path)}"
        )


def _load(path: str, ask: Callable[[str], str] | None) -> CryptoSigner:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{shown(path)}: is no regular file; take it out of --keys")
        _check_private(path, status)
        content = os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
    private: PrivateKeyTypes
    try:
        try:
            private = load_pem_private_key(content, None)
        except TypeError:  # it is encrypted
            if ask is None:
                raise UsageError(
                    f"{shown(path)}: is encrypted, and nobody can be asked for its passphrase; run "
                    "the command on a terminal"
                ) from None
            private = load_pem_private_key(content, ask(shown(path)).encode())
        return CryptoSigner(private)
    except (ValueError, TypeError, UnsupportedAlgorithm, SigningError) as error:
        raise UsageError(
            f"{shown(path)}: is no private key, or the passphrase is wrong; take it out of --keys "
            "or try again"
        ) from error
