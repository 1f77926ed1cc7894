"""From candidate to verdict: none is lost, none is told twice, none is answered by another."""

import hashlib
import os
import signal
import time

import pytest
from scanning import Down, Knows, Scanner, fill, one_by_one, settle, sha1

from hashscan.catalog.status_overview import overview
from hashscan.errors import ServiceRefusedError
from hashscan.model import Answer
from hashscan.scan.file_hasher import FileHasher


def test_false_positives_are_counted_and_nothing_is_reported(volume, state):
    contents = fill(volume)
    scanner = Scanner(state, {sha1(content) for content in list(contents.values())[:4]})
    scanner.confirmer = lambda: Knows(set())
    summary = scanner.scan(volume)
    assert (summary.candidates, summary.false_positives, summary.matches, summary.pending) == (
        4,
        4,
        0,
        0,
    )


def test_candidates_survive_a_service_that_is_down(volume, state):
    contents = fill(volume)
    known = {sha1(content) for content in list(contents.values())[:4]}
    scanner = Scanner(state, known)
    scanner.confirmer = Down
    settle(volume)
    summary = scanner.scan(volume)
    assert (summary.candidates, summary.pending, summary.matches) == (4, 4, 0)
    assert len(scanner.told.pendings) == 4
    assert "is down" in scanner.told.pendings[0].message
    # asked again on the next run, whatever that scans
    other = volume.parent / "other"
    other.mkdir()
    scanner.confirmer = lambda: Knows(known)
    summary = scanner.scan(other)
    assert (summary.files, summary.matches, summary.pending) == (0, 4, 0)


def test_a_pending_candidate_that_changed_is_none_any_more(volume, state):
    path = volume / "f"
    path.write_bytes(b"bad")
    scanner = Scanner(state, {sha1(b"bad")})
    scanner.confirmer = Down
    assert scanner.scan(volume).pending == 1
    path.write_bytes(b"good")
    assert scanner.scan(volume).pending == 0


def test_a_directory_that_is_done_again_tells_nothing_twice(volume, state, monkeypatch, tmp_path):
    for number in range(400):
        (volume / f"f{number}").write_bytes(b"%d" % number)
    flag = tmp_path / "died"
    hash_one = FileHasher.hash
    seen = []

    def dies_late(self, directory, name):
        seen.append(name)
        if len(seen) == 300 and not flag.exists():
            time.sleep(0.5)  # what was found before is reported by then
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return hash_one(self, directory, name)

    one_by_one(monkeypatch, dies_late)
    scanner = Scanner(state, {sha1(b"%d" % number) for number in range(400)})
    scanner.jobs = 1
    summary = scanner.scan(volume)
    assert flag.exists()
    assert summary.files == summary.hashed == summary.candidates == summary.matches == 400
    assert len(scanner.told.matches) == 400


def test_one_question_for_each_distinct_digest(volume, state, tmp_path):
    for number in range(300):
        (volume / f"copy{number}").write_bytes(b"same")
    log = tmp_path / "asked"

    class Logs(Knows):
        remote = True

        def confirm(self, digest):
            with open(log, "a") as file:
                file.write(digest.hex + "\n")
            return super().confirm(digest)

    scanner = Scanner(state, {sha1(b"same")})
    scanner.remote = True
    scanner.confirmer = lambda: Logs(scanner.known)
    settle(volume)
    assert scanner.scan(volume).matches == 300
    assert scanner.scan(volume).matches == 300, "the verdict is remembered"
    assert log.read_text() == sha1(b"same") + "\n"


def test_a_process_that_asks_and_dies_leaves_candidates_pending(volume, state):
    (volume / "f").write_bytes(b"x")

    class Dies(Knows):
        def confirm(self, digest):
            os.kill(os.getpid(), signal.SIGKILL)

    scanner = Scanner(state, {sha1(b"x")})
    scanner.confirmer = lambda: Dies(set())
    summary = scanner.scan(volume)
    assert (summary.matches, summary.pending, summary.false_positives) == (0, 1, 0)


