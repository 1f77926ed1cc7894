"""Ten notices and what must become of each of their items, decided before anything runs.

Times are seconds since the epoch. hashscan begins to work on a notice when it arrives, or when the
daemon starts again; people and customers do something later. A step must come within a few minutes
of the event that causes it.
"""

import hashlib
import math
import os
import time
from dataclasses import dataclass, field

import notice_writer as writer

HOUR, DAY = 3600.0, 86400.0
#: A midnight (UTC) after now: the clock only goes ahead, as files have stamps of the kernel's.
BEGIN = (time.time() // DAY + 2) * DAY
#: Seconds in which a step must follow its event.
SOON = 600.0


@dataclass
class Step:
    """A state of an item, and when it gets it: ``due`` at the latest when the clock is there."""

    state: str
    begin: float
    end: float
    due: float


@dataclass
class Item:
    """What a notice names.

    Attributes:
        value: as the sender writes it: URL, path or digest.
        sha1: of the content, if the sender gives it; it may be wrong.
        url: for requests; ``None``: no server of this machine has it.
        path: of the file or directory.
        others: URLs of further files that must go with it; ``stay``: that must stay.
        before: status of the answers before, e.g. 200; ``None``: it does not matter.
        after: and after the removal.
        removed: the step that the report counts as its removal; ``None``: the last one.
    """

    kind: str
    value: str
    sha1: str | None = None
    url: str | None = None
    path: object = None
    content: bytes = b""
    others: list = field(default_factory=list)
    stay: list = field(default_factory=list)
    before: int | None = 200
    after: int | None = 404
    steps: list = field(default_factory=list)
    removed: Step | None = None

    def will(self, when, *states, end=None, due=None):
        end = when + SOON if end is None else end
        self.steps += [Step(one, when, end, when if due is None else due) for one in states]


@dataclass
class Notice:
    """A notice, when it arrives, and when hashscan begins to work on it.

    Attributes:
        moves: when it may move files: an unverified sender's waits for an administrator.
        channel: maildir, command or http.
        within: hours to the deadline, of an order.
        sender: of the command's --from, or of a token.
    """

    number: int
    channel: str
    write: object
    arrives: float
    works: float
    moves: float
    sent: float | None
    reference: str | None
    sender: str | None = None
    within: float = 24.0
    items: list = field(default_factory=list)

    @property
    def format(self):
        return _NAMES[self.write] if self.write else "scart-api"


_NAMES = {
    writer.scart_nl: "scart-csv", writer.scart_en: "scart-csv", writer.scart_html: "scart-html",
    writer.xarf_02: "xarf-0.2", writer.xarf_3: "xarf-3", writer.xarf_4: "xarf-4",
    writer.arf: "arf", writer.key_value: "key-value", writer.cybertip: "cybertip",
    writer.plain_list: "list",
}  # fmt: skip

#: Of each ten items of a notice, besides the last one or ones.
_COMMON = ("file", "file", "file", "index", "page", "copy", "script", "no-site", "no-file")
#: Writer, channel, whether the sender gives a time, hours to the deadline, and items.
_NOTICES = (
    (writer.scart_nl, "maildir", True, 24, (*_COMMON, "back")),
    (writer.scart_en, "command", False, 24, (*_COMMON, "directory")),
    (writer.scart_html, "maildir", True, 24, (*_COMMON, "elsewhere")),
    (writer.xarf_02, "maildir", True, 24, (*_COMMON[:8], "gone", "elsewhere")),
    (writer.xarf_3, "maildir", True, 24, (*_COMMON, "refused")),
    (writer.xarf_4, "command", True, 24, (*_COMMON, "other")),
    (writer.arf, "maildir", True, 24, (*_COMMON[:8], "gone", "back")),
    (writer.key_value, "command", False, 12, (*_COMMON, "other")),
    (writer.cybertip, "maildir", True, 24, (*_COMMON, "stays")),
    (writer.plain_list, "command", False, 1,
     ("path", "path", "digest", "digest", "copy", "page", "no-site", "no-file", "file", "directory")),
)  # fmt: skip
_WITH_DIGESTS = ("xarf-4", "key-value", "cybertip", "list")
AUTHORITY = "Authority of the test"


class Scenario:
    """All notices and events; the files are on the disk when it is made.

    Attributes:
        known: contents that the service knows from the begin.
        events: (time, what, arguments), in their order; ``what`` is a method of the driver.
    """

    def __init__(self, farm, *, days, scale, outages, quiet):
        """Plan it.

        ``scale``: items for each kind of ``_NOTICES``. ``outages``: for how many hours no daemon
        runs, by the number of the notice that arrives then. ``quiet``: days between two times at
        which nothing happens.
        """
        self.farm, self.days = farm, days
        self.end = BEGIN + days * DAY
        self.known, self.events, self.notices = [], [], []
        self._made = 0
        apart = math.floor((days - 9) / 10 * 24) * HOUR
        begins = [BEGIN + 8 * HOUR + number * apart for number in range(len(_NOTICES))]
        self._outages = [(begins[one] - HOUR / 2, begins[one] + hours * HOUR)
                         for one, hours in outages.items()]  # fmt: skip
        for number, (write, channel, dated, within, kinds) in enumerate(_NOTICES):
            arrives = begins[number]
            # Without a daemon, the command itself does the work.
            works = arrives if channel == "command" else self._awake(arrives)
            sent = arrives - 60 * (number + 1) * 17 if dated else None
            sender = (AUTHORITY if within < 24 else "Hotline") if channel == "command" else None
            moves = works
            if write is writer.xarf_3:
                moves = self._awake(works + 20 * HOUR)
            one = Notice(number, channel, write, arrives, works, moves, sent,
                         writer.reference(write, number), sender, within)  # fmt: skip
            one.items = [self._item(kind, one) for kind in kinds for _ in range(scale)]
            self.notices.append(one)
            self._event(arrives, "deliver", one)
            if moves > works:
                self._event(moves, "approve", one)
        for stops, starts in self._outages:
            self._event(stops, "stop")
            self._event(starts, "start")
        self._repeats(scale)
        for day in range(1, days, quiet):
            self._event(self._awake(BEGIN + day * DAY + 3.2 * HOUR), "nothing")
        self._event(self.end, "nothing")
        self.events.sort(key=lambda one: one[0])

    def _awake(self, when):
        """The time, or the next one at which a daemon runs."""
        for stops, starts in self._outages:
            if stops <= when < starts:
                return starts
        return when

    @property
    def items(self):
        return [item for notice in self.notices for item in notice.items]

    @staticmethod
    def _will_go(item, notice):
        item.will(notice.works, "located")
        item.will(notice.moves, "removed")

    def _event(self, when, what, *arguments):
        self.events.append((when, what, arguments))

    def _site(self):
        self._made += 1
        return self.farm.sites[self._made % len(self.farm.sites)]

    def _item(self, kind, notice):
        item = getattr(self, f"_{kind.replace('-', '_')}")(self._site(), self._made, notice)
        item.kind = kind
        if item.sha1 is None and item.content and notice.format in _WITH_DIGESTS[:3]:
            item.sha1 = hashlib.sha1(item.content).hexdigest()
        return item

    def _planted(self, site, name, target=None, **more):
        content = os.urandom(200)
        url = site.url(target or f"/{name}")
        return Item("", url, url=url, path=site.put(name, content), content=content, **more)

    # One method for each kind of item

    def _file(self, site, number, notice):
        item = self._planted(site, f"img/{number} a.jpg", f"/img/{number}%20a.jpg")
        self._will_go(item, notice)
        return item

    def _index(self, site, number, notice):
        item = self._planted(
            site, f"gallery{number}/index.html", f"/gallery{number}/", after=site.without_index
        )
        self._will_go(item, notice)
        return item

    def _page(self, site, number, notice):
        known, innocent = os.urandom(90), os.urandom(90)
        site.put(f"p{number}/known.jpg", known)
        site.put(f"p{number}/innocent.jpg", innocent)
        text = "<img src=known.jpg><img src='innocent.jpg'><img src='http://other.test/x.jpg'>"
        path = site.put(f"p{number}/page.html", text.encode() + b"<!-- %d -->" % number)
        url = site.url(f"/p{number}/page.html")
        item = Item("", url, url=url, path=path, content=path.read_bytes())
        item.others = [site.url(f"/p{number}/known.jpg")]
        item.stay = [site.url(f"/p{number}/innocent.jpg")]
        self._will_go(item, notice)
        self._event(notice.arrives - 2 * HOUR, "learn", known)
        return item

    def _copy(self, site, number, notice):
        item = self._file(site, number, notice)
        other = self._site()
        other.put(f"copies/{number}.jpg", item.content)
        item.others = [other.url(f"/copies/{number}.jpg")]
        return item

    def _script(self, site, number, notice):
        site.put(f"run{number}.php", b"<?php ?>")
        url = site.url(f"/run{number}.php?x={number}")
        item = Item("", url, url=url, before=None, after=None)
        item.will(notice.works, "not-here")
        return item

    def _no_site(self, _site, number, notice):
        item = Item("", f"http://elsewhere{number}.test/1.jpg", before=None, after=None)
        item.will(notice.works, "not-here")
        return item

    def _no_file(self, site, number, notice):
        url = site.url(f"/none{number}.jpg")
        item = Item("", url, url=url, before=404)
        item.will(notice.works, "not-here")
        return item

    def _gone(self, site, number, notice):
        """A list knew it, so the first scan moved it, long before the notice."""
        item = self._planted(site, f"old/{number}.jpg", before=404)
        self.known.append(item.content)
        item.will(notice.works, "gone")
        return item

    def _back(self, site, number, notice):
        item = self._file(site, number, notice)
        again = self._awake(notice.works + 2 * DAY + HOUR / 2)
        item.will(again, "received", "located", "removed")
        self._event(again, "upload", item.path, item.content)
        return item

    def _elsewhere(self, site, number, notice):
        item = self._file(site, number, notice)
        again = self._awake(notice.works + 2.5 * DAY + HOUR / 2)
        other = self._site()
        item.others = [other.url(f"/again/{number}.jpg")]
        found = self._awake(again + HOUR + 300)  # the catalog is searched once an hour
        item.will(again, "received", "located", "removed", end=found + SOON, due=found)
        self._event(again, "upload", other.root / "again" / f"{number}.jpg", item.content)
        self._event(found, "nothing")
        return item

    def _directory(self, site, number, notice):
        """An administrator removes it five hours later."""
        item = self._listing(site, number, notice)
        when = self._awake(notice.works + 5 * HOUR)
        item.will(when, "removed")
        self._event(when, "remove", item.path)
        return item

    def _stays(self, site, number, notice):
        return self._listing(site, number, notice)

    def _refused(self, site, number, notice):
        """An administrator decides against it."""
        item = self._listing(site, number, notice)
        when = notice.works + 40 * HOUR
        item.will(when, "refused")
        if not any(one[1] == "close" for one in self.events):
            self._event(when, "close", notice)
        return item

    def _listing(self, site, number, notice):
        while site.without_index == 404 and site.port == self.farm.ports[0]:
            site = self._site()  # its server gives 404 for each directory
        for one in "ab":
            path = site.put(f"d{number}/{one}.jpg", os.urandom(60))
        url = site.url(f"/d{number}/")
        item = Item("", url, url=url, path=path.parent, before=None)
        item.will(notice.works, "located")
        return item

    def _other(self, site, number, notice):
        """Its content is not what the sender saw; an administrator removes it after 30 hours."""
        item = self._planted(
            site, f"other/{number}.jpg", sha1=hashlib.sha1(b"%d" % number).hexdigest()
        )
        item.will(notice.works, "located")
        when = self._awake(notice.works + 30 * HOUR)
        item.will(when, "removed")
        self._event(when, "remove", item.path)
        return item

    def _path(self, site, number, notice):
        item = self._file(site, number, notice)
        item.value = str(item.path)
        return item

    def _digest(self, site, number, notice):
        item = self._file(site, number, notice)
        item.value = hashlib.sha1(item.content).hexdigest()
        return item

    # Repeats, by the HTTP intake

    def _repeats(self, scale):
        def of(number, kind, most):
            return [one for one in self.notices[number].items if one.kind == kind][:most]

        refused = self.notices[4].works + 40 * HOUR
        when = self._awake(max(self.notices[7].works + 3 * HOUR, refused + HOUR))
        first = [
            *of(0, "file", 2 * scale),
            *of(1, "no-site", scale),
            *of(4, "refused", (scale + 1) // 2),
        ]
        self._repeat("hotline-a", when, first)
        second = [*of(8, "stays", scale), *of(0, "back", scale), *of(6, "gone", scale)]
        self._repeat("hotline-b", self.end - DAY, second)

    def _repeat(self, sender, when, items):
        notice = Notice(len(self.notices), "http", None, when, when, when, None, None, sender)
        for one in items:
            item = Item(f"repeat of {one.kind}", one.value.replace(".example", ".EXAMPLE"),
                        url=one.url, before=None, after=one.after)  # fmt: skip
            last = one.steps[-1]
            assert last.end < when, (one, when)
            if last.state == "not-here":
                item.will(when, "not-here")
            elif last.state == "located":
                item.will(when, "located")
            elif last.state == "refused":
                one.will(when, "received", "located")
                item.will(when, "located")
            else:
                # It is not back: the time of its removal stays.
                one.will(when, "received", last.state)
                one.removed = one.removed or last
                item.will(when, "gone")
            notice.items.append(item)
        self.notices.append(notice)
        self._event(when, "deliver", notice)
