"""The walk of docs/notices.md, from the first mail to the report, as a new user types it."""

import re
import shlex
import subprocess
from pathlib import Path

import ready

PAGE = (Path(__file__).parents[1] / "docs" / "notices.md").read_text()
TITLE = "## In ten minutes: from the first mail to the report\n"
#: The daemon and the intake over HTTP have tests of their own; a fixed port is not for a test.
LEFT_OUT = ("hashscan ", "token=", "curl ", "sleep ", "kill ", "cd && rm ")


def walk():
    """The commands, each with its whole heredoc."""
    (section,) = re.findall(rf"^{TITLE}(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    return re.findall(r"(?:.*<<END\n(?:.*\n)*?END|(?:.*\\\n)*.*)\n", script)


def test_from_the_first_mail_to_the_report(tmp_path):
    place = tmp_path / "try"
    identifier, printed = "", {}

    def run(words):
        done = ready.in_words(
            ready.hashscan(
                "--config", place / "config.yaml", *words, cwd=place, env={"HOME": str(tmp_path)}
            )
        )
        printed[" ".join(words)] = done
        return done.stdout

    for line in walk():
        # kill %1 in a script ends only the shell of a function, and the program goes on.
        assert not (line.startswith("h ") and line.endswith("&\n")), line
        if line.startswith("id="):
            assert line == "id=$(h notice list --all | cut -c 1-17)\n"
            identifier = run(["notice", "list", "--all"])[:17]
        elif line.startswith("h "):
            run(shlex.split(line.replace("$id", identifier))[1:])
        elif not line.startswith(LEFT_OUT):
            where = place if place.exists() else tmp_path
            subprocess.run(["bash", "-c", line], check=True, cwd=where, env={"HOME": str(tmp_path)})
    failed = {name: done for name, done in printed.items() if done.returncode}
    assert failed.pop("report xarf").returncode == 3
    # Without the daemon, status says that nobody takes the mails.
    assert failed.pop("status").returncode == 3
    assert not failed
    assert "1 not-here, 1 removed" in printed["notice add mail.eml"].stdout
    assert "1 removed" in printed[f"notice show {identifier}"].stdout
    assert "copy.jpg: copy; quarantined as" in printed[f"notice show {identifier}"].stdout
    assert printed["quarantine list"].stdout.count("  noticed  ") == 2
    assert "Article 17" in printed[f"notice answer {identifier} --kind statement"].stdout
    assert (place / "decision.eml").read_text().startswith("From: Host BV <abuse@host.example>")
    assert re.search(r"items removed +1\n", printed["report --since 1d"].stdout)
    assert (place / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert printed["report --since 1d --intake-log"].stdout.count("\n") == 3
    assert sorted(one.name for one in (place / "www/shop.example").iterdir()) == [
        "1.jpg", "2.jpg", "copy.jpg",
    ]  # fmt: skip
    # The mail of the mailbox is the hotline's second notice of the same URLs.
    run(["notice", "add", "mail/new/1.host"])
    assert f", repeats {identifier}" in printed["notice add mail/new/1.host"].stdout
