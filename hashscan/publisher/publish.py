"""Makes a repository, renews expiring metadata, and changes keys.

The module ``versions`` adds filters to a repository.
"""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from hashscan.durable import make_public_directory
from hashscan.errors import RepositoryRefusedError, UsageError
from hashscan.files import without_file_system
from hashscan.fs.named import opened_named, resolve
from hashscan.known.sync.layout import FIRST_ROOT, METADATA_DIRECTORY, TARGETS_DIRECTORY
from hashscan.publisher.clock import check_clock, keep_clock
from hashscan.publisher.keys import (
    ROLES,
    keep_pin,
    keep_published,
    key_files,
    load_keys,
    make_key,
    read_pin,
    read_published,
)
from hashscan.publisher.repository import KEEP, Repository, explained, locked, open_repository
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from securesystemslib.signer import CryptoSigner

    from hashscan.timeline import Timeline

_T = TypeVar("_T", Root, Targets, Snapshot, Timestamp)
#: The duration for which each role's metadata is valid, by role.
TERMS = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=7),
    "timestamp": timedelta(days=2),
}
#: The roles whose keys are kept off line, so that an attacker on the server cannot sign a filter.
OFFLINE = ("root", "targets")


@dataclass(frozen=True, slots=True)
class RoleState:
    """Version and expiry of one role's metadata, and whether this command renewed the metadata."""

    role: str
    version: int
    expires: datetime
    renewed: bool


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a command that signed a repository.

    Attributes:
        directory: path of the repository.
        roles: version and expiry of each role's metadata.
        keys: ids of the new keys by role, after ``init`` and ``rotate``.
        removed_keys: ids of keys that agents do not trust any more.
        warnings: sentences for the publisher about metadata that expires soon.
    """

    directory: str
    roles: tuple[RoleState, ...]
    keys: dict[str, list[str]] = field(default_factory=dict)
    removed_keys: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def expired(self) -> bool:
        """Whether any metadata has expired, so that agents do not use the repository."""
        return any("HAS EXPIRED" in warning for warning in self.warnings)

    @property
    def pin(self) -> str:
        """The path of the root file that agents pin."""
        return os.path.join(self.directory, METADATA_DIRECTORY, FIRST_ROOT)


class Signing:
    """Signs a repository's next state with the available keys."""

    def __init__(
        self,
        signers: Mapping[str, CryptoSigner],
        now: datetime,
        terms: Mapping[str, timedelta] | None = None,
    ) -> None:
        """Keep the keys ``signers`` (by key id), and ``now``, the time of the signatures."""
        self._signers = signers
        self._terms = {**TERMS, **(terms or {})}
        self.now = now.astimezone(UTC).replace(microsecond=0)

    def can(self, root: Metadata[Root], role: str) -> bool:
        """Whether enough keys are available to sign metadata as ``role``."""
        wanted = root.signed.roles[role]
        return len(set(wanted.keyids) & set(self._signers)) >= wanted.threshold

    def require(self, root: Metadata[Root], *roles: str) -> None:
        """Raise, before any change, if the available keys could not sign for all named roles.

        Raises:
            UsageError: keys are missing; the message names the roles of the missing keys.
        """
        for role in roles:
            if not self.can(root, role):
                wanted = root.signed.roles[role]
                found = len(set(wanted.keyids) & set(self._signers))
                raise UsageError(
                    f"{wanted.threshold} keys of the role {role} are needed, and --keys has "
                    f"{found}; give the directory that has them as well (--keys may be given "
                    f"several times). Their ids: {', '.join(sorted(wanted.keyids))}"
                )

    def renew(self, repository: Repository, *roles: str) -> None:
        """Sign the next version, with a new expiry, of the metadata of ``roles`` (never root)."""
        if "targets" in roles:
            self._next(repository, repository.targets, "targets")
            version = repository.targets.signed.version
            repository.snapshot.signed.meta["targets.json"] = MetaFile(version)
        if "snapshot" in roles:
            self._next(repository, repository.snapshot, "snapshot")
            version = repository.snapshot.signed.version
            repository.timestamp.signed.snapshot_meta = MetaFile(version)
        if "timestamp" in roles:
            self._next(repository, repository.timestamp, "timestamp")

    def _next(self, repository: Repository, metadata: Metadata[_T], role: str) -> None:
        metadata.signed.version += 1
        metadata.signed.expires = self.now + self._terms[role]
        self.sign(metadata, repository.root.signed.roles[role].keyids)

    def next_root(self, repository: Repository, change: Callable[[Root], None]) -> None:
        """Make the next root, changed by ``change``; sign with keys of the old and the new root.

        Raises:
            UsageError: keys that must sign are missing.
        """
        old = repository.root
        new = deepcopy(old)
        change(new.signed)
        new.signed.version += 1
        new.signed.expires = self.now + self._terms["root"]
        self.require(old, "root")
        self.require(new, "root")
        self.sign(new, [*old.signed.roles["root"].keyids, *new.signed.roles["root"].keyids])
        repository.root = new

    def sign(self, metadata: Metadata[_T], keyids: Sequence[str]) -> None:
        """Sign metadata with all keys of ``keyids`` that are available."""
        metadata.signatures.clear()
        for keyid in dict.fromkeys(keyids):
            if keyid in self._signers:
                metadata.sign(self._signers[keyid], append=True)

    def first(self, role: str) -> datetime:
        """The time when the first version of the metadata of ``role`` expires."""
        return self.now + self._terms[role]


