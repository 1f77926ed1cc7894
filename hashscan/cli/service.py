"""``hashscan service``: runs the reference central service, for pilots, demos and tests."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import Number, ask_password, only_category_option, warn_of_lists
from hashscan.cli.http_options import listening_options, parsed_listen
from hashscan.errors import UsageError
from hashscan.service import require_extra
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.service.data import Data


data_option = click.option(
    "--data", metavar="DIR", required=True, help="The service's directory: lists, users, audit."
)


@click.group("service")
def command() -> None:
    """Run the reference central service, for pilots and tests."""


@command.command("run")
@data_option
@listening_options("127.0.0.1:8080", unix=False)
@click.option(
    "--repository",
    metavar="DIR",
    help="Serve this signed repository too, at /repository/.",
)
@click.option(
    "--private-repository", is_flag=True, help="Serve the repository to the service's users only."
)
@click.option(
    "--rate",
    metavar="N",
    type=Number(0.01, 1e6),
    default=2000.0,
    show_default=True,
    help="Largest number of questions a second of one user; further questions get 429 and"
    " Retry-After.",
)
@click.option(
    "--audit-days",
    metavar="N",
    type=Number(0.01),
    help="Remove questions older than N days from the audit.  [default: nothing is removed]",
)
def run_command(
    data: str,
    listen: str,
    tls_certificate: str | None,
    tls_key: str | None,
    behind_proxy: bool,
    repository: str | None,
    private_repository: bool,
    rate: float,
    audit_days: float | None,
) -> None:
    """Answer whether digests are known, as the HashCheckService does.

    A client sends POST /v1/check/{md5,sha1,sha256} with Basic authentication and one hex digest as
    body; the answer is 'true' or 'false'. The test twin /v1/test/check/… answers from the list that
    'service load --test' loaded. SIGTERM ends the service.
    """
    require_extra("the service")
    from hashscan.service.serve import ServeOptions, serve  # noqa: PLC0415 - an extra

    options = ServeOptions(
        **parsed_listen(listen),
        certificate=tls_certificate,
        key=tls_key,
        behind_proxy=behind_proxy,
        repository=repository,
        private_repository=private_repository,
        rate=rate,
        audit_days=audit_days,
    )
    serve(_service_data(data), options, _print_message)


@command.command("load")
@click.argument("inputs", nargs=-1, required=True, metavar="LIST...")
@data_option
@click.option(
    "--test",
    is_flag=True,
    help="Load the lists for the test twin, and leave the known set unchanged.",
)
@click.option("--skip-invalid", is_flag=True, help="Leave invalid lines out, and count them.")
@only_category_option
def load_command(
    inputs: tuple[str, ...],
    data: str,
    test: bool,
    skip_invalid: bool,
    only_categories: tuple[str, ...],
) -> None:
    """Replace the known set with the digest lists LIST.

    A running service uses the new set within two seconds; until then the service answers from the
    old set. 'hashscan filter build --help' describes the kinds of lists.
    """
    from hashscan.output.bar import build_bar  # noqa: PLC0415
    from hashscan.service.data import load_set  # noqa: PLC0415

    warn_of_lists(inputs)
    with build_bar(sys.stderr) as on_progress:
        digests = load_set(
            _service_data(data),
            "test" if test else "known",
            inputs,
            skip_invalid=skip_invalid,
            only_categories=only_categories,
            on_progress=on_progress,
        )
    click.echo(f"{shown(data)}: {digests:,} digests are the {'test' if test else 'known'} set now")


@command.group("user")
def user_group() -> None:
    """Add, remove and list the users of the service."""


@user_group.command("add")
@click.argument("name", metavar="NAME")
@data_option
@click.option(
    "--password-file", metavar="FILE", help="Read the password from FILE ('-' is standard input)."
)
@click.option("--generate", is_flag=True, help="Make a password, and print it once.")
def add_command(name: str, data: str, password_file: str | None, generate: bool) -> None:
    """Add a user of the service, or give a user a new password.

    Without an option, the command asks for the password. Only a salted hash of the password is
    stored. A running service accepts the password within a second.
    """
    from hashscan.service.users import add_user  # noqa: PLC0415

    if generate and password_file:
        raise click.UsageError("--generate and --password-file exclude each other")
    if generate:
        password = secrets.token_urlsafe(18)
    elif password_file:
        password = _read_password(password_file)
    else:
        password = ask_password(
            f"password of {shown(name)}",
            "give it with --password-file FILE ('-' is standard input), or let hashscan make one"
            " with --generate",
            confirm=True,
        )
    add_user(_service_data(data), name, password)
    if generate:
        click.echo(password)


@user_group.command("remove")
@click.argument("name", metavar="NAME")
@data_option
def remove_command(name: str, data: str) -> None:
    """Remove a user; a running service refuses the user's questions within a second."""
    from hashscan.service.users import USERS  # noqa: PLC0415

    USERS.remove(_service_data(data), name)


@user_group.command("list")
@data_option
def list_command(data: str) -> None:
    """List the names of the users."""
    from hashscan.service.users import USERS  # noqa: PLC0415

    users = USERS.read(_service_data(data))
    for name in sorted(users):
        click.echo(name)
    if not users:
        click.echo("there are no users; 'hashscan service user add NAME' makes one", err=True)


def _service_data(directory: str) -> Data:
    from hashscan.service.data import Data  # noqa: PLC0415

    return Data(directory)


def _read_password(path: str) -> str:
    from hashscan.config.password import password_in  # noqa: PLC0415 - heavy

    try:
        with click.open_file(path, "rb") as file:
            return password_in(file.read(4097), path)
    except OSError as error:
        raise UsageError(
            f"{shown(path)}: the password cannot be read: {error.strerror}; name a file that holds "
            "it, or '-' for standard input"
        ) from error
    except ValueError as error:
        raise UsageError(f"{error}; write the password into it, and nothing else") from error


def _print_message(message: str) -> None:
    click.echo(f"hashscan: {message}", err=True)
