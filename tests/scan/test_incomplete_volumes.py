"""hashscan.scan.incomplete_volumes: volumes of which a scan does not see every file are reported once."""

import pytest
from handing_out import Told

from hashscan.catalog.rows import QueuedDirectory
from hashscan.fs.volume import Volume
from hashscan.scan.directory_queue import WaitingDirectories
from hashscan.scan.incomplete_volumes import UnseenVolumes
from hashscan.scan.messages import Tally

VOLUMES = [Volume(b"/v", (), one_file_system=False), Volume(b"/w")]


@pytest.fixture
def told():
    return Told()


def begun(told, lost):
    """Both volumes; ``lost``: what is unmounted in the first one until the end."""
    unseen = UnseenVolumes(VOLUMES, told, Tally())
    asked = []
    unseen.follow_mounts = lambda root: (asked.append(root), lambda: lost)[1]
    for number in range(2):
        directory = QueuedDirectory(number + 1, b"", fresh=True)
        unseen.begin(WaitingDirectories(number, directory, 0.5))
    assert asked == [b"/v"], "other file systems are entered there only"
    return unseen


def test_each_volume_is_checked_once_at_the_end(told):
    unseen = begun(told, [])
    assert len(unseen) == 2
    groups = [unseen.next(), unseen.next()]
    assert {(one.waiting.volume, one.waiting.weight, one.check) for one in groups} == {
        (0, 0.0, True), (1, 0.0, True)
    }  # fmt: skip
    assert (unseen.next(), len(unseen)) == (None, 0)
    assert (told.problems, unseen.roots) == ([], frozenset())


def test_a_file_system_that_was_unmounted_in_a_volume_is_a_problem(told):
    unseen = begun(told, [b"/v/m"])
    while unseen.next():
        pass
    (problem,) = told.problems
    assert problem.path == b"/v/m"
    assert "it was unmounted during the scan" in problem.message
    assert (unseen.roots, unseen._tally.problems) == ({b"/v"}, 1)


def test_a_volume_is_reported_once(told):
    unseen = begun(told, [])
    for _ in range(2):
        unseen.take(0, "", unread=True)
    (notice,) = told.notices
    assert notice.startswith("/v: a directory in it cannot be read; ")
    for _ in range(2):
        unseen.take(1, "gone", unread=False)
        unseen.take(1, "", unread=True)
    (problem,) = told.problems
    assert problem.message.startswith("it vanished during the scan: gone; ")
    assert (len(told.notices), unseen.roots, unseen.vanished) == (1, {b"/v", b"/w"}, {1})
    assert [unseen.next().waiting.volume, unseen.next()] == [0, None]