def open_newest(directory: str, keys: Sequence[str], *, continue_older: bool = False) -> Repository:
    """Open the repository, in the newest state that was published with the keys.

    ``continue_older``: accept an older state, e.g. from a backup, and continue with version numbers
    higher than those that agents have seen.

    Raises:
        UsageError: the directory has no repository, or no copy of the first root is beside the
            keys.
        RepositoryRefusedError: the keys did not sign the repository, or the repository is in an
            older state than the published state.
    """
    repository = open_repository(directory, read_pin(keys))
    for role, version in read_published(keys).items():
        found = getattr(repository, role).signed
        if found.version >= version:
            continue
        if role == "root" or not continue_older:
            raise RepositoryRefusedError(
                f"{shown(directory)}: its {role} metadata has version {found.version}, and version "
                f"{version} was published: this is an older state, which agents refuse. Copy the "
                "newest one here, e.g. from the web server"
                + (
                    ""
                    if role == "root"
                    else "; if it is lost, run 'hashscan repository refresh "
                    "--continue-older' with the targets keys, then add the lists as they now are"
                )
            )
        found.version = version
    return repository


def note_published(repository: Repository, keys: Sequence[str]) -> Timeline:
    """Store the versions just published beside the keys, and count the time until now."""
    versions = {role: getattr(repository, role).signed.version for role in ROLES}
    keep_published(keys, versions)
    return keep_clock(keys)


def init(
    directory: str,
    keys: str,
    *,
    counts: Mapping[str, int] | None = None,
    thresholds: Mapping[str, int] | None = None,
    terms: Mapping[str, timedelta] | None = None,
    now: datetime | None = None,
) -> Published:
    """Make keys and an empty repository.

    Args:
        directory: path of the repository, which is made if it is missing, and must be empty.
        keys: directory of the keys; must be outside ``directory`` and have no keys yet.
        counts: number of keys to make, by role, default 1.
        thresholds: number of keys that must sign the metadata, by role, default 1.
        terms: duration for which the metadata is valid, by role, default ``TERMS``.
        now: time from which on the metadata is valid; default: the present time.

    Raises:
        UsageError: a directory cannot be used, or a role has fewer keys than must sign.
        StateError: a file of the repository cannot be written.
    """
    counts, thresholds = counts or {}, thresholds or {}
    for role in ROLES:
        if not 1 <= thresholds.get(role, 1) <= counts.get(role, 1):
            raise UsageError(
                f"{counts.get(role, 1)} keys of the role {role} cannot give "
                f"{thresholds.get(role, 1)} signatures; make more keys, or lower the threshold"
            )
    inside = resolve(keys) + "/"
    if inside.startswith(resolve(directory) + "/"):
        raise UsageError(
            f"{shown(keys)} lies in the repository, which everybody may read; name another "
            "directory with --keys"
        )
    try:
        with opened_named(os.fsencode(directory), make=0o755):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{shown(directory)}: is no directory; name a new one") from error
    except OSError as error:
        raise UsageError(f"{shown(directory)}: {error.strerror}; name another one") from error
    with locked(directory):
        if without_file_system(set(os.listdir(directory))):
            raise UsageError(
                f"{shown(directory)}: is not empty; name a new directory. If an init was "
                "interrupted there, remove it and the keys that it made"
            )
        if os.path.isdir(keys) and load_keys([keys]):
            raise UsageError(
                f"{shown(keys)}: holds keys already; name a new directory with --keys. If an init "
                "was interrupted there, remove it and what it made of the repository"
            )
        made: dict[str, CryptoSigner] = {}
        by_role: dict[str, list[str]] = {}
        root = Root(consistent_snapshot=True)
        for role in ROLES:
            for _ in range(counts.get(role, 1)):
                signer = make_key(keys, role)
                root.add_key(signer.public_key, role)
                made[signer.public_key.keyid] = signer
                by_role.setdefault(role, []).append(signer.public_key.keyid)
            root.roles[role].threshold = thresholds.get(role, 1)
        signing = Signing(made, now or datetime.now(UTC), terms)
        root.expires = signing.first("root")
        repository = Repository(
            directory,
            Metadata(root),
            Metadata(Targets(expires=signing.first("targets"))),
            Metadata(Snapshot(expires=signing.first("snapshot"))),
            Metadata(Timestamp(expires=signing.first("timestamp"))),
        )
        for role in ROLES:
            signing.sign(getattr(repository, role), by_role[role])
        keep_pin(keys, repository.root.to_bytes())
        with explained(directory):
            for name in ("", TARGETS_DIRECTORY, METADATA_DIRECTORY):
                make_public_directory(os.path.join(directory, name))
        repository.write()
        note_published(repository, [keys])
        return published(repository, signing, set(ROLES), keys=by_role)


