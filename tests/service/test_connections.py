"""The bounds on connections: places by address, and places for clients that are known."""

import pytest

from hashscan.service.connections import Client, ConnectionBounds, Connections, network_of


class Taken:
    def __init__(self, connections):
        self.connections = connections
        self.closed = []

    def add(self, address):
        client = Client(address, lambda: self.closed.append(client))
        assert self.connections.add(client)
        return client


def test_who_holds_most_is_pushed_out_and_who_asks_last_of_all():
    connections = Connections(ConnectionBounds(total=100, strangers=6, an_address=4))
    taken = Taken(connections)
    greedy = [taken.add("192.0.2.1") for _ in range(4)]
    greedy[0].asking = True
    other = taken.add("192.0.2.2")
    known = taken.add("192.0.2.1")
    assert taken.closed == [greedy[1]]
    connections.proven(known)
    assert len(connections) == 5
    taken.add("192.0.2.3")
    taken.add("192.0.2.4")
    taken.add("192.0.2.5")  # the sixth stranger was there already
    assert taken.closed == [greedy[1], greedy[2]]
    for _ in range(20):
        taken.add("192.0.2.9")
    assert other not in taken.closed
    assert known not in taken.closed
    for client in connections.all():
        connections.remove(client)
    assert len(connections) == 0


def test_places_of_known_clients_that_are_idle_are_given_to_others():
    connections = Connections(ConnectionBounds(total=3, strangers=3, an_address=3))
    taken = Taken(connections)
    clients = [taken.add(f"192.0.2.{n}") for n in range(3)]
    for number, client in enumerate(clients):
        connections.proven(client)
        client.asking = number != 1
    taken.add("192.0.2.8")
    assert taken.closed == [clients[1]]
    clients[0].asking = clients[2].asking = True
    one = Client("192.0.2.9", lambda: None)
    assert not connections.add(one)


def test_a_descriptor_is_found_for_a_new_client():
    connections = Connections(ConnectionBounds())
    assert not connections.close_one()
    taken = Taken(connections)
    first = taken.add("192.0.2.1")
    assert connections.close_one()
    assert taken.closed == [first]
    assert len(connections) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_the_network_of_an_address(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("descriptors", "one_address", "bounds"),
    [
        (100_000, False, (4096, 512, 64)),
        (100_000, True, (4096, 512, 512)),
        (1024, False, (896, 224, 64)),
        (64, False, (16, 8, 64)),
    ],
)
def test_bounds_within_the_descriptors(descriptors, one_address, bounds):
    assert ConnectionBounds().within(descriptors, one_address=one_address) == bounds
