"""Tools of the story: narration, real commands in their own processes, comparisons."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import textwrap
from typing import IO, TYPE_CHECKING, Any

from hashscan.demo.workplace import DemoError
from hashscan.errors import ExitCode, MachineError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.demo.sample import Sample

_WIDTH = 78
_LONGEST_LINE = 240
_PATIENCE = 300.0  # Seconds for one command: a disk may be slow, but a command that hangs must end.
_MATCH = re.compile(r"MATCH (.*): (reported|held|quarantined as (\S+)) [(\[]")
_ERROR = "hashscan: error: "


class Stage:
    """Prints the story, runs commands and compares results; each failure names the step."""

    def __init__(self, place: str, out: IO[str], command: Sequence[str]) -> None:
        """Work in ``place``, which is an empty directory.

        ``command`` is the command line that starts hashscan.
        """
        self._place = place
        self._out = out
        self._command = list(command)
        self._step = 0

    # -- narration ------------------------------------------------------------------------------

    def _write(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _title(self, text: str) -> None:
        self._step += 1
        title = f"{self._step}. {text}"
        self._write(f"\n{title}\n{'=' * len(title)}")

    def _say(self, text: str) -> None:
        self._write("")
        self._write(textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False))

    # -- commands -------------------------------------------------------------------------------

    def run(
        self,
        *arguments: str,
        code: ExitCode = ExitCode.NOTHING_FOUND,
        first: int = 1000,
        last: int = 0,
    ) -> str:
        """Run hashscan in the demo's directory, and show the command and its output.

        Args:
            arguments: arguments of the hashscan command.
            code: the expected exit code of the command.
            first: number of lines to show from the begin of the output.
            last: number of lines to show from the end of the output.

        Returns:
            all lines of the command's output.

        Raises:
            DemoError: the command ended with another exit code, or did not end in time.
            MachineError: a limit of the machine ended the command.
        """
        self._write("")
        self._write(cut(f"  $ hashscan {shlex.join(shown(one) for one in arguments)}"))
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
                [*self._command, *arguments],
                cwd=self._place,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._not(
                f"the command ended within {_PATIENCE:.0f} s", "an end", "none"
            ) from None
        except OSError as error:
            what = f"{shown(error.filename or self._command[0])}: {error.strerror}"
            raise self._not("hashscan can be started", "a new process", what) from error
        output = done.stdout.decode("utf-8", "backslashreplace")
        lines = output.splitlines()
        hidden = max(0, len(lines) - first - last)
        for line in lines[:first]:
            self._write(f"  {cut(line)}")
        if hidden:
            self._write(f"  ... {hidden} more lines, not shown here ...")
        for line in lines[len(lines) - last :] if last and hidden else lines[first:]:
            self._write(f"  {cut(line)}")
        if done.returncode == ExitCode.MATCHES:
            self._write("  (exit code 1: matches found)")
        if done.returncode == ExitCode.USAGE != code:
            # The demo's own configuration is right, so the machine is at fault.
            why = next((one for one in reversed(lines) if one.startswith(_ERROR)), "").strip()
            raise MachineError(
                f"the demo cannot go on, in step {self._step}: a command ended with exit code 2: "
                f"{why.removeprefix(_ERROR) or 'see its output above'}"
            )
        self._expect("the exit code", int(code), done.returncode)
        return output

    # -- comparisons ----------------------------------------------------------------------------

    def _expect(self, what: str, expected: Any, actual: Any) -> None:
        if expected != actual:
            raise self._not(what, *_difference(expected, actual))

    def _expect_line(self, output: str, part: str) -> None:
        if part not in output:
            raise self._not("a line of the output above", f"... {part} ...", "no such line")

    def _expect_matches(self, output: str, sample: Sample, action: str) -> list[str]:
        """Check that exactly the known files have ``action``; return their ids in quarantine."""
        found = [found for line in output.splitlines() if (found := _MATCH.match(line))]
        self._expect(
            "exactly the known files are found",
            sorted(shown(path) for path in full(sample, sample.known)),
            sorted(one[1] for one in found),
        )
        actions = sorted({one[2].partition(" ")[0] for one in found})
        self._expect("what was done about them", [action], actions)
        return [one[3] for one in found if one[3]]

    def _not(self, what: str, expected: str, actual: str) -> DemoError:
        return DemoError(
            f"the demo did not go as it must, in step {self._step}: {what}\n"
            f"  expected: {expected}\n"
            f"  actual:   {actual}\n"
            "Do not rely on hashscan on this machine until that is cleared up: run "
            "`hashscan demo --keep` to look at it, and report it with all of the output"
        )


def full(sample: Sample, paths: Iterable[bytes]) -> list[bytes]:
    """Return the absolute paths of names in the sample volume, in order."""
    return sorted(os.fsencode(sample.volume) + b"/" + path for path in paths)


def cut(line: str, longest: int = _LONGEST_LINE) -> str:
    """Shorten a line for the screen; the short line says how many characters are missing."""
    if len(line) <= longest:
        return line
    # Parts of a name may be removed, so that a name of 4,500 bytes does not fill the screen.
    head = longest // 2
    tail = longest // 5
    return f"{line[:head]}...({len(line) - head - tail} left out)...{line[-tail:]}"


def _difference(expected: Any, actual: Any) -> tuple[str, str]:
    """Return two different values as text; of collections, return only the elements that differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        keys = sorted(key for key in {*expected, *actual} if expected.get(key) != actual.get(key))[
            :3
        ]
        return _several(expected, keys), _several(actual, keys)
    if isinstance(expected, list) and isinstance(actual, list):
        missing = [one for one in expected if one not in actual]
        more = [one for one in actual if one not in expected]
        return (
            f"{len(expected)}, among them {missing[:3]}",
            f"{len(actual)}, among them {more[:3]}",
        )
    return str(expected), str(actual)


def _several(values: dict[Any, Any], keys: list[Any]) -> str:
    return "; ".join(f"{shown(key)[-200:]}: {values.get(key, 'missing')}" for key in keys)
