"""The base class of all sections of the configuration, and a marker for settings."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Starter:
    """Marks a setting that the example file writes out instead of commenting it out."""


class Section(BaseModel):
    """A frozen section of the settings: unknown keys are errors, and errors quote no value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
    )
