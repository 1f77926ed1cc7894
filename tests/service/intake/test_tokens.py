"""Tokens are stored as hashes, and wrong ones are limited."""

import os

import pytest
from sent_reports import REPORT

from hashscan.service.intake.serve import data_of
from hashscan.service.intake.tokens import TOKENS, Token, TokenSenders, _hashed
from hashscan.service.limits import Limiter
from hashscan.service.passwords import TooManyError


def test_only_a_hash_is_stored(intake):
    intake.post(REPORT)
    for directory, _, names in os.walk(intake.state.directory):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                assert intake.token.encode() not in file.read()
    data = data_of(intake.state)
    assert TOKENS.read(data)["hotline"].sha256 == _hashed(intake.token)
    assert os.stat(data.path("tokens.json")).st_mode & 0o777 == 0o600


def test_wrong_tokens_of_an_address_are_limited():
    now = [0.0]
    senders = TokenSenders(Limiter(1 / 20, 5, clock=lambda: now[0]))
    senders.take({"a": Token(_hashed("right"), 0.0), "b": Token(_hashed("other"), 0.0)})
    assert [senders.name_of("x" * 300, "192.0.2.1") for _ in range(5)] == [None] * 5
    with pytest.raises(TooManyError):
        senders.name_of("wrong", "192.0.2.1")
    # a sender whose first report comes through the proxy of a flood
    assert senders.name_of("right", "192.0.2.1") == "a"
    assert senders.name_of("other", "192.0.2.1") == "b"
    assert senders.name_of("wrong", "192.0.2.2") is None
    now[0] = 21.0
    assert senders.name_of("wrong", "192.0.2.1") is None
    with pytest.raises(TooManyError):
        senders.name_of("wrong", "192.0.2.1")
    assert senders.wrong == 9


# -- half requests, and requests with two ends ------------------------------------------------------
