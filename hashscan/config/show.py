"""Writes the settings in a form for people and in a form for programs, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from hashscan.config.settings import Settings


def to_yaml(settings: Settings) -> str:
    """Write all settings, defaults included, as YAML that ``loader.load`` can read."""
    data: dict[str, Any] = settings.model_dump(mode="json")
    data["quarantine"]["directory"] = settings.quarantine_directory
    return yaml.safe_dump(
        {key: value for key, value in data.items() if value is not None},
        sort_keys=False,
        allow_unicode=False,
        width=1000,
    )


def to_plain(settings: Settings) -> dict[str, Any]:
    """All settings as plain data for a program: seconds, bytes, shares from 0 to 1, ``None``."""
    data: dict[str, Any] = settings.model_dump(mode="python")
    data["quarantine"]["directory"] = settings.quarantine_directory
    return data
