"""Options of the commands that serve HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


def listening_options(default: str, *, unix: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds ``--listen`` and TLS options; ``unix``: allow a Unix socket."""
    place = "ADDRESS:PORT|unix:PATH" if unix else "ADDRESS:PORT"
    socket = ", or a Unix socket" if unix else ""
    options = [
        click.option(
            "--listen",
            metavar=place,
            default=default,
            show_default=True,
            help=f"Address and port to listen on{socket};"
            " with port 0, take a free port and print it.",
        ),
        click.option(
            "--tls-certificate", metavar="FILE", help="PEM file with the certificate chain."
        ),
        click.option("--tls-key", metavar="FILE", help="PEM file with the key of the certificate."),
        click.option(
            "--behind-proxy",
            is_flag=True,
            help="Behind a TLS proxy: allow plain HTTP from other machines.",
        ),
    ]

    def add(command: Command) -> Command:
        for one in reversed(options):
            command = one(command)
        return command

    return add


def parsed_listen(listen: str, *, unix: bool = False) -> dict[str, Any]:
    """Return the value of ``--listen`` as attributes of ``service.server.Listening``.

    Raises:
        click.UsageError: the value of ``--listen`` is no address.
    """
    if unix and listen.startswith("unix:/"):
        return {"path": listen.removeprefix("unix:")}
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        socket = " or unix:/run/hashscan-notices/socket" if unix else ""
        raise click.UsageError(f"--listen: write ADDRESS:PORT, e.g. 127.0.0.1:8080{socket}")
    return {"host": host.strip("[]"), "port": int(port)}
