"""What validators of the configuration get and refuse."""

import pytest

from hashscan.config import values
from hashscan.config.loader import validate
from hashscan.config.yaml_lines import Document
from hashscan.errors import ConfigError


def findings(**sections):
    with pytest.raises(ConfigError) as caught:
        validate(Document(sections), path="c.yaml", check_files=False)
    return {one.where: (one.what, one.fix) for one in caught.value.findings}


class Checks:
    """What a validator of pydantic gets beside the value."""

    def __init__(self, *, files):
        self.context = {values.CHECK_FILES: files}
