"""hashscan.scan.unchanged_files: which rows are still valid, and what is counted for them."""

import os

import pytest
from catalog_rows import row_of
from scanning import options_of

from hashscan.catalog.rows import signed
from hashscan.fs.listing import Unchanged
from hashscan.model import Digest, FileDigests, FilterHit, Identity
from hashscan.scan.messages import Findings, Tally, Task, WorkerSettings
from hashscan.scan.unchanged_files import UnchangedFiles, count_unchanged

SHA1 = b"\xab" * 20
HITS = (FilterHit(Digest("sha1", SHA1.hex()), "baseline", "v1"),)
DEVICE = -7
JUDGED, SCAN = 2, 9


class Asked:
    """Filters and screen in one: what they answer, and how often they were asked."""

    def __init__(self, *, known=False, ruled_out=True):
        self.known, self.ruled_out, self.count = known, ruled_out, 0

    def judge(self, digests):
        assert digests == FileDigests(sha1=SHA1)
        self.count += 1
        return HITS if self.known else ()

    def rules_out(self, size, head):
        assert (size, head) == (7, b"head")
        self.count += 1
        return self.ruled_out


@pytest.fixture
def status(tmp_path):
    (tmp_path / "f").write_bytes(b"content")
    return os.lstat(tmp_path / "f")


@pytest.fixture
def check(status):
    """A function that checks a row with these fields: is it valid, the findings, how often asked."""

    def check(*, again=False, settings=(), answers=(), full=False, **fields):
        values = {"device": DEVICE, "sha1": None if "head" in fields else SHA1}
        row = row_of(b"f", status, **{**values, "judged": JUDGED, "scan": 5, **fields})
        asked = Asked(**dict(answers))
        settings = WorkerSettings(options_of(full=full), (), "", JUDGED, SCAN, **dict(settings))
        findings = Findings(0)
        found = UnchangedFiles(settings, None, asked, asked).is_settled(
            row, status, DEVICE, findings, again=again
        )
        return found, findings, asked.count

    return check


def refused(result):
    found, findings, _ = result
    assert findings == Findings(0), "the file gets its outcome later"
    return found is False


def test_a_row_of_another_file_or_content_is_not_valid(check, status):
    unchanged = UnchangedFiles(
        WorkerSettings(options_of(), (), "", JUDGED, SCAN), None, Asked(), Asked()
    )
    assert unchanged.is_settled(None, status, DEVICE, Findings(0), again=False) is False
    assert check()[0] is True
    for fields in (
        {"inode": signed(status.st_ino) + 1},
        {"size": 8},
        {"mtime_ns": status.st_mtime_ns - 1},
        {"ctime_ns": status.st_ctime_ns - 1},
        {"device": DEVICE - 1},
        {"sha1": None},
        {"racy": True},
    ):
        assert refused(check(**fields)), fields


def test_a_valid_row_counts_as_unchanged_and_asks_nothing(check):
    found, findings, asked = check()
    assert (found, findings, asked) == (True, Findings(0, tally=Tally(unchanged=1)), 0)


@pytest.mark.parametrize(("head", "reason"), [(b"", "unknown-size"), (b"head", "unknown-head")])
def test_a_row_that_was_ruled_out_counts_as_skipped(check, head, reason):
    found, findings, asked = check(head=head)
    assert (found, findings, asked) == (True, Findings(0, tally=Tally(skipped={reason: 1})), 0)


@pytest.mark.parametrize(
    ("resumed", "fields", "valid"),
    [
        (None, {}, False),
        (5, {}, True),
        (4, {}, True),
        (6, {}, False),
        (5, {"head": b"head"}, False),
    ],
)
def test_a_full_scan_takes_only_what_it_hashed_before_its_interruption(
    check, resumed, fields, valid
):
    result = check(full=True, settings={"resumed": resumed}, **fields)
    assert result[0] if valid else refused(result)


