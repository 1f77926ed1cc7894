"""Exit codes, and the parts of messages."""

import pytest

from hashscan import errors
from hashscan.errors import (
    ConfigError,
    CredentialsError,
    ExitCode,
    Fault,
    Finding,
    OutputError,
    RepositoryUnreachableError,
    ServiceRefusedError,
    exit_code_of,
)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        (set(), 0),
        ({0}, 0),
        ({0, 3}, 3),
        ({3, 6}, 6),
        ({1, 3, 6}, 1),
        ({1, 70}, 70),
        ({0, 1, 3, 6, 70, 130}, 130),
        ({5}, 5),
        ({0, 3, 6, 1}, 1),
    ],
)
def test_the_most_important_exit_code(codes, code):
    assert exit_code_of({ExitCode(one) for one in codes}) == code


def test_no_error_means_that_nothing_was_found():
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    kinds = [one for one in kinds if issubclass(one, errors.HashscanError)]
    assert len(kinds) > 20
    assert all(one.exit_code not in {ExitCode.NOTHING_FOUND, ExitCode.MATCHES} for one in kinds)


def test_findings_are_one_error_with_a_line_each():
    findings = [Finding("f:1: a", "is missing", "add it"), Finding("f:2", "is wrong")]
    error = ConfigError("f: 2 errors", findings)
    assert str(error) == "f: 2 errors\n  f:1: a: is missing; add it\n  f:2: is wrong"
    assert (error.findings, error.exit_code) == (findings, ExitCode.USAGE)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (RepositoryUnreachableError, Fault.UNREACHABLE),
        (ServiceRefusedError, Fault.ANSWER),
        (CredentialsError, Fault.CREDENTIALS),
    ],
)
def test_a_fault_of_another_machine(kind, fault):
    error = kind("x", retry_after=2.0)
    assert (str(error), error.fault, error.retry_after) == ("x", fault, 2.0)
    assert kind("x", fault=Fault.BUSY).fault is Fault.BUSY
    assert error.exit_code == ExitCode.SERVICE


def test_each_fault_is_the_end_of_a_sentence():
    assert [one.words.split()[0] for one in Fault] == ["cannot", "refuses", "is", "gives"]
    assert Fault.CREDENTIALS.words == CredentialsError.SAYS


def test_a_lost_output_names_what_was_done_meanwhile():
    assert str(OutputError("it is closed", "a was moved")) == "it is closed; a was moved"
    assert str(OutputError("it is closed")) == OutputError("it is closed").why == "it is closed"
