"""Runs the demo's story: the steps of the job in order, each explained and its result compared."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import IO, TYPE_CHECKING, Any

from hashscan import interpreter
from hashscan.demo.sample import FILES, LISTS, VOLUME, WITHDRAWN, Sample, make
from hashscan.demo.stage import Stage, cut, full
from hashscan.demo.surroundings import (
    CONFIGURATION,
    KEYS,
    PASSWORD,
    REPOSITORY,
    SERVICE,
    USER,
    write_configuration,
    write_password,
)
from hashscan.demo.tree import look
from hashscan.demo.workplace import terminating, workplace
from hashscan.errors import ExitCode
from hashscan.service.serve import running
from hashscan.text import human_size, shown

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(
    directory: str | None,
    out: IO[str],
    *,
    keep: bool = False,
    files: int = FILES,
    command: Sequence[str] | None = None,
) -> None:
    """Run the demo in a new directory.

    Args:
        directory: parent of the demo's directory; by default the system's directory for temporary
            files.
        out: stream for the narration.
        keep: whether to keep the sample volume and the state directory, and print their path.
        files: number of library files to copy.
        command: command line that starts hashscan; by default the running program.

    Raises:
        DemoError: a command did not give the result that the demo expects.
        UsageError: the demo's directory cannot be made in ``directory``.
        InterruptError: the process received SIGTERM.
    """
    with terminating(), workplace(directory, out, keep=keep) as place:
        Story(place, out, command or interpreter.command()).tell(files)


class Story(Stage):
    """Runs the demo's story once, with its steps in order."""

    def tell(self, files: int) -> None:
        """Run all steps of the story.

        Raises:
            DemoError: a command's result was not as expected.
        """
        started = time.monotonic()
        sample = self._make(files)
        self._publish()
        self._prepare_service()
        data, arguments = self._path(SERVICE), ("--repository", self._path(REPOSITORY))
        with running(data, arguments, self._command) as url:
            self._configure(sample, url)
            self._sync()
            self._check(sample)
            self._report(sample)
            self._again(sample)
            ids = self._quarantine(sample)
            self._inspect(sample, ids)
            self._restore(sample, ids)
            self._hold(sample)
            self._withdraw(sample)
        self._end(time.monotonic() - started)

    def _path(self, *names: str) -> str:
        return os.path.join(self._place, *names)

    def _make(self, files: int) -> Sample:
        self._title("A sample volume")
        sample = make(self._place, files)
        size = sum(one.size for one in sample.seen.values())
        self._say(
            f"{shown(sample.volume)} now holds {len(sample.seen):,} files ({human_size(size)}): "
            "ordinary files of Python's own library, copied, and these, which hold random bytes "
            "and which the demo declares to be known:"
        )
        for path, why in sample.places:
            self._write(f"    {cut(shown(path), 39):<39}  {why}")
        self._say(
            f"One more known file is an ordinary one: {shown(sample.ordinary)}. Nothing here "
            "comes from a real list. There are traps too, which must not be found: an empty "
            "file, a file that differs from a known one by a single bit, a link out of the volume "
            "and a pipe that nobody ever writes to."
        )
        for one in sample.left_out:
            self._say(f"This file system does not take, so left out: {one}.")
        return sample

    def _publish(self) -> None:
        self._title("The publisher: a signed filter as static files")
        self._say(
            "The police or a hotline has the lists. From them it makes a Bloom filter: a file that "
            "says 'certainly not known' for nearly every digest, so that nearly no digest ever has "
            "to leave a server, and from which no list can be read. Keys first; agents will "
            "believe what these sign, and nothing else:"
        )
        self.run("repository", "init", REPOSITORY, "--keys", KEYS)
        self._say(
            "One of the lists holds the digest of empty content, which would condemn every empty "
            "file, and another names an innocent file, in the category of such files; both are "
            "left out. A third one holds a digest that will be withdrawn later:"
        )
        output = self._add(*LISTS, WITHDRAWN)
        self._expect_line(output, "whole file")

    def _add(self, *names: str) -> str:
        lists = [os.path.join("lists", name) for name in names]
        arguments = ("--keys", KEYS, "--category", "baseline")
        return self.run("repository", "add", REPOSITORY, *lists, *arguments)

    def _prepare_service(self) -> None:
        self._title("The central service")
        self._say(
            "It keeps the lists and answers one question: is this digest known? It has a user for "
            "each provider. (The digest that will be withdrawn is not in it any more.)"
        )
        write_password(self._place)
        lists = [os.path.join("lists", name) for name in LISTS]
        output = self.run("service", "load", "--data", SERVICE, *lists)
        self._expect_line(output, "digests are the known set now")
        arguments = ("--password-file", PASSWORD, USER)
        self.run("service", "user", "add", "--data", SERVICE, *arguments)

    def _configure(self, sample: Sample, url: str) -> None:
        self._title("The agent's configuration")
        write_configuration(self._place, sample.volume, url)
        self._say(
            f"The service runs at {url} now, on this machine only, and serves the signed files "
            "too. The configuration names the volume, the service, the repository with its pinned "
            "root key, and what to do about a match: only report, for now."
        )
        output = self.run("--config", CONFIGURATION, "config", "check")
        self._expect_line(output, "no errors")

    def _sync(self) -> None:
        self._title("Fetch the filter")
        self._say("Nothing of it is used before its signatures and its content are checked:")
        output = self.run("--config", CONFIGURATION, "sync")
        self._expect_line(output, "fetched whole")
        self._say("One screen says how it is, and what somebody has to see to: a first scan.")
        output = self.run("--config", CONFIGURATION, "status", code=ExitCode.UNREADABLE)
        self._expect_line(output, "nothing has been scanned")

    def _check(self, sample: Sample) -> None:
        self._title("Is this file known?")
        self._say("'check' answers for one file or digest and moves nothing. A known one:")
        for path, word, code in (
            (sample.ordinary, "KNOWN", ExitCode.MATCHES),
            (sample.innocent, "unknown", ExitCode.NOTHING_FOUND),
            (min(sample.false), "unknown", ExitCode.NOTHING_FOUND),
        ):
            if path == sample.innocent:
                self._say("The innocent one that a list names as such:")
            elif path in sample.false:
                self._say(
                    "And the one whose digest only the filter holds: so it is a candidate, the "
                    "service is asked, does not know it, and it is left alone:"
                )
            output = self.run(
                "--config", CONFIGURATION, "check", f"{VOLUME}/{os.fsdecode(path)}", code=code
            )
            self._expect_line(output, f"{word} {VOLUME}/{shown(path)}")

    def _report(self, sample: Sample) -> None:
        self._title("The first scan: only a report")
        self._say("Always the first thing to do on a server. Every file is read once, none moved:")
        output = self.run("--config", CONFIGURATION, "scan", code=ExitCode.MATCHES)
        self._expect_matches(output, sample, "reported")
        skipped = sum(1 for one in sample.seen.values() if not stat.S_ISREG(one.mode))
        self._expect_line(output, f"Scanned {len(sample.seen):,} files in ")
        self._expect_line(output, f" {len(sample.seen) - skipped:,} hashed (")
        self._expect_line(output, " 0 problems.")
        self._expect_line(output, f"{len(sample.false):,} false positives, 0 pending")
        self._expect("nothing has changed in the volume", sample.seen, look(sample.volume))
        self._say(
            f"All {len(sample.known)} known files were found, and nothing else. Every file has "
            "exactly one outcome (hashed, unchanged, skipped for a reason, or a problem), and "
            "names are shown so that none can forge a line or hide its ending."
        )

    def _again(self, sample: Sample) -> None:
        self._title("The second scan: what did not change is not read again")
        self._say("The same, as JSON lines for your own scripts:")
        output = self.run(
            "--config", CONFIGURATION, "scan", "--json", code=ExitCode.MATCHES, first=1, last=1
        )
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        paths = [os.fsencode(one["path"]) for one in events if one["event"] == "match"]
        self._expect("all matches are in the JSON lines", full(sample, sample.known), sorted(paths))
        summary = events[-1] if events else {}
        self._expect("no file was read again", 0, summary.get("bytes_hashed"))
        self._expect("the outcomes add up", len(sample.seen), _outcomes(summary))
        self._say("No byte was read again, and the matches are still reported.")

    def _quarantine(self, sample: Sample) -> list[str]:
        self._title("Now in earnest: quarantine")
        self._say(
            "Each match is moved to a directory that only the agent may enter; nothing is deleted. "
            "After the move it is hashed again, so that an innocent file which took the name in "
            "the meantime goes back."
        )
        output = self.run(
            "--config", CONFIGURATION, "scan", "--action", "quarantine", code=ExitCode.MATCHES
        )
        ids = self._expect_matches(output, sample, "quarantined")
        left = {path: one for path, one in sample.seen.items() if path not in sample.known}
        self._expect("the known files are gone and the others untouched", left, look(sample.volume))
        return ids

    def _inspect(self, sample: Sample, ids: list[str]) -> None:
        self._title("What is in quarantine")
        output = self.run("--config", CONFIGURATION, "quarantine", "list")
        listed = [line.split()[0] for line in output.splitlines() if line]
        self._expect("the list names them all", sorted(ids), sorted(listed))
        self._say("Each has a record: the evidence, and all that is needed to put it back.")
        output = self.run("--config", CONFIGURATION, "quarantine", "show", ids[0])
        self._expect_line(output, ids[0])
        self._say("Is everything whole?")
        output = self.run("--config", CONFIGURATION, "quarantine", "verify")
        self._expect_line(output, f"{len(sample.known)} contents checked, 0 problems")

    def _restore(self, sample: Sample, ids: list[str]) -> None:
        self._title("Undo")
        self._say(
            "Lists can be wrong: in 2021 one flagged pictures that come with WordPress. So every "
            "action can be undone, in one command, and nothing is overwritten by it:"
        )
        output = self.run("--config", CONFIGURATION, "quarantine", "restore", *ids)
        self._expect("each is reported", len(ids), output.count(": restored to "))
        self._expect("the volume is as it was, bit for bit", sample.seen, look(sample.volume))
        self._say(
            f"Compared with the state before: all {len(sample.seen):,} files have the same "
            "content, owner, mode, modification time and links as before."
        )

    def _hold(self, sample: Sample) -> None:
        self._title("What you restored stays")
        self._say(
            "The same files are found again, and held: your decision counts until you take it "
            "back with 'quarantine purge ID'. Only the restored files are read again:"
        )
        output = self.run(
            "--config", CONFIGURATION, "scan", "--action", "quarantine", code=ExitCode.NOTHING_FOUND
        )
        self._expect_matches(output, sample, "held")
        self._expect_line(output, f" {len(sample.known):,} hashed (")
        self._expect("nothing was moved", sample.seen, look(sample.volume))

    def _withdraw(self, sample: Sample) -> None:
        self._title("A digest is withdrawn")
        self._say(
            "The publisher makes the next version without it. Agents fetch a patch, which is a "
            "small part of the whole file, and the digest is no candidate any more:"
        )
        output = self._add(*LISTS)
        self._expect_line(output, "  patch ")
        output = self.run("--config", CONFIGURATION, "sync")
        self._expect_line(output, "updated by a patch")
        nothing = ExitCode.NOTHING_FOUND  # The brakes hold the known files here.
        output = self.run("--config", CONFIGURATION, "scan", code=nothing, first=0, last=3)
        self._expect_line(output, " 0 hashed (")
        self._expect_line(output, " 0 false positives, 0 pending")
        self._expect("nothing has changed in the volume", sample.seen, look(sample.volume))
        self._say("No file was read for that: the digests from before were asked again.")

    def _end(self, seconds: float) -> None:
        self._write("")
        self._write(f"Everything was as it must be ({seconds:.0f} s). hashscan works here.")
        self._write("")
        self._write("Where to go next:")
        for command, why in (
            ("hashscan config init", "write a configuration, then name your volumes in it"),
            ("hashscan config check", "every error at once, with line and fix"),
            ("hashscan sync", "fetch the filter, where the configuration names a repository"),
            ("hashscan scan", "the first real scan: it reports and moves nothing"),
            ("hashscan scan --action quarantine", "once the report convinces you"),
            ("hashscan COMMAND --help", "the rest; see also README.md and docs/usage.md"),
        ):
            self._write(f"  {command:<34}  {why}")


def _outcomes(summary: dict[str, Any]) -> int:
    skipped = sum(summary.get("skipped", {}).values())
    return int(
        summary.get("hashed", 0)
        + summary.get("unchanged", 0)
        + skipped
        + summary.get("problems", 0)
    )
