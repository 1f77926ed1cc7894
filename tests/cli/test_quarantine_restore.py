"""``hashscan quarantine restore``: what its command line selects, and what it refuses."""

import pytest
from click.testing import CliRunner

from hashscan.cli.quarantine_restore import hex_digest, restore_command, to_digest
from hashscan.errors import UsageError
from hashscan.model import Digest


@pytest.fixture
def run(tmp_path):
    """The command with a state directory that is missing; a refusal does not make it."""

    class Context:
        config_path = str(tmp_path / "config.yaml")
        verbosity = 0

    (tmp_path / "config.yaml").write_text("quarantine: {action: report}\n")

    def call(*words):
        state = tmp_path / "state"
        done = CliRunner().invoke(restore_command, [*words, "--state", str(state)], obj=Context())
        assert not state.exists()
        return done

    return call


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("AB" * 16, "md5"),
        (f" sha1:{'ab' * 20}\n", "sha1"),
        (f"SHA256:{'Ab' * 32}", "sha256"),
    ],
)
def test_a_digest_with_or_without_its_algorithm(text, algorithm):
    found = to_digest(text)
    assert found == Digest(algorithm, found.hex)
    assert set(found.hex) == set("ab")
    assert hex_digest(text) == found.hex


@pytest.mark.parametrize(
    "text", ["", "a", "g" * 32, "ab" * 19, f"sha1:{'ab' * 16}", f"crc:{'ab' * 16}", "sha1:", "\x1b"]
)
def test_a_text_that_is_no_digest(text):
    with pytest.raises(UsageError, match=r"^--digest: .* is no digest; write the hex") as error:
        to_digest(text)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    "words", [("--digest", "abc"), ("--digest", f"md5:{'0' * 40}"), ("--category", "!!")]
)
def test_what_is_no_digest_or_category(run, words):
    done = run(*words)
    assert isinstance(done.exception, UsageError)
    assert words[0] in str(done.exception)


@pytest.mark.parametrize("words", [(), ("x", "--all"), ("x", "--owner", "root")])
def test_ids_and_a_selection_exclude_each_other(run, words):
    done = run(*words)
    assert isinstance(done.exception, UsageError)
    assert "either by IDs, or by --all" in str(done.exception)


def test_an_empty_quarantine_has_nothing_to_restore(run):
    done = run("--all")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == "there is nothing to restore, the quarantine is empty"
