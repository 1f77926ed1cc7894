"""The settings for metrics: numbers about hashscan that Prometheus collects."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from hashscan.config import values
from hashscan.config.password import fault_of
from hashscan.config.section import Section
from hashscan.hosts import is_loopback

_SUFFIX = ".prom"


def _listen(value: object) -> str:
    found = values.listen(value)
    host = found.rpartition(":")[0]
    if not is_loopback(host):
        raise values.bad(
            "must be an address of this machine: the numbers travel in the clear, and tell"
            " strangers which files are known",
            "write e.g. 127.0.0.1:9464, and put a web server with TLS and a password before it, or"
            " use metrics.textfile with node_exporter",
        )
    return found


def prom_file(value: object) -> str:
    """Check the path of the file that node_exporter's textfile collector reads."""
    found = values.absolute_path(value)
    if not found.endswith(_SUFFIX):
        raise values.bad(
            f"must end in {_SUFFIX}: node_exporter reads no other files",
            "write e.g. /var/lib/prometheus/node-exporter/hashscan.prom",
        )
    return found


def _token(path: str | None, info: ValidationInfo) -> str | None:
    if path is not None and values.checks_files(info) and (fault := fault_of(path, "token")):
        raise values.bad(*fault)
    return path


class MetricsSettings(Section):
    """The settings for metrics for Prometheus; docs/metrics.md explains them."""

    listen: Annotated[
        str | None, PlainValidator(values.or_none(_listen)), values.shower(values.none_shown(str))
    ] = Field(
        default=None,
        description="The address of this machine and the port at which the daemon serves the"
        " metrics, e.g. 127.0.0.1:9464, or none.",
    )
    token_file: Annotated[
        str | None,
        PlainValidator(values.or_none(values.absolute_path)),
        AfterValidator(_token),
        values.shower(values.none_shown(str)),
    ] = Field(
        default=None,
        description="A file with a token that a client of `listen` must send (Authorization:"
        " Bearer), readable by its owner only, or none. Without a token, every user of this"
        " machine can read the metrics.",
        examples=["/etc/hashscan/metrics-token"],
    )
    textfile: Annotated[
        str | None, PlainValidator(values.or_none(prom_file)), values.shower(values.none_shown(str))
    ] = Field(
        default=None,
        description="A file for node_exporter's textfile collector, e.g."
        " /var/lib/prometheus/node-exporter/hashscan.prom, or none. The daemon writes it each"
        " minute, and `hashscan scan` at its end if no daemon runs.",
    )