def refresh(
    directory: str,
    keys: Sequence[str],
    *,
    ask: Callable[[str], str] | None = None,
    terms: Mapping[str, timedelta] | None = None,
    continue_older: bool = False,
    clock_is_right: bool = False,
    now: datetime | None = None,
) -> Published:
    """Renew snapshot and timestamp, and other metadata in the last third of its validity.

    The metadata of targets and root are renewed only if their keys are available.
    ``continue_older``: see ``open_newest``; if it is true, the targets keys are needed.
    ``clock_is_right``: true if a person has checked the clock, see ``check_clock``.

    Raises:
        UsageError: keys that must sign are missing, or the directory has no repository.
        RepositoryRefusedError: the repository differs from the state that its keys signed.
        StateError: a file of the repository cannot be written.
    """
    signing = Signing(load_keys(keys, ask), now or datetime.now(UTC), terms)
    with locked(directory):
        repository = open_newest(directory, keys, continue_older=continue_older)
        check_clock(repository, keys, is_right=clock_is_right)
        signing.require(repository.root, "snapshot", "timestamp")
        renewed = {"snapshot", "timestamp"}
        if continue_older:
            signing.require(repository.root, "targets")
            renewed.add("targets")
        for role in OFFLINE:
            if _is_due(repository, role, signing.now) and signing.can(repository.root, role):
                renewed.add(role)
        if "root" in renewed:
            signing.next_root(repository, lambda _: None)
        signing.renew(repository, *renewed)
        repository.write()
        repository.tidy(note_published(repository, keys).certainly_before(KEEP))
        return published(repository, signing, renewed)


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """The keys that agents trust for one role, and the keys' files.

    Attributes:
        threshold: number of keys that must sign the role's metadata.
        expires: time when the role's newest metadata expires.
        files: path of each key's file, by key id; ``None`` if the key is not in the named
            directories.
    """

    role: str
    threshold: int
    expires: datetime
    files: list[tuple[str, str | None]]


def role_keys(
    directory: str, keys: Sequence[str], *, ask: Callable[[str], str] | None = None
) -> list[RoleKeys]:
    """The keys that agents trust for each role, and the files that hold them.

    Raises:
        UsageError: the directory has no repository, or a key cannot be read.
        RepositoryRefusedError: the repository differs from the state that its keys signed.
    """
    paths = key_files(keys, ask)
    repository = open_newest(directory, keys)
    return [
        RoleKeys(
            role,
            trusted.threshold,
            getattr(repository, role).signed.expires,
            [(keyid, paths.get(keyid)) for keyid in trusted.keyids],
        )
        for role, trusted in ((role, repository.root.signed.roles[role]) for role in ROLES)
    ]


