"""Makes the password, configuration and directory names of the demo, beside its volume."""

from __future__ import annotations

import json
import os
import secrets

CONFIGURATION = "config.yaml"
REPOSITORY, KEYS, SERVICE, PASSWORD = "repository", "keys", "service", "password"
USER = "demo"


def write_password(directory: str) -> None:
    """Write the password that the agent sends to the demo's service."""
    path = os.path.join(directory, PASSWORD)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(18) + "\n")


def write_configuration(directory: str, volume: str, url: str) -> None:
    """Write the agent's configuration. ``url`` is the address of the service."""

    def below(*names: str) -> str:
        return json.dumps(os.path.join(directory, *names))  # YAML reads the JSON text correctly.

    lines = [
        f"state: {below('state')}",
        "volumes:",
        f"  - path: {json.dumps(volume)}",
        "service:",
        "  kind: hashcheckservice",
        f"  url: {url}",
        f"  username: {USER}",
        f"  password_file: {below(PASSWORD)}",
        "filter:",
        f"  source: {url}/repository/",
        f"  root: {below(REPOSITORY, 'metadata', '1.root.json')}",
        "quarantine:",
        "  action: report",
    ]
    with open(os.path.join(directory, CONFIGURATION), "x", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
