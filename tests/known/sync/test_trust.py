"""hashscan.known.sync.trust: TUF's errors in words for a sysadmin."""

import pytest
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
)

from hashscan.errors import Fault, RepositoryRefusedError, RepositoryUnreachableError
from hashscan.known.sync.trust import translated
from hashscan.known.sync.web_answers import FetchError

URL = "https://filters.example"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DownloadLengthMismatchError("10 > 5"), "the filter is longer than it may be (10 > 5)"),
        (ExpiredMetadataError("timestamp"), "its metadata has expired (timestamp)"),
        (LengthOrHashMismatchError("sha256"), "the filter is not what was signed (sha256)"),
        (BadVersionNumberError("1 < 2"), "the filter is not to be trusted (1 < 2)"),
        (ValueError("no JSON"), "the filter cannot be read (no JSON)"),
    ],
)
def test_what_is_not_as_signed_is_refused(error, said):
    with pytest.raises(RepositoryRefusedError) as caught, translated(URL, "the filter"):
        raise error
    assert str(caught.value).startswith(f"{URL}: {said}")


def test_what_cannot_be_fetched_is_unreachable():
    for error, said, fault in (
        (DownloadError("no route"), f"{URL}: no route", None),
        (DownloadHTTPError("404", 404), f"{URL}: the filter is not there (404)", Fault.ANSWER),
    ):
        with pytest.raises(RepositoryUnreachableError) as caught, translated(URL, "the filter"):
            raise error
        assert str(caught.value).startswith(said)
        if fault:
            assert caught.value.fault is fault


def test_why_and_until_when_a_server_refuses_stays():
    error = FetchError("busy", retry_after=60.0, fault=Fault.ANSWER)
    with pytest.raises(RepositoryUnreachableError) as caught, translated(URL, "the filter"):
        raise error
    found = caught.value
    assert (str(found), found.retry_after, found.fault) == ("busy", 60.0, Fault.ANSWER)
