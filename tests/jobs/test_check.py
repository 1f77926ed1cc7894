"""hashscan.jobs.check: verdicts about a digest, with the service and the allow-list replaced."""

import os
from types import SimpleNamespace

import pytest

from hashscan.errors import CredentialsError, ServiceError, UsageError
from hashscan.jobs import check as checking
from hashscan.jobs.check import Checker
from hashscan.model import Answer, Digest, FilterHit
from hashscan.scan.hashing import NotHashed

SHA1, MD5 = Digest("sha1", "cd" * 20), Digest("md5", "ab" * 16)
HITS = (FilterHit(SHA1, "first", "1"), FilterHit(MD5, "second", "1"))


class Service:
    """Gives the answers, or raises the errors, of ``says``, one after another."""

    def __init__(self):
        self.says, self.asked, self.closed = [], [], 0

    def confirm(self, digest):
        self.asked.append(digest)
        answer = self.says.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.closed += 1


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def check(service, monkeypatch):
    """Checks a digest that both filters hold; ``allow``: the allow-list."""
    monkeypatch.setattr(checking, "hits", lambda *_: HITS)
    known = SimpleNamespace(
        filters=(), algorithms=frozenset({"sha1", "md5"}), make_confirmer=lambda: service
    )

    def checked(*says, allow=None, digest=SHA1):
        service.says = list(says)
        one.append(Checker(known, allow))
        return one[-1].digest(digest)

    one = []
    checked.made = one
    return checked


def test_a_verdict_is_that_of_the_first_known_hit(check, service):
    found = check(Answer(known=False), Answer(known=True))
    assert (found.verdict, found.candidate, found.digest, found.category) == (
        "known", True, MD5, "second",
    )  # fmt: skip
    assert (found.subject, found.allowed, found.message) == (b"cd" * 20, None, "")
    assert check(Answer(known=True, category="theirs")).category == "theirs"
    found = check(Answer(known=False), Answer(known=False))
    assert (found.verdict, found.candidate, found.digest) == ("unknown", True, None)


def test_without_an_answer_the_verdict_is_pending(check, service):
    found = check(ServiceError("no route"), ServiceError("another"))
    assert (found.verdict, found.message) == ("pending", "no route")
    assert len(service.asked) == 2
    found = check(ServiceError("no route"), Answer(known=True))
    assert (found.verdict, found.message) == ("known", "")


def test_a_refused_password_is_asked_for_once(check, service):
    found = check(CredentialsError("401"))
    assert found.verdict == "pending"
    assert service.asked == [SHA1]
    check.made[-1].close()
    assert service.closed == 1


def test_a_digest_that_no_filter_could_hold_is_an_error(check):
    with pytest.raises(UsageError, match="the filter holds no sha256 digests, only md5, sha1;"):
        check(digest=Digest("sha256", "ef" * 32))


@pytest.mark.parametrize(
    ("found", "missing", "allowed", "words"),
    [
        ("/allow", [], "/allow", ""),
        (None, [], None, ""),
        ("/allow", ["md5"], "/allow", ""),
        (None, ["md5"], None, "the allow-list holds md5 digests too: whether the file is allowed"),
        (ServiceError("it is damaged"), [], None, "it is damaged"),
    ],
)
def test_what_is_known_may_be_allowed(check, found, missing, allowed, words):
    def find(_digests):
        if isinstance(found, Exception):
            raise found
        return found

    allow = SimpleNamespace(algorithms=frozenset(), find=find, missing=lambda _digests: missing)
    one = check(Answer(known=True), allow=allow)
    assert (one.verdict, one.allowed) == ("known", allowed)
    assert one.message.startswith(words)
    assert bool(one.message) is bool(words)


def file_of(check, tmp_path, monkeypatch, *says, rules_out=False):
    """The outcome for a real file that both filters hold."""
    (tmp_path / "x").write_bytes(b"random bytes")
    monkeypatch.setattr(
        checking, "Screen", lambda _filters: SimpleNamespace(rules_out_size=lambda _size: rules_out)
    )
    check(Answer(known=False), Answer(known=False))
    one = check.made[-1]
    one._confirmer.says = list(says)
    return one, one.file(str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("known", "rules_out", "words"),
    [(True, False, ""), (False, True, ""), (True, True, checking._PASSED_OVER)],
)
def test_a_known_file_that_scans_pass_over_is_named(
    check, tmp_path, monkeypatch, known, rules_out, words
):
    says = [Answer(known=known)] * 2
    _, found = file_of(check, tmp_path, monkeypatch, *says, rules_out=rules_out)
    assert (found.verdict, found.message) == ("known" if known else "unknown", words)
    assert sorted(found.digests) == ["md5", "sha1"]
    assert found.subject == os.fsencode(tmp_path / "x")


def test_a_path_that_leads_to_no_file_has_an_outcome(check, tmp_path, monkeypatch):
    one, _ = file_of(check, tmp_path, monkeypatch, Answer(known=False), Answer(known=False))
    assert one.file(str(tmp_path / "gone" / "x")).reason == "vanished"
    assert isinstance(one.file(str(tmp_path)), NotHashed)
    (tmp_path / "link").symlink_to("x")
    one._confirmer.says = [Answer(known=True)]
    assert one.file(str(tmp_path / "link")).verdict == "known", "the file that it leads to"
