"""A report of any input, its URLs, and the reason for a refusal."""

from datetime import UTC, datetime

import pytest

from hashscan.errors import ExitCode, NoticeError
from hashscan.notices import intake

ONE, TWO, THREE = (f"https://img.example/a/{number}.jpg" for number in (1, 2, 3))


TEN = datetime(2025, 1, 2, 10, tzinfo=UTC).timestamp()


HOUR = 3600.0


def understood(content, format=None):  # noqa: A002
    """The notice of an input, and what is kept of it."""
    return intake.read(content if isinstance(content, bytes) else content.encode(), format=format)


def read(content, format=None):  # noqa: A002
    return understood(content, format).notice


def urls(notice):
    return [one.value for one in notice.items]


def values(content, format=None):  # noqa: A002
    """The values of the items of an input."""
    return urls(read(content, format))


def refusal(content, format=None):  # noqa: A002
    with pytest.raises(NoticeError) as caught:
        read(content, format)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)
