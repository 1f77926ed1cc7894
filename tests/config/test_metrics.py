"""``metrics`` in the configuration: what is taken or refused."""

import os
import re

import pytest
from pydantic import ValidationError

from hashscan.config.metrics import MetricsSettings
from hashscan.config.settings import Settings
from hashscan.config.values import CHECK_FILES


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"listen": "192.0.2.1:9464"}, "must be an address of this machine"),
        ({"listen": "localhost.example:9464"}, "address"),
        ({"textfile": "/x/hashscan.txt"}, "must end in .prom"),
        ({"textfile": "hashscan.prom"}, "not a full path"),
        ({"token_file": "token"}, "not a full path"),
        ({"interval": "1m"}, "interval"),
    ],
)
def test_a_value_that_is_refused(given, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        Settings.of(metrics=given)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("listen", "127.0.0.1:9464", "127.0.0.1:9464"),
        ("listen", "[::1]:9464", "[::1]:9464"),
        ("listen", "none", None),
        ("textfile", "/x/h.prom", "/x/h.prom"),
        ("textfile", "none", None),
        ("token_file", "none", None),
    ],
)
def test_a_value_that_is_taken(name, given, taken):
    assert getattr(Settings.of(metrics={name: given}).metrics, name) == taken


def test_what_the_section_is_without_values():
    metrics = Settings.of().metrics
    assert (metrics.listen, metrics.token_file, metrics.textfile) == (None, None, None)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "no such file"),
        ("sesame\n", 0o644, "may be used by others (mode 0644)"),
        ("", 0o600, "empty"),
    ],
)
def test_the_file_of_the_token_is_checked(content, mode, words, tmp_path):
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
        os.chmod(path, mode)
    given = {"token_file": str(path)}
    with pytest.raises(ValidationError) as error:
        MetricsSettings.model_validate(given, context={CHECK_FILES: True})
    assert words in str(error.value).lower()
    unchecked = MetricsSettings.model_validate(given, context={CHECK_FILES: False})
    assert unchecked.token_file == str(path)
