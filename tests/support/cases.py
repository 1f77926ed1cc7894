"""Run each script of a directory, and list those that find a fault of hashscan.

A script tries one thing with the command in ``$HS``. Exit code 0: hashscan is right; 77: it cannot
be tried here; anything else, or a time-out: hashscan is wrong. The script's last line says why.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

WORDS = {0: "right", 77: "cannot be tried"}


def run(script, command, seconds):
    """Return the word for a script's result, and its last line."""
    process = subprocess.Popen(
        ["bash", script], env={**os.environ, "HS": command}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, cwd="/",
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return "wrong", f"no end within {seconds:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the script left running
        process.kill()
        process.wait()
        process.stdout.close()
    lines = out.decode(errors="backslashreplace").strip().splitlines()
    return WORDS.get(process.returncode, "wrong"), lines[-1].strip() if lines else ""


def main():
    """Run the scripts, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description="Run reproducers of faults.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--command", required=True, help="path of hashscan")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds for each script")
    parser.add_argument("--only", default="", help="scripts whose name contains this")
    options = parser.parse_args()
    scripts = sorted(p for p in options.directory.glob("*.sh") if options.only in p.name)
    if not scripts:
        print(f"{options.directory}: no script *.sh is there; see CASES=DIR", file=sys.stderr)
        return 2
    counts = dict.fromkeys(("right", "wrong", "cannot be tried"), 0)
    width = max(len(script.stem) for script in scripts)
    for script in scripts:
        word, why = run(script.absolute(), os.path.abspath(options.command), options.timeout)
        counts[word] += 1
        reason = "" if word == "right" else why
        print(f"{script.stem:<{width}}  {word:<15}  {reason}".rstrip(), flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
