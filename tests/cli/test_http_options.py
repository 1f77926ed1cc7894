"""Options of commands that serve HTTP."""

import click
import pytest
from click.testing import CliRunner

from hashscan.cli.http_options import listening_options, parsed_listen


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:0", "::1", 0),
        ("localhost:65535", "localhost", 65535),
        ("unix:1", "unix", 1),
    ],
)
def test_an_address_with_its_port(text, host, port):
    assert parsed_listen(text) == {"host": host, "port": port}


@pytest.mark.parametrize(
    "text",
    ["", "80", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "a:-1"],
)
@pytest.mark.parametrize("unix", [False, True])
def test_an_address_without_a_port(text, unix):
    with pytest.raises(click.UsageError, match="--listen: write ADDRESS:PORT") as error:
        parsed_listen(text, unix=unix)
    assert ("unix:/run/" in str(error.value)) == unix


def test_a_socket_where_one_may_be():
    assert parsed_listen("unix:/run/a b", unix=True) == {"path": "/run/a b"}
    for text, unix in (("unix:/run/a", False), ("unix:relative", True)):
        with pytest.raises(click.UsageError):
            parsed_listen(text, unix=unix)


@pytest.mark.parametrize("unix", [False, True])
def test_a_command_gets_the_options_in_the_order_of_the_help(unix):
    @click.command
    @listening_options("127.0.0.1:8080", unix=unix)
    def command(**given):
        click.echo([given[name] for name in names])

    names = [one.name for one in command.params]
    assert names == ["listen", "tls_certificate", "tls_key", "behind_proxy"]
    shown = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "[default: 127.0.0.1:8080]" in shown
    assert ("Unix socket" in shown) == unix
    done = CliRunner().invoke(command, ["--listen", "a:1", "--behind-proxy"])
    assert done.output == "['a:1', None, None, True]\n"