def test_a_candidate_with_two_digests_and_a_service_that_is_down(volume, state):
    (volume / "f").write_bytes(b"x")
    scanner = Scanner(state, {sha1(b"x"), hashlib.md5(b"x").hexdigest()}, ("md5", "sha1"))
    scanner.confirmer = Down
    summary = scanner.scan(volume)
    assert (summary.candidates, summary.pending, summary.matches) == (1, 1, 0)
    assert "is down" in scanner.told.pendings[0].message


@pytest.mark.parametrize("knows", ["md5", "sha1", None])
def test_a_candidate_of_which_one_digest_gets_no_answer(volume, state, knows):
    (volume / "f").write_bytes(b"x")
    digests = {"sha1": sha1(b"x"), "md5": hashlib.md5(b"x").hexdigest()}

    class Half(Knows):
        def confirm(self, digest):
            if digest.algorithm == knows:
                return Answer(known=True)
            if knows is None and digest.algorithm == "md5":
                return Answer(known=False)
            raise ServiceRefusedError("not this one")

    scanner = Scanner(state, set(digests.values()), ("md5", "sha1"))
    scanner.confirmer = lambda: Half(set())
    summary = scanner.scan(volume)
    expected = (0, 1, 0) if knows is None else (1, 0, 0)
    assert (summary.matches, summary.pending, summary.false_positives) == expected


def test_candidates_of_a_remote_service_wait_for_that_service(volume, state):
    (volume / "f").write_bytes(b"x")
    other = volume.parent / "other"
    other.mkdir()
    scanner = Scanner(state, {sha1(b"x")})
    scanner.remote, scanner.service = True, "https://service"
    scanner.confirmer = Down
    assert scanner.scan(volume).pending == 1
    # another known set, which does not know the digest, must not answer for the service
    local = Scanner(state, {sha1(b"something else")})
    summary = local.scan(other)
    assert (summary.false_positives, summary.pending) == (0, 1)
    assert "https://service" in local.told.pendings[0].message
    local.scan(volume)
    again = Scanner(state, {sha1(b"x")})
    again.remote, again.service = True, "https://service"
    assert again.scan(volume).matches == 1


def test_a_pending_candidate_that_was_renamed_is_told_once(volume, state):
    (volume / "f").write_bytes(b"x")
    scanner = Scanner(state, {sha1(b"x")})
    scanner.confirmer = Down
    scanner.scan(volume)
    (volume / "f").rename(volume / "g")
    scanner.confirmer = lambda: Knows(scanner.known)
    summary = scanner.scan(volume)
    assert (summary.files, summary.candidates, summary.matches) == (1, 1, 1)
    assert scanner.told.paths == [b"g"]


def test_matches_of_a_volume_that_is_away_stay_in_the_queue_and_are_not_touched(state, tmp_path):
    from hashscan.catalog.store import Catalog
    from hashscan.model import Summary
    from hashscan.scan.confirmation import Confirmation

    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "f").write_bytes(b"bad")
    scanner = Scanner(state, {sha1(b"bad")})
    scanner.confirmer = Down
    assert scanner.scan(volume).pending == 1

    class Touches:
        def act(self, match):
            raise AssertionError("it would wait for ever")

    catalog = Catalog(scanner.catalog)
    catalog.service = ("test", False)
    away = {os.fsencode(volume)}
    confirmation = Confirmation(
        catalog, None, Touches(), scanner.told, Summary(), scan=catalog.begin_watch(),
        filterset=1, service="test", remote=False, devices_of=lambda _: [], lasting=True,
        is_away=away.__contains__,
    )  # fmt: skip
    ((queued, _),) = catalog.pending()
    confirmation._known(queued, 0, queued.candidate.hits[0], Answer(True))
    confirmation.act_on_links(lambda: False)
    assert confirmation.unmoved
    confirmation.move_unmoved()
    catalog.commit()
    count, path, why = overview(catalog.path).unmoved
    assert (count, path) == (1, os.fsencode(volume / "f"))
    assert "does not answer" in why
    away.clear()
    with pytest.raises(AssertionError, match="for ever"):
        confirmation.move_unmoved()
    catalog.close()
