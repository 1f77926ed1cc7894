"""The parts of a session of the daemon (``Session``), without their processes."""

from types import SimpleNamespace

from hashscan.fs.volume import Volume
from hashscan.model import Summary

VOLUMES = (Volume(b"/a"), Volume(b"/b"), Volume(b"/c"))


class Calls(list):
    """Notes what is called: ``calls.name`` is a function that notes its name and arguments."""

    def __getattr__(self, name):
        def called(*given, **named):
            self.append((name, *given, *named.items()))
            return self.answers.get(name)

        if name.startswith("__") or name == "answers":
            raise AttributeError(name)
        return called

    def of(self, name):
        """The arguments of each call of ``name``."""
        return [one[1:] for one in self if one[0] == name]


def calls(**answers):
    made = Calls()
    made.answers = answers
    return made


class Changes(SimpleNamespace):
    def next_due(self):
        return self.due

    def most_crowded(self):
        return self.crowded

    def forget_volume(self, volume):
        self.forgotten.append(volume)


class ChangedFiles(SimpleNamespace):
    """The worker processes for what changed."""

    def __init__(self):
        super().__init__(
            changes=Changes(due=None, crowded=2, forgotten=[]), under_way=False, busy=False,
            full=False, heard=[], given_up=[], begun=0, over=0, scan=9, root_numbers=[11, 12, 13],
            pool=SimpleNamespace(silent=lambda _s: set()), ready=[], spoke=0, listened=[], rows=[],
        )  # fmt: skip

    def changed(self, *change):
        self.heard.append(change)
        return not self.full

    def give_up(self, volume):
        self.given_up.append(volume)

    def begin(self):
        self.begun += 1

    def ended(self):
        self.over += 1

    def held(self):
        return {5}

    def hand_out(self):
        pass

    def receive(self, listen, wait):
        self.listened.append((list(listen), wait))
        return [one for one in listen if one in self.ready], self.spoke

    def check_rows(self, *rows):
        self.rows.append(rows)


class Scan(SimpleNamespace):
    """A scan of the volumes 0 and 2."""

    def __init__(self, **given):
        super().__init__(
            **{"volumes": [0, 2], "kind": "start", "walked": False, "vanished": [],
               "connections": ["running_scan"], "ends": [], "is_settled": False, "handed": [],
               "silent": lambda _s: set(), **given}
        )  # fmt: skip

    def end(self, **how):
        self.ends.append(how)
        return Summary(matches=5, quarantined=3, held=2, allowed=1, seconds=20.0)

    def settled(self):
        return self.is_settled

    def hand_out(self, *, hold):
        self.handed.append(hold)

    def receive(self):
        return 4


class Coverage(SimpleNamespace):
    """Volume 1 is away; ``gone`` are those that a check finds away."""

    def __init__(self):
        super().__init__(away={1}, untold=set(), gone=set(), partly=[])

    def has_report(self, number):
        return number not in self.untold

    def may_be_scanned(self, number, _seen):
        (self.away.add if number in self.gone else self.away.discard)(number)
        return number not in self.gone

    def partly_watched(self):
        return self.partly


class Probes(SimpleNamespace):
    def __init__(self):
        super().__init__(connections=["probes"], asked=[], answers={}, last={}, told=[], since=[])

    def ask(self, number):
        self.asked.append(number)

    def answer(self, number, since):
        self.since.append(since)
        return self.answers.get(number)

    def latest(self, number):
        return self.last.get(number)

    def take(self, _ready):
        return self.told

    def is_silent(self, number, tick):
        tick()
        return number == 2
