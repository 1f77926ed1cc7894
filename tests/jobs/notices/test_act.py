"""hashscan.jobs.notices.act: the verdict about a file that a notice names."""

from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import CredentialsError, ServiceError
from hashscan.jobs.notices.act import NoticeActs, Verdict
from hashscan.model import Answer, Digest, FileDigests, FilterHit

MD5, SHA1 = Digest("md5", "ab" * 16), Digest("sha1", "cd" * 20)


HITS = (FilterHit(MD5, "first", "1"), FilterHit(SHA1, "second", "1"))


FILE = SimpleNamespace(digests=FileDigests(md5=b"m" * 16, sha1=b"s" * 20))


class Service:
    """Gives the answers, or raises the errors, of ``says`` by the digest."""

    def __init__(self):
        self.says, self.asked, self.made, self.closed = {}, [], 0, 0

    def make(self):
        self.made += 1
        return self

    def confirm(self, digest):
        self.asked.append(digest)
        answer = self.says[digest]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.closed += 1


@pytest.fixture
def service():
    return Service()


@pytest.fixture(params=[True, False])
def acts(request, service, monkeypatch):
    monkeypatch.setattr("hashscan.jobs.notices.act.hits", lambda _filters, _digests: HITS)
    known = SimpleNamespace(filters=(), make_confirmer=service.make, remote=request.param)
    with NoticeActs(Settings.of(state="/state"), None, known, print, recorder=None) as one:
        yield one
    assert service.closed == (service.made if request.param else 0), "a local one is the daemon's"


def test_the_first_hit_that_is_confirmed_is_the_verdict(acts, service):
    service.says = {MD5: Answer(known=False), SHA1: Answer(known=True, category="theirs")}
    for _ in range(2):
        assert acts.verdict(FILE) == Verdict(HITS[1], "theirs")
    assert service.asked == [MD5, SHA1], "answers are remembered"
    assert service.made == 1
    service.says[SHA1] = Answer(known=True)
    acts._answers.clear()
    assert acts.verdict(FILE) == Verdict(HITS[1], "second")


def test_a_service_that_does_not_answer_is_asked_for_the_next_digest(acts, service):
    service.says = {MD5: ServiceError("no route"), SHA1: ServiceError("another")}
    assert acts.verdict(FILE) == Verdict(pending="no route")
    assert service.asked == [MD5, SHA1]
    service.says[SHA1] = Answer(known=True)
    assert acts.verdict(FILE) == Verdict(HITS[1], "second")


def test_a_refused_password_is_asked_for_once_in_a_round(acts, service):
    service.says = {MD5: CredentialsError("401"), SHA1: Answer(known=True)}
    for _ in range(2):
        assert acts.verdict(FILE).pending == str(service.says[MD5])
    assert service.asked == [MD5]


def test_without_a_list_no_verdict():
    with NoticeActs(
        Settings.of(state="/state"), None, None, print, why_unknown="why", recorder=None
    ) as acts:
        assert acts.verdict(FILE).pending == "no list can be asked: why"
