"""Verifies a repository with python-tuf's client, and explains that client's errors."""

from __future__ import annotations

import contextlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, Targets
from tuf.ngclient import Updater, UpdaterConfig

from hashscan.errors import Fault, RepositoryRefusedError, RepositoryUnreachableError
from hashscan.known.sync.layout import METADATA_DIRECTORY, TARGETS_DIRECTORY
from hashscan.known.sync.synced_filters import Pointer, names_in, read_root
from hashscan.known.sync.web_answers import FetchError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tuf.api.metadata import TargetFile

    from hashscan.known.sync.fetcher import Fetcher
    from hashscan.known.sync.repository_settings import RepositorySource
    from hashscan.known.sync.synced_filters import KeptPlace

_ROLES = ("timestamp", "snapshot", "targets")
_CONFIG = UpdaterConfig(targets_max_length=16 << 20)


def trust_of(place: KeptPlace) -> str:
    """The path of the directory in which python-tuf keeps the metadata that it verified."""
    return os.path.join(place.directory, "trust")


def check_root(source: RepositorySource) -> None:
    """Check that the file of the pinned root holds TUF's root metadata, which ``refresh`` needs.

    Raises:
        FilterError: the file of the pinned root cannot be read, or holds no root metadata.
    """
    content = read_root(source.root)
    with translated(source.url, "its metadata"):
        root = Metadata[Root].from_bytes(content)
        root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)


def refresh(
    source: RepositorySource, place: KeptPlace, fetcher: Fetcher, pointer: Pointer
) -> tuple[Updater, Pointer]:
    """Fetch and verify the newest metadata of a repository.

    Returns:
        python-tuf's client, from which targets can be fetched, and ``pointer`` with the versions
            of the metadata seen now. The pointer is already written to disk.

    Raises:
        RepositoryRefusedError: the metadata are not authentic, whole and recent.
        RepositoryUnreachableError: the metadata cannot be fetched.
        OSError: the metadata cannot be written to disk.
    """
    base = source.url.rstrip("/")
    with translated(source.url, "its metadata"):
        updater = Updater(
            trust_of(place),
            f"{base}/{METADATA_DIRECTORY}/",
            target_base_url=f"{base}/{TARGETS_DIRECTORY}/",
            fetcher=fetcher,
            config=_CONFIG,
            bootstrap=place.root,
        )
        updater.refresh()
    return updater, _check_seen(source, place, pointer)


def _check_seen(source: RepositorySource, place: KeptPlace, pointer: Pointer) -> Pointer:
    """Refuse a rollback that python-tuf cannot find because its own record was lost."""
    trust = trust_of(place)
    found = {"root": max(_root_versions(trust), default=0)}
    for role in _ROLES:
        found[role] = Metadata.from_file(os.path.join(trust, f"{role}.json")).signed.version
    seen = pointer.seen
    # A newer root may end a fast-forward attack: after a newer root, version numbers may begin
    # again.
    if found["root"] <= seen.get("root", 0):
        for role in ("root", *_ROLES):
            if found[role] < seen.get(role, 0):
                for name in _ROLES:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(trust, f"{name}.json"))
                raise refused(
                    source.url,
                    f"its {role} metadata has version {found[role]}, and version {seen[role]} was "
                    "there before: an old state is served again (rollback)",
                )
    if found != seen:
        pointer = pointer.model_copy(update={"seen": found})
        place.write(pointer)
    return pointer


def _root_versions(trust: str) -> list[int]:
    names = names_in(os.path.join(trust, "root_history"))
    return [int(name.partition(".")[0]) for name in names if name.endswith(".root.json")]


def _targets(place: KeptPlace) -> dict[str, TargetFile]:
    path = os.path.join(trust_of(place), "targets.json")
    return Metadata[Targets].from_file(path).signed.targets


def categories_in(place: KeptPlace) -> list[str]:
    """The categories of filters that the repository's verified metadata names."""
    found = (path.rpartition("/") for path in _targets(place))
    return sorted(category for category, _, name in found if name == "filter.zst")


def wanted(place: KeptPlace) -> set[str]:
    """The hashes of the files of all targets that the repository's verified metadata names."""
    return {value for one in _targets(place).values() for value in one.hashes.values()}


def refused(url: str, what: str) -> RepositoryRefusedError:
    """The error for a repository that must not be trusted."""
    return RepositoryRefusedError(
        f"{shown(url)}: {what}; nothing of it is used. Tell the publisher, and look for somebody "
        "in between"
    )


@contextmanager
def translated(url: str, subject: str) -> Iterator[None]:
    """Turn TUF's errors into errors of hashscan with words for a sysadmin.

    ``subject`` names the fetched file in the message.
    """
    where = shown(url)
    subject = shown(subject)
    try:
        yield
    except FetchError as error:
        raise RepositoryUnreachableError(
            str(error), retry_after=error.retry_after, fault=error.fault
        ) from None
    except DownloadLengthMismatchError as error:
        raise refused(url, f"{subject} is longer than it may be ({error})") from None
    except DownloadHTTPError as error:
        raise RepositoryUnreachableError(
            f"{where}: {subject} is not there ({error}); check filter.source, and whether the "
            "publisher's upload is complete",
            fault=Fault.ANSWER,
        ) from None
    except DownloadError as error:
        raise RepositoryUnreachableError(f"{where}: {error}") from None
    except ExpiredMetadataError as error:
        raise refused(
            url,
            f"its metadata has expired ({shown(str(error))}): the publisher does not refresh it, "
            "an old state is served (freeze), or this machine's clock is wrong (timedatectl)",
        ) from None
    except LengthOrHashMismatchError as error:
        raise refused(
            url, f"{subject} is not what was signed ({shown(str(error)[:300])})"
        ) from None
    except RepositoryError as error:
        raise refused(
            url,
            f"{subject} is not to be trusted ({shown(str(error)[:300])}); check that filter.root "
            "is the publisher's root",
        ) from None
    except ValueError as error:
        raise refused(url, f"{subject} cannot be read ({shown(str(error)[:300])})") from None
