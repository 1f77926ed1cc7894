"""A provider's machine under a clock that the test sets: all its processes, and what people do.

The reference service, the daemon, the intake over HTTP and each command are real processes of
hashscan. The clock on the wall is theirs only: a preloaded library shifts it. What the daemon does
every so many seconds by the clock that never jumps comes more often here (``_VALUES``).
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import ready
import requests
from examples import LONG
from running_daemon import Daemon
from service_of_lists import PASSWORD, LateService
from shifted_clock import ShiftedClock
from web_farm import status_of

from hashscan.notices.reader import open_existing

_VALUES = {
    "hashscan.daemon.notice_rounds._OPEN": 2.0, "hashscan.daemon.notice_rounds._SETTLED": 2.0, "hashscan.daemon.notice_rounds._MORE": 0.05,
    "hashscan.daemon.notice_rounds._CHECK": 0.2, "hashscan.daemon.notice_intake._MAILS_EVERY": 0.5,
    "hashscan.daemon.daemon._FACTS_AFTER": 0.2, "hashscan.daemon.session._IDLE": 0.2,
}  # fmt: skip
REPORTS = "/api/v1/reports"


class Provider:
    """Everything runs from ``start`` to the end of ``stack``."""

    def __init__(self, top, farm, scenario, stack, *, schedule):
        self.farm, self.scenario, self._stack = farm, scenario, stack
        self.clock = ShiftedClock(top)
        self.now = 0.0
        self.box = top / "Maildir"
        for name in ("new", "cur", "tmp"):
            (self.box / name).mkdir(parents=True)
        self._known = list(scenario.known)
        self.service = LateService(top, self._known)
        # fanotify also reports each change that the tests beside this one make in the file system.
        self.daemon = Daemon(
            top,
            watch="auto" if LONG else "inotify",
            service=self.service.section.replace("refresh: 1s", "refresh: 1h, max_age: 90d"),
            extra=f"{farm.section}notices: {{action: quarantine, maildir: {self.box},"
            " senders: [hotline.example], verified_by: mx.host.example}\n"
            f"scan: {{pause_above_io_pressure: none, jobs: 1, schedule: {schedule}}}",
        )
        self.daemon.values = _VALUES
        self.notices = str(self.daemon.state / "notices.sqlite3")
        self.ids, self._numbers, self._tokens = {}, {}, {}
        self._mails = 0
        self.runs = False

    def start_all(self, when):
        stack = self._stack
        self.go_to(when)
        stack.enter_context(ready.forked_within(self.clock.env))
        stack.enter_context(self.farm.serving())
        stack.callback(self.service.close)
        self.service.start()
        stack.enter_context(self.daemon)
        self.start()
        for name in ("hotline-a", "hotline-b"):
            self._tokens[name] = self.command("notice", "token", "add", name).strip()
        intake = ready.start(
            "--config", self.daemon.config, "notice", "serve", "--listen", "127.0.0.1:0"
        )
        stack.callback(_end, intake)
        self.url = intake.stderr.readline().decode().split()[-1]
        assert self.url.startswith("http://"), self.url

    def go_to(self, when):
        """Set the clock."""
        self.clock.set(round(when - time.time()))
        self.now = when

    def command(self, *arguments, code=(0,)):
        done = self.daemon.hashscan(*arguments)
        assert done.returncode in code, (done.args, done.returncode, done.stderr)
        return done.stdout

    def _until_known(self, content):
        """Wait until the service, which looks once a second, answers by its new set."""
        url = f"http://127.0.0.1:{self.service.port}/v1/check/sha1"
        until = time.monotonic() + 60
        while True:
            answer = requests.post(
                url, data=hashlib.sha1(content).hexdigest(), auth=("me", PASSWORD), timeout=60,
                proxies={"http": ""},
            )  # fmt: skip
            if answer.text == "true":
                return
            assert time.monotonic() < until, answer.text
            time.sleep(0.1)

    # What happens

    def start(self):
        scans = len(self.daemon.summaries)
        self.daemon.start(until="")
        self.daemon.wait(lambda: len(self.daemon.summaries) > scans)
        self.runs = True

    def stop(self):
        assert self.daemon.end() == 0
        self.runs = False

    def nothing(self):
        """The time passes."""

    def happen(self, when, events):
        """Set the clock, and do what the scenario says for that time."""
        learned = [arguments[0] for _, what, arguments in events if what == "learn"]
        if learned:
            # Before the clock is set: then the daemon looks at the filter, which must be whole.
            self._known += learned
            self.service.load(self._known)
            self._until_known(learned[-1])
        self.go_to(when)
        for _, what, arguments in events:
            if what != "learn":
                getattr(self, what)(*arguments)

    def deliver(self, notice):
        for item in notice.items:
            others = item.others if item.kind == "copy" else []
            for url in [item.url, *others, *item.stay] if item.before else []:
                assert status_of(url) == item.before, (url, item)
        getattr(self, f"_by_{notice.channel}")(notice)

    def _by_maildir(self, notice):
        self._mails += 1
        mail = self.box / "tmp" / f"{self._mails:03}.host"
        mail.write_bytes(notice.write(notice.items, notice.sent, notice.reference))
        os.utime(mail, (notice.arrives, notice.arrives))
        mail.rename(self.box / "new" / mail.name)

    def _by_command(self, notice):
        file = self.daemon.directory / f"notice{notice.number}"
        file.write_bytes(notice.write(notice.items, notice.sent, notice.reference))
        said = ["--from", notice.sender]
        if notice.within < 24:
            said = ["--authority", notice.sender, "--deadline", f"{notice.within:.0f}h"]
        self.command("notice", "add", file, "--reference", notice.reference, *said)

    def _by_http(self, notice):
        """As SCART's add-on does it."""
        answer = requests.post(
            self.url + REPORTS,
            data={"ip": "192.0.2.7", "urls": "\n".join(one.value for one in notice.items)},
            headers={"Authorization": f"Bearer {self._tokens[notice.sender]}"},
            timeout=60,
            proxies={"http": ""},
        )
        assert answer.status_code == 201, answer.text
        self.ids[notice.number] = answer.json()["data"]["id"]

    def online(self, url):
        """What the link checker answers."""
        answer = requests.get(
            f"{self.url}/api/v1/online", params={"url": url}, timeout=60, proxies={"http": ""},
            headers={"Authorization": f"Bearer {self._tokens['hotline-a']}"},
        )  # fmt: skip
        return answer.text

    def upload(self, path, content):
        """The customer puts a file in a place."""
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(content)

    def remove(self, path):
        """An administrator removes a file or a directory, without hashscan."""
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink()

    def close(self, notice):
        self.command("notice", "close", self.ids[notice.number], "--reason", "a museum's pages")

    def approve(self, notice):
        """An administrator lets a notice of an unverified sender move files."""
        self.command("notice", "approve", self.ids[notice.number], "--reason", "read it")

    # What became of it

    def settle(self):
        """Wait until every item has the steps that are due; return the differences that remain."""
        expected = any(step.due == self.now for one in self.scenario.items for step in one.steps)
        rounds = 0 if expected or not self.runs else 2
        ended = self._ended()
        until = time.monotonic() + 150
        while time.monotonic() < until:
            wrong = self.differences()
            if not wrong and rounds <= 0:
                return []
            time.sleep(0.3)
            last, ended = ended, self._ended()
            rounds -= ended != last
        return wrong or ["no round ended"]

    def _ended(self):
        return self.daemon.facts().get("notice_rounds", {}).get("time")

    def differences(self):
        """Items whose steps are not those of the scenario."""
        found = self._steps()
        wrong = []
        for notice in self.scenario.notices:
            if notice.arrives > self.now or notice.works > self.now:
                continue
            if notice.number not in self._numbers and not self._identify(notice):
                wrong.append(f"notice {notice.number} is not stored")
                continue
            for number, item in zip(self._numbers[notice.number], notice.items, strict=True):
                if why := _difference(item.steps, found.get(number, []), self.now):
                    wrong.append((notice.number, item.kind, item.value, why))
        return wrong

    def _steps(self):
        found = {}
        if (reader := self._reader()) is not None:
            with reader:
                for one in reader.events(0, 1e12):
                    if one.kind.value == "state":
                        found.setdefault(one.item, []).append((one.detail["to"], one.time))
        return found

    def _reader(self):
        return open_existing(self.notices)

    def _identify(self, notice):
        """Find a stored notice and its items; whether it is stored."""
        with self._reader() as reader:
            stored = [one for one in reader.notices() if one.id not in self._stored_before()]
            if notice.number in self.ids:
                stored = [one for one in reader.notices() if one.id == self.ids[notice.number]]
            if not stored:
                return False
            (one,) = stored
            self.ids[notice.number] = one.id
            numbers = {item.parsed.value: item.number for item in reader.items(one.id)}
            self._numbers[notice.number] = [numbers[item.value] for item in notice.items]
            return True

    def _stored_before(self):
        return {self.ids[number] for number in self._numbers}

    def answers(self, *, every=False):
        """URLs whose real answers are not what the scenario says; of items with a step now."""
        wrong = []
        for item in self.scenario.items:
            last = next((one for one in reversed(item.steps) if one.due <= self.now), None)
            if last is None or not (every or last.due == self.now):
                continue
            if last.state in {"removed", "gone"} and item.url is not None:
                wrong += _await(item.url, item.after)
                done = [one for one in item.others if "/again/" not in one or len(item.steps) > 2]
                for url in done if item.kind != "elsewhere" or _is_back(item, self.now) else []:
                    wrong += _await(url, 404)
                for url in item.stay:
                    wrong += _await(url, 200)
        return wrong

    def shown(self):
        """What ``notice show --json`` prints of each notice."""
        return [
            json.loads(self.command("notice", "show", "--json", self.ids[number]))
            for number in sorted(self.ids)
        ]


def _is_back(item, now):
    return sum(one.due <= now for one in item.steps) > 2


def _await(url, status):
    """Wait for a status: what a list knows moves without a step of an item."""
    until = time.monotonic() + 60
    while (found := status_of(url)) != status:
        if time.monotonic() > until:
            return [(url, found, status)]
        time.sleep(0.1)
    return []


def _difference(steps, found, now):
    """Why the states that an item had are not those that it should have had; "": they are."""
    for number, (state, when) in enumerate(found):
        if number >= len(steps):
            return f"one state too many: {found[number:]}"
        step = steps[number]
        if state != step.state:
            return f"state {number} is {state}, not {step.state}"
        if not step.begin - 1 <= when <= step.end:
            return f"{state} {when - step.begin:.0f} s after its event"
    missing = [one.state for one in steps[len(found) :] if one.due <= now]
    return f"not yet {missing}" if missing else ""


def _end(process):
    process.terminate()
    process.wait(60)
    for stream in (process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            stream.close()