def rotate(
    directory: str,
    keys: Sequence[str],
    role: str,
    *,
    remove: Sequence[str] = (),
    ask: Callable[[str], str] | None = None,
    clock_is_right: bool = False,
    now: datetime | None = None,
) -> Published:
    """Replace an old key of ``role`` by a new key, which is stored in the first of ``keys``.

    Between the first and the last write, the old key and the new key are both valid, so that agents
    find valid metadata at every moment, even if the publisher is killed.

    Args:
        directory: path of the repository.
        keys: directories that hold keys; the keys of root and of ``role`` must be there.
        role: the key's role: root, targets, snapshot or timestamp.
        remove: ids of the keys that agents must not trust any more; default: the role's only key.
        ask: called to ask a person for a key's passphrase.
        clock_is_right: true if a person has checked the clock, see ``check_clock``.
        now: time from which on the new metadata is valid; default: the present time.

    Raises:
        UsageError: keys that must sign are missing, or the caller does not name the key to remove.
        RepositoryRefusedError: the repository differs from the state that its keys signed.
        StateError: a file of the repository cannot be written.
    """
    signers = load_keys(keys, ask)
    now = now or datetime.now(UTC)
    with locked(directory):
        repository = open_newest(directory, keys)
        check_clock(repository, keys, is_right=clock_is_right)
        present = list(repository.root.signed.roles[role].keyids)
        gone = tuple(dict.fromkeys(remove)) or (tuple(present) if len(present) == 1 else ())
        if not gone or not set(gone) <= set(present):
            raise UsageError(
                f"name the key of the role {role} to remove with --remove: {', '.join(present)}; "
                "'hashscan repository keys' lists their files"
            )
        threshold = repository.root.signed.roles[role].threshold
        left = set(present) - set(gone)
        if len(left & set(signers)) + 1 < threshold:
            raise UsageError(
                f"the role {role} needs {threshold} signatures, and without the keys of --remove "
                f"only {len(left & set(signers))} of its keys and the new one could give them; "
                "remove one key at a time, or give the directories with the others"
            )
        signing = Signing(signers, now)
        below = {
            "targets": ("targets", "snapshot", "timestamp"),
            "snapshot": ("snapshot", "timestamp"),
        }
        again = () if role == "root" else below.get(role, ("timestamp",))
        signing.require(repository.root, "root", *(one for one in again if one != role))
        made = make_key(keys[0], role)
        signers[made.public_key.keyid] = made
        signing = Signing(signers, now)
        signing.next_root(repository, lambda root: root.add_key(made.public_key, role))
        repository.write_root()
        signing.renew(repository, *again)
        repository.write()

        def revoke(root: Root) -> None:
            for keyid in gone:
                root.revoke_key(keyid, role)

        signing.next_root(repository, revoke)
        repository.write_root()
        note_published(repository, keys)
        new = {role: [made.public_key.keyid]}
        return published(repository, signing, {"root", *again}, keys=new, removed=gone)


def _is_due(repository: Repository, role: str, now: datetime) -> bool:
    expires: datetime = getattr(repository, role).signed.expires
    return expires - now < TERMS[role] / 3


def published(
    repository: Repository,
    signing: Signing,
    renewed: set[str],
    *,
    keys: dict[str, list[str]] | None = None,
    removed: tuple[str, ...] = (),
) -> Published:
    """The result of a command, with a warning for each role whose metadata expires soon."""
    roles = tuple(
        RoleState(
            role,
            getattr(repository, role).signed.version,
            getattr(repository, role).signed.expires,
            role in renewed,
        )
        for role in ROLES
    )
    warnings = tuple(
        _warning(one, signing.now)
        for one in roles
        if one.role in OFFLINE and _is_due(repository, one.role, signing.now)
    )
    return Published(repository.directory, roles, keys or {}, removed, warnings)


def _warning(one: RoleState, now: datetime) -> str:
    mend = f"run 'hashscan repository refresh' with the {one.role} keys"
    if one.expires <= now:
        return (
            f"{one.role} HAS EXPIRED at {one.expires:%Y-%m-%d %H:%M} UTC: agents take nothing from "
            f"this repository any more; {mend} now"
        )
    return (
        f"{one.role} expires at {one.expires:%Y-%m-%d %H:%M} UTC, and agents take nothing after "
        f"that: {mend} before"
    )
