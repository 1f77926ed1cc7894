"""The settings of a repository: each host's moment, and a password that no message shows."""

import random
import time

import pytest

from hashscan.known.sync.repository_settings import RepositorySource, sync_offset


def test_a_fleet_is_spread_evenly_and_each_host_keeps_its_moment():
    hosts = [f"web{number}.example" for number in range(10_000)]
    assert [sync_offset(host, 3600) for host in hosts] == [
        sync_offset(host, 3600) for host in hosts
    ]
    minutes = [0] * 60
    for host in hosts:
        offset = sync_offset(host, 3600)
        assert 0 <= offset < 3600
        minutes[int(offset // 60)] += 1
    assert min(minutes) > 100  # 167 on average; 5 standard deviations
    assert max(minutes) < 235


def test_the_random_module_has_no_part_in_it():
    random.seed(1)
    first = sync_offset("host", 100)
    time.sleep(0)
    random.seed(2)
    assert sync_offset("host", 100) == first


#: From the SHA-256 of the name: a host keeps it over versions of hashscan.
MOMENT = 2496.633551554817


def test_a_moment_of_a_host():
    assert sync_offset("web1.example", 3600) == pytest.approx(MOMENT)
    assert sync_offset("web1.example", 7200) == pytest.approx(2 * MOMENT)
    assert sync_offset("web2.example", 3600) != pytest.approx(MOMENT)


def test_no_message_shows_the_password():
    source = RepositorySource("https://filters.example", "root", ("a",), "me", "s3cret-word")
    assert "s3cret-word" not in repr(source)
