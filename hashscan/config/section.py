"""What every section of the configuration is, and the marks that a setting may have."""
# No "from __future__ import annotations": pydantic needs the types at run time.

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Starter:
    """Marks a setting that is written out, not commented out, in the example."""


class Section(BaseModel):
    """Frozen and strict; unknown keys are errors, and no value is shown in an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
    )
