"""Hosts that are this machine, and addresses that are no names."""

import pytest

from hashscan.hosts import is_address, is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.255.3.2", "127.1", "::1", "[::1]",
        "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1",
    ],
)  # fmt: skip
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "example.org", "localhost.example.org", "127.0.0.1.example.org", "128.0.0.1", "::2",
        "a.localhost", "0.0.0.0", "127", "::ffff:192.0.2.1",
    ],
)  # fmt: skip
def test_other_machines(host):
    assert not is_loopback(host)


def test_an_address_is_no_name():
    assert all(map(is_address, ("192.0.2.1", "::1", "[2001:db8::1]", "0.0.0.0")))
    assert not any(map(is_address, ("", "localhost", "192.0.2", "192.0.2.1:80", "a.example")))