@pytest.mark.parametrize(
    ("fields", "tally"),
    [
        ({"scan": SCAN}, Tally(hashed=1, bytes_hashed=7)),
        ({"scan": SCAN, "racy": True}, Tally(hashed=1, bytes_hashed=7)),
        ({"scan": SCAN, "hit": True}, Tally(hashed=1, bytes_hashed=7)),
        ({"scan": SCAN, "head": b"head"}, Tally(skipped={"unknown-head": 1})),
        ({"scan": SCAN, "head": b"", "racy": True}, Tally(skipped={"unknown-size": 1})),
        ({"scan": 5}, Tally(unchanged=1)),
        ({"scan": SCAN, "judged": 1}, Tally(unchanged=1)),
    ],
)
def test_what_a_dead_process_had_stored_in_this_scan_has_the_outcome_that_it_had(
    check, fields, tally
):
    found, findings, _ = check(again=True, settings={"judged_until": SCAN}, **fields)
    assert (found, findings) == (True, Findings(0, tally=tally))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("hit", "judged"), [(False, 1), (True, 1), (True, JUDGED)])
def test_kept_digests_are_judged_by_the_filters_of_now(check, status, known, hit, judged):
    found, findings, asked = check(hit=hit, judged=judged, answers={"known": known})
    assert (found, asked, findings.tally) == (True, 1, Tally(unchanged=1))
    assert findings.rejudged == ([(b"f", known)] if judged != JUDGED else [])
    assert [(one.name, one.hits, one.identity) for one in findings.candidates] == (
        [(b"f", HITS, Identity(status.st_dev, status.st_ino))] if known else []
    )


@pytest.mark.parametrize(("until", "asked"), [(0, 1), (4, 1), (5, 0), (6, 0)])
def test_rows_that_were_checked_meanwhile_are_not_judged_again(check, until, asked):
    assert check(judged=1, settings={"judged_until": until})[2] == asked
    assert check(judged=1, head=b"head", settings={"judged_until": until})[2] == asked


@pytest.mark.parametrize(("hit", "judged"), [(False, 1), (True, 1), (True, JUDGED)])
def test_a_file_is_hashed_if_the_filters_of_now_do_not_rule_it_out(check, hit, judged):
    fields = {"hit": hit, "judged": judged, "head": b"head"}
    assert refused(check(answers={"ruled_out": False}, **fields))
    found, findings, _ = check(**fields)
    assert (found, findings.rejudged) == (True, [(b"f", False)])
    assert findings.tally == Tally(skipped={"unknown-head": 1})


class Root:
    """The root of a volume, with or without excludes."""

    row_device = (3, DEVICE)

    def __init__(self, *, has_excludes=False):
        self.has_excludes = has_excludes


@pytest.mark.parametrize("why", [None, "again", "full", "excludes", "rows"])
def test_a_directory_is_counted_as_a_whole_unless_a_file_needs_a_decision(why):
    asked = []

    class Catalog:
        def settled(self, directory, **given):
            asked.append((directory, given))
            return None if why == "rows" else {b"f": ()}

    settings = WorkerSettings(options_of(full=why == "full"), (), "", JUDGED, SCAN, judged_until=4)
    task = Task(1, 0, 11, b"", fresh=False, again=why == "again")
    root = Root(has_excludes=why == "excludes")
    found = UnchangedFiles(settings, Catalog(), None, None).of_directory(task, root)
    assert asked == (
        [(11, {"judged": JUDGED, "until": 4, "algorithms": frozenset({"sha1"})})]
        if why in {None, "rows"}
        else []
    )
    if why is not None:
        assert found is None
        return
    assert (found.files, found.device, found.number) == ({b"f": ()}, 3, DEVICE)


@pytest.mark.parametrize(
    ("met", "skipped"),
    [
        ([0, 3, 2, 1], {"unknown-size": 2, "unknown-head": 1}),
        ([0, 3, 0, 1], {"unknown-head": 1}),
        ([0, 3, 0, 0], {}),
    ],
)
def test_each_kind_of_unchanged_file_is_counted(met, skipped):
    unchanged = Unchanged({}, 3, DEVICE)
    unchanged.met = met
    tally = Tally(unchanged=1)
    count_unchanged(unchanged, tally)
    assert tally == Tally(unchanged=4, skipped=skipped)
