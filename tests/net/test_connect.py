"""One deadline for a question: many dead addresses, a resolver that hangs, a slow proxy."""

import contextlib
import os
import socket
import threading
import time

import pytest
from fault_server import KnownServer, drip, hang
from hcs_words import KNOWN

from hashscan.errors import ServiceUnavailableError
from hashscan.known.confirmers.hashcheckservice import HashCheckService
from hashscan.net import connect as connecting
from hashscan.net.connect import Deadline, connect


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@contextlib.contextmanager
def dead_addresses(count, port=0):
    """``count`` loopback addresses with one port, to which no connection is ever made."""
    with contextlib.ExitStack() as stack:
        for number in range(count):
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((f"127.1.0.{number + 1}", port))
            port = listener.getsockname()[1]
            listener.listen(0)
            for _ in range(3):  # the queue is full, so the kernel drops what comes
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
        yield [f"127.1.0.{number + 1}" for number in range(count)], port


@pytest.fixture
def resolve_to(monkeypatch):
    """A function that gives ``many.test`` its addresses."""
    original = socket.getaddrinfo

    def set_to(hosts):
        def getaddrinfo(host, port, *more):
            if host != "many.test":
                return original(host, port, *more)
            if len(more) > 3:
                raise socket.gaierror(socket.EAI_NONAME, "a name")
            return [one for host in hosts for one in original(host, port, *more)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_to


def deadline_in(seconds):
    deadline = Deadline()
    deadline.begin(seconds)
    return deadline


def test_twenty_dead_addresses_take_as_long_as_one(resolve_to):
    with dead_addresses(20) as (hosts, port):
        resolve_to(hosts)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            connect("many.test", port, deadline_in(1.5))
        assert 1.4 < time.monotonic() - start < 20  # one by one, they take 30


def test_one_that_lives_is_found_behind_twenty_dead_ones(resolve_to):
    with dead_addresses(20) as (hosts, port), socket.create_server(("127.2.0.1", port)) as living:
        resolve_to([*hosts, "127.2.0.1"])
        with connect("many.test", port, deadline_in(2)) as sock:
            assert sock.getpeername() == living.getsockname()
            assert 0 < sock.gettimeout() < 2


def test_addresses_that_refuse_cost_no_time(resolve_to):
    with socket.create_server(("127.2.0.1", 0)) as living:
        port = living.getsockname()[1]
        resolve_to([*(f"127.3.0.{n}" for n in range(1, 61)), "127.2.0.1"])
        start = time.monotonic()
        connect("many.test", port, deadline_in(60)).close()
        assert time.monotonic() - start < 12  # a pause after each is 15


def test_the_error_is_the_first_addresss(resolve_to):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        resolve_to(["127.0.0.1", "127.0.0.2"])
        with pytest.raises(ConnectionRefusedError):
            connect("many.test", bound.getsockname()[1], deadline_in(5))


def test_nothing_is_left_open(resolve_to):
    before = len(os.listdir("/proc/self/fd"))
    with dead_addresses(4) as (hosts, port):
        resolve_to(hosts)
        within = len(os.listdir("/proc/self/fd"))
        with pytest.raises(TimeoutError):
            connect("many.test", port, deadline_in(0.3))
        assert len(os.listdir("/proc/self/fd")) == within
    assert len(os.listdir("/proc/self/fd")) == before


def test_families_take_turns():
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(six, 0, 0, "", n) for n in range(3)] + [(four, 0, 0, "", n) for n in range(2)]
    assert [(one[0], one[4]) for one in connecting._interleaved(found)] == [
        (six, 0), (four, 0), (six, 1), (four, 1), (six, 2),
    ]  # fmt: skip


def test_a_question_to_many_dead_addresses_keeps_its_time_limit(resolve_to):
    with dead_addresses(20) as (hosts, port):
        resolve_to(hosts)
        client = HashCheckService(
            url=f"https://many.test:{port}", username="u", password="p" * 8, timeout=1,
            backoff=0.01,
        )  # fmt: skip
        start = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match="no whole answer within"):
            client.confirm(KNOWN)
        assert time.monotonic() - start < 15  # one by one, they take 20 and more
        client.close()


@pytest.fixture
def silent_resolver(monkeypatch):
    go = threading.Event()
    asked = []

    def getaddrinfo(host, port, *more):
        if len(more) > 3:
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        asked.append(host)
        go.wait(100)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    go.set()
    for one in threading.enumerate():
        if one.name == "resolver":
            one.join()


def test_a_resolver_that_hangs_keeps_the_time_limit_and_holds_one_thread(silent_resolver):
    start = time.monotonic()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            connect("slow.test", 443, deadline_in(0.1))
    assert time.monotonic() - start < 60  # it is silent for 100
    assert silent_resolver == ["slow.test"]
    assert sum(one.name == "resolver" for one in threading.enumerate()) == 1


def test_a_name_that_can_be_no_name_is_not_resolved():
    with pytest.raises(socket.gaierror):
        connect("a" * 70 + ".test", 443, deadline_in(5))


def test_a_child_of_fork_resolves_for_itself(silent_resolver):
    with pytest.raises(TimeoutError):
        connect("slow.test", 443, deadline_in(0.05))
    assert len(connecting._running) == 1
    pid = os.fork()
    if not pid:
        os._exit(len(connecting._running) + int(connecting._lock.locked()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("proxy", [hang(), drip(b"HTTP/1.1 200 OK\r\n", 0.02, forever=b"X: y\r\n")])
def test_a_slow_proxy_is_within_the_deadline_too(proxy, monkeypatch):
    with KnownServer(on_connect=proxy) as server:
        monkeypatch.setenv("https_proxy", server.url)
        client = HashCheckService(
            url="https://127.0.0.1:1", username="u", password="p" * 8, timeout=0.6, attempts=1
        )
        start = time.monotonic()
        with pytest.raises(ServiceUnavailableError):
            client.confirm(KNOWN)
        assert time.monotonic() - start < 60
        client.close()
