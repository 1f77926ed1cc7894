"""Answers for ``hashscan check`` whether files and digests are known.

The command ``check`` moves and stores nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hashscan.errors import CredentialsError, ServiceError, UsageError
from hashscan.fs.beneath import closing, open_root
from hashscan.model import FileDigests, hits
from hashscan.scan.hashing import Hasher, NotHashed, outcome_of_error
from hashscan.scan.screening import Screen

if TYPE_CHECKING:
    from hashscan.jobs.known_set import KnownSet
    from hashscan.known.allow import AllowList
    from hashscan.model import Answer, Confirmer, Digest


_PASSED_OVER = (
    "scans pass it over, for the known set says that no known file has its size: a list gives it a "
    "wrong one; correct that, or scan with --no-tiers"
)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Holds the result of ``check`` for a file or a digest.

    Attributes:
        verdict: ``known``; ``unknown``: no filter contains the digest, or the service answered so;
            ``pending``: a filter contains the digest and the service has given no verdict.
        candidate: a filter contains the digest.
        digest, category: the known digest, and the category of the known set that contains it.
        allowed: the file of the allow-list that contains the known digest.
        message: why the service gave no verdict, or why the allow-list cannot be searched.
    """

    subject: bytes
    digests: dict[str, str]
    verdict: Literal["known", "unknown", "pending"]
    candidate: bool
    digest: Digest | None = None
    category: str | None = None
    allowed: str | None = None
    message: str = ""


class Checker:
    """Checks whether files and digests are known; moves and stores nothing."""

    def __init__(self, known: KnownSet, allow: AllowList | None = None) -> None:
        """Prepare to search digests in ``known``, and known digests in ``allow`` as well."""
        self._known = known
        self._allow = allow
        self._hasher = Hasher(known.algorithms.union(allow.algorithms if allow else ()))
        self._screen = Screen(known.filters)
        self._confirmer: Confirmer | None = None
        self._refused: CredentialsError | None = None

    def close(self) -> None:
        """Close the checker's connections to the service."""
        if self._confirmer is not None:
            self._confirmer.close()

    def file(self, path: str) -> CheckResult | NotHashed:
        """Check whether the content of a file is known."""
        directory, name = os.path.split(os.path.realpath(path))
        try:
            with closing(open_root(os.fsencode(directory))) as fd:
                hashed = self._hasher.hash(fd, os.fsencode(name))
        except OSError as error:
            return outcome_of_error(error)
        if isinstance(hashed, NotHashed):
            return hashed
        found = self._check(os.fsencode(path), hashed.digests)
        if found.verdict == "known" and self._screen.rules_out_size(hashed.status.st_size):
            message = "; ".join(filter(None, (found.message, _PASSED_OVER)))
            return replace(found, message=message)
        return found

    def digest(self, digest: Digest) -> CheckResult:
        """Check whether a digest is known.

        Raises:
            UsageError: the filters contain no digests of this algorithm, so a check is impossible.
        """
        if digest.algorithm not in self._known.algorithms:
            held = ", ".join(sorted(self._known.algorithms))
            raise UsageError(
                f"{digest.hex}: the filter holds no {digest.algorithm} digests, only {held}; "
                "give one of those, or the file"
            )
        digests = FileDigests(**{digest.algorithm: bytes.fromhex(digest.hex)})
        return self._check(digest.hex.encode(), digests)

    def _check(self, subject: bytes, digests: FileDigests) -> CheckResult:
        by_name = digests.as_dict()
        found = hits(self._known.filters, digests)
        message = ""
        for hit in found:
            try:
                answer = self._confirm(hit.digest)
            except ServiceError as error:
                message = message or str(error)
                continue
            if answer.known:
                allowed, message = self._allowed(digests)
                return CheckResult(
                    subject,
                    by_name,
                    "known",
                    True,
                    digest=hit.digest,
                    category=answer.category or hit.category,
                    allowed=allowed,
                    message=message,
                )
        verdict: Literal["unknown", "pending"] = "pending" if message else "unknown"
        return CheckResult(subject, by_name, verdict, bool(found), message=message)

    def _allowed(self, digests: FileDigests) -> tuple[str | None, str]:
        """Return the allow-list's file with one of the digests, or why it cannot be searched."""
        if self._allow is None:
            return None, ""
        try:
            found = self._allow.find(digests)
        except ServiceError as error:
            return None, str(error)
        missing = self._allow.missing(digests)
        if found is not None or not missing:
            return found, ""
        return None, (
            f"the allow-list holds {', '.join(missing)} digests too: whether the file is allowed "
            "can be said of the file only"
        )

    def _confirm(self, digest: Digest) -> Answer:
        if self._refused is not None:
            raise self._refused
        if self._confirmer is None:
            self._confirmer = self._known.make_confirmer()
        try:
            return self._confirmer.confirm(digest)
        except CredentialsError as error:
            self._refused = error
            raise
