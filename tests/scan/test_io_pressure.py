"""hashscan.scan.io_pressure: others' waiting counts, hashscan's own does not."""

import os

from hypothesis import given
from hypothesis import strategies as st

from hashscan.scan import io_pressure
from hashscan.scan.io_pressure import Pressure, mount_of_cgroup2, own_group, parse


def group(top, path, share):
    directory = top / path.strip("/")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "io.pressure").write_text(
        f"some avg10={share:.2f} avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00\n"
    )


def test_what_others_wait_for_counts_and_not_ones_own(tmp_path):
    group(tmp_path, "system.slice", 99)
    group(tmp_path, "system.slice/hashscan.service", 98)
    group(tmp_path, "system.slice/nginx.service", 12.5)
    group(tmp_path, "user.slice", 3)
    pressure = Pressure(str(tmp_path), "/system.slice/hashscan.service")
    assert pressure.others() == 0.125
    group(tmp_path, "user.slice", 40)
    assert pressure.others() == 0.4
    assert "2 other cgroups" in pressure.describe()


def test_groups_that_come_are_found_after_a_while_and_those_that_go_do_no_harm(tmp_path):
    now = [0.0]
    group(tmp_path, "a", 1)
    group(tmp_path, "own", 50)
    pressure = Pressure(str(tmp_path), "/own", clock=lambda: now[0])
    assert pressure.others() == 0.01
    (tmp_path / "a" / "io.pressure").unlink()
    (tmp_path / "a").rmdir()
    group(tmp_path, "b", 30)
    assert pressure.others() == 0.0
    now[0] = 31.0
    assert pressure.others() == 0.3


def test_in_a_container_all_of_it_is_asked_else_the_machine(tmp_path):
    group(tmp_path, "", 25)
    whole = tmp_path / "whole"
    whole.write_text("some avg10=7.00 avg60=0.00 avg300=0.00 total=1\n")
    assert Pressure(str(tmp_path), "/", whole=str(whole)).others() == 0.25
    (tmp_path / "io.pressure").unlink()
    alone = Pressure(str(tmp_path), "/", whole=str(whole))
    assert alone.others() == 0.07
    assert "own waiting" in alone.describe()
    assert Pressure(str(tmp_path), "/", whole=str(tmp_path / "none")).others() == 0.0


def test_thousands_of_groups_cost_little(tmp_path):
    for number in range(1000):
        group(tmp_path, f"g{number:04}", 1)
    pressure = Pressure(str(tmp_path), "/own")
    assert pressure.others() == 0.01
    assert len(pressure._files) <= 400


def test_here(tmp_path):
    assert 0.0 <= Pressure().others() <= 1.0
    mounted = mount_of_cgroup2()
    assert mounted is None or os.path.isdir(mounted)
    assert own_group().startswith("/")
    assert own_group(str(tmp_path / "none")) == "/"
    assert mount_of_cgroup2(str(tmp_path / "none")) is None


@given(st.binary(max_size=100))
def test_whatever_the_text_is_the_share_is_none_or_one(text):
    for data in (text, b"some avg10=" + text):
        share = parse(data)
        assert share is None or 0.0 <= share <= 1.0


def test_the_mount_and_the_group_from_proc(tmp_path):
    file = tmp_path / "mountinfo"
    file.write_text("1 2 0:3 / /proc rw - proc proc rw\n4 5 0:6 / /sys/fs/x rw - cgroup2 c rw\n")
    assert mount_of_cgroup2(str(file)) == "/sys/fs/x"
    file.write_text("1 2 0:3 / /proc rw - proc proc rw\n")
    assert mount_of_cgroup2(str(file)) is None
    file.write_text("4 - cgroup2 c rw\n")
    assert mount_of_cgroup2(str(file)) is None
    assert mount_of_cgroup2(str(tmp_path / "none")) is None
    file.write_text("1:cpu:/x\n0::/system.slice/a.service\n")
    assert own_group(str(file)) == "/system.slice/a.service"
    file.write_text("1:cpu:/x\n")
    assert own_group(str(file)) == "/"
    assert own_group(str(tmp_path / "none")) == "/"


def test_without_cgroups_the_whole_machine_is_asked(tmp_path, monkeypatch):
    (tmp_path / "whole").write_text("some avg10=150.00 avg60=0.00 avg300=0.00 total=1\n")
    monkeypatch.setattr(io_pressure, "mount_of_cgroup2", lambda: None)
    alone = Pressure(whole=str(tmp_path / "whole"))
    assert alone.others() == 1.0, "never more than all of the time"
    assert alone.describe() == f"{tmp_path}/whole, which counts hashscan's own waiting too"


def test_a_group_that_cannot_be_listed_has_nobody_beside_it(tmp_path):
    (tmp_path / "whole").write_text("some avg10=7.00 avg60=0.00 avg300=0.00 total=1\n")
    found = Pressure(str(tmp_path / "none"), "/a/b", whole=str(tmp_path / "whole"))
    assert found.others() == 0.07


def test_groups_are_listed_again_after_a_while(tmp_path):
    now = [0.0]
    found = Pressure(str(tmp_path), "/own", whole=str(tmp_path / "none"), clock=lambda: now[0])
    assert found.others() == 0.0
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "io.pressure").write_text("some avg10=9.00 avg60=0.00\n")
    now[0] = io_pressure._LIST_AFTER - 0.001
    assert found.others() == 0.0
    now[0] = io_pressure._LIST_AFTER
    assert found.others() == 0.09
    assert found.describe() == f"{tmp_path}/other/io.pressure"
