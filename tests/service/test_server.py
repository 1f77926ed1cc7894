"""Where a service listens."""

import os
import socket
import stat
from pathlib import Path

import pytest

from hashscan.errors import UsageError
from hashscan.service.server import Listening


@pytest.fixture
def place(tmp_path):
    os.chmod(tmp_path, 0o700)
    return str(tmp_path / ("long" * 40) / "socket")


@pytest.fixture
def made(place):
    os.mkdir(os.path.dirname(place))
    return place


def connect(path):
    here = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(f"/proc/self/fd/{here}/{os.path.basename(path)}")
        finally:
            os.close(here)


def test_a_unix_socket_is_its_owners_and_goes_with_the_service(made):
    with Listening(path=made).opened():
        connect(made)
        assert stat.S_IMODE(os.stat(made).st_mode) == 0o600
    assert not os.path.lexists(made)


def test_the_address_is_not_free(place):
    with pytest.raises(
        UsageError, match="No such file or directory; make its directory, or choose"
    ):
        Listening(path=place).opened().__enter__()
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(UsageError, match="cannot listen there: Address already in use; choose an"),
    ):
        Listening(host="127.0.0.1", port=other.getsockname()[1]).opened().__enter__()


def test_a_group_may_connect(made):
    with Listening(path=made, group="daemon").opened():
        status = os.stat(made)
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, 1)


def test_a_socket_that_a_killed_service_left_is_replaced(made):
    with Listening(path=made).opened() as first:
        os.rename(made, f"{made}-kept")
        os.link(f"{made}-kept", made)
        first.close()
    os.rename(f"{made}-kept", made)
    with Listening(path=made).opened():
        connect(made)


def test_another_service_keeps_its_socket(made):
    with Listening(path=made).opened():
        with (
            pytest.raises(UsageError, match="another process listens"),
            Listening(path=made).opened(),
        ):
            pass
        connect(made)


def test_the_socket_of_a_successor_stays(made):
    with Listening(path=made).opened():
        os.rename(made, f"{made}-old")
        with Listening(path=made).opened():
            pass
        Path(made).touch()
    assert os.path.isfile(made)


@pytest.mark.parametrize("group", ["nobody-has-this-group", "a\0b"])
def test_a_group_that_is_missing(made, group):
    with (
        pytest.raises(UsageError, match="there is no group"),
        Listening(path=made, group=group).opened(),
    ):
        pass


def test_no_file_is_replaced_and_no_directory_made(place):
    with pytest.raises(UsageError, match="No such file"), Listening(path=place).opened():
        pass
    os.mkdir(os.path.dirname(place))
    Path(place).write_text("kept")
    with pytest.raises(UsageError, match="is no socket"), Listening(path=place).opened():
        pass
    assert Path(place).read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_socket_that_customers_could_replace_is_refused(made):
    os.chmod(os.path.dirname(made), 0o777)
    with (
        pytest.raises(UsageError, match="somebody else can replace"),
        Listening(path=made).opened(),
    ):
        pass
    assert not os.path.lexists(made)


def test_an_error_of_the_service_is_no_error_of_its_socket(made):
    with pytest.raises(PermissionError), Listening(path=made).opened():
        raise PermissionError


def test_answers_do_not_wait_for_acknowledgements():
    """Nagle's algorithm and delayed acknowledgements would make each answer take 40 ms."""
    with Listening(port=0).opened() as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for one in (client, accepted):
            one.close()
