"""The report's coverage and filters: what the daemon, the catalog and the configuration say."""

import os

import notice_machine
import pytest
from left_state import DAY

from hashscan.config.settings import Settings
from hashscan.jobs import report as reporting
from hashscan.jobs.report import report_of


@pytest.fixture
def place(place):
    place.volumes.append(place.directory / "second")
    place.write()
    return place


def report(place, **given):
    return report_of(place.settings, 0.0, 4e9, **given)


def test_a_volume_is_watched_if_all_changes_in_it_are_seen(place):
    assert report(place)[0].watched == 0.0
    whole = {}
    for wrong in ({"away": "gone"}, {"unwatched": 1}, {"blind": "NFS"}, {"backend": "off"},
                  {"backend": "starting"}, whole):  # fmt: skip
        place.daemon(volume=wrong)
        found, faults = report(place)
        assert [one.watched for one in found.volumes] == [wrong is whole, False], wrong
        assert faults == {}
    assert found.watched == 0.5
    place.holder.kill()
    place.holder.wait()
    assert report(place)[0].watched == 0.0, "its daemon has died"


def test_whole_scans_of_the_volumes(place):
    found, _ = report(place)
    assert (found.wholly_scanned, found.oldest_whole, found.scans.scans) == (0.0, None, 0)
    place.scanned(3 * DAY, volumes=place.volumes[:1])
    found, _ = report(place)
    assert (found.wholly_scanned, found.oldest_whole) == (0.5, None)
    place.scanned(2 * DAY, volumes=place.volumes[1:])
    found, _ = report(place)
    assert found.wholly_scanned == 1.0
    assert found.oldest_whole == pytest.approx(3 * DAY, abs=60)
    assert (found.scans.scans, found.scans.files) == (2, 20)
    later = report_of(place.settings, found.made - 2.5 * DAY, 4e9)[0]
    assert later.wholly_scanned == 0.5, "one of them was before the period"


def test_a_volume_that_is_named_by_a_link(place):
    real, link = place.volumes[0], place.directory / "link"
    link.symlink_to(real)
    place.scanned(DAY, volumes=[real])
    place.daemon()
    place.volumes[0] = link
    place.write()
    found, _ = report(place)
    assert (found.volumes[0].name, found.volumes[0].watched) == ("volume 1", True)
    assert found.volumes[0].whole is not None


def test_volumes_and_filters_have_no_paths_unless_asked_for(place):
    place.extra = f"filter: {{source: {place.directory}/none.filter}}\n"
    place.write()
    found, _ = report(place)
    assert [one.name for one in found.volumes] == ["volume 1", "volume 2"]
    assert [(one.name, one.usable, one.version) for one in found.filters] == [
        ("filter 1", False, None)
    ]
    named, _ = report(place, names=True)
    assert [one.name for one in named.volumes] == [str(one) for one in place.volumes]
    assert named.filters[0].name == f"{place.directory}/none.filter"


def test_a_quarantine_that_cannot_be_read_is_named(place):
    os.makedirs(os.path.join(place.state.directory, "quarantine"), 0o755)
    found, faults = report(place)
    assert found.unread == ("quarantine",)
    assert "0755" in faults["quarantine"]
    assert found.matches.matches == 0


def test_a_match_that_a_notice_moved_since_the_last_scan_is_counted_once(tmp_path):
    machine = notice_machine.Machine(tmp_path)
    machine.know(machine.file("a.jpg"))
    machine.scan()  # which only reports
    assert report(machine)[0].matches.in_place == 1
    machine.notice("https://x.example/a.jpg")
    machine.round()
    found = report(machine)[0].matches
    assert (found.matches, found.quarantined, found.in_place) == (1, 1, 0)
    assert found.by_detection == {"notice": 1}
    machine.close()


def settings_of(tmp_path, **sections):
    return Settings.of(state=str(tmp_path / "state"), **sections)


def test_without_notices_none_are_reported(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    assert list(reporting.intake_of(settings_of(tmp_path), 0.0, 1e12)) == []
