"""A machine with a site, notices and a clock: rounds over the items in a test."""

import hashlib
import io
import os
from dataclasses import replace

from hashscan.config.loader import load
from hashscan.jobs.known_set import open_known_set
from hashscan.jobs.notices.one_round import run_round
from hashscan.jobs.notices.round_result import Memory
from hashscan.jobs.scan import run_scan
from hashscan.jobs.volume_presence import check_volume
from hashscan.model import Digest
from hashscan.notices.notice import Channel, ItemKind, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore
from hashscan.output.jsonl import JsonReporter
from hashscan.quarantine.manage import records
from hashscan.quarantine.store import Store as QuarantineStore
from hashscan.state import State

BEGIN = 1_700_000_000.0


class Machine:
    """One volume with the site ``x.example``, whose document root is ``www/x.example``."""

    def __init__(self, directory, *, action="quarantine", by_list="quarantine", extra=""):
        self.directory = directory
        self.volume = directory / "www"
        self.site = self.volume / "x.example"
        self.site.mkdir(parents=True)
        self.list = directory / "known.txt"
        self.config = directory / "config.yaml"
        self.list.write_text("0" * 40 + "\n")
        self.config.write_text(
            f"state: {directory}/state\n"
            f"volumes: [{{path: {self.volume}}}]\n"
            f"service: {{kind: local, known: [{self.list}]}}\n"
            f"sites: [{{host: '*.example', root: '{self.volume}/{{host}}'}}]\n"
            f"notices: {{action: {action}}}\n"
            f"quarantine: {{action: {by_list}}}\n{extra}"
        )
        self.settings = load(str(self.config))
        self.state = State(self.settings.state)
        self.memory = Memory()
        self.now = BEGIN
        self._opened = (None, None)
        self.store = NoticeStore(self.state.notices)

    def use(self, **notices):
        """Other settings for notices, as after a reload."""
        section = self.settings.notices.model_copy(update=notices)
        self.settings = self.settings.model_copy(update={"notices": section})
        self.memory = Memory()

    def know(self, *contents):
        """Have the list know these contents."""
        self.list.write_text("".join(f"{hashlib.sha1(one).hexdigest()}\n" for one in contents))

    def known(self):
        content = self.list.read_bytes()
        if content != self._opened[0]:
            self._forget()
            known = open_known_set(self.settings, self.state, (), lambda _text: None)
            self._opened = (content, known)
        return self._opened[1]

    def file(self, name, content=None):
        """A file of the site; random bytes by default."""
        path = self.site / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = os.urandom(50) if content is None else content
        path.write_bytes(content)
        return content

    def notice(self, *named, unproven="", **more):
        """Store a notice of URLs, absolute paths and digests; its id."""
        items = tuple(one if isinstance(one, ParsedItem) else item(one) for one in named)
        parsed = ParsedNotice("plain", items, sender="Hotline X", reference="A1", **more)
        return self.store.add(
            parsed, channel=Channel.COMMAND, key=os.urandom(8), received=self.now,
            unproven=unproven,
        ).id  # fmt: skip

    def round(self, *, known=True, later=60.0, **more):
        """One round, ``later`` seconds after the last."""
        self.now += later
        self.result = run_round(
            self.settings, self.state, self.known() if known else None, self.memory,
            clock=lambda: self.now, **{"probe": probe, **more},
        )  # fmt: skip
        return self.result

    def rounds(self):
        """Rounds until there is no more to do at once."""
        for _ in range(10):
            if not self.round(later=1.0).more:
                return
        raise AssertionError("the rounds do not end")

    def scan(self, **more):
        """A real scan of the volume, which moves nothing."""
        out = io.StringIO()
        return run_scan(
            self.settings, self.state, JsonReporter(out, out), action="report", jobs=1, **more
        )

    def items(self, identifier):
        return self.store.items(identifier)

    def states(self, identifier):
        return [one.state.value for one in self.items(identifier)]

    def one(self, identifier):
        """The only item, and its files by their names."""
        (found,) = self.items(identifier)
        files = {
            os.fsdecode(file.path).removeprefix("x.example/"): file
            for file in self.store.files(found.number)
        }
        return found, files

    def in_quarantine(self):
        """The quarantine's records."""
        directory = os.fsencode(self.settings.quarantine_directory)
        with QuarantineStore.open(directory) as store:
            return [one.record for one in records(store)]

    def told(self):
        return [text for _, text in self.result.lines]

    def close(self):
        self.store.close()
        self._forget()

    def _forget(self):
        """Close the list: else each test leaves a file open."""
        if self._opened[1] is not None:
            self._opened[1].make_confirmer().close()
        self._opened = (None, None)


def probe(paths):
    """As ``check_all``, without a process for it."""
    return [check_volume(os.fsencode(os.path.realpath(path))) for path in paths]


def item(text):
    if text.startswith("/"):
        return ParsedItem(ItemKind.PATH, text)
    if "/" in text:
        return ParsedItem(ItemKind.URL, text)
    algorithm = {32: "md5", 40: "sha1", 64: "sha256"}[len(text)]
    return ParsedItem(ItemKind.DIGEST, text, (Digest(algorithm, text),))


def with_digest(text, content):
    """An item with the sender's digest of its content."""
    return replace(item(text), digests=(Digest("sha1", hashlib.sha1(content).hexdigest()),))
