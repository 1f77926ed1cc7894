"""The allow-list and DCSO filters on the real command line."""

import gzip
import hashlib
import os
import time

import pytest
import yaml
from commandline import hashscan, sha1
from dcso_writer import dcso, powers_of_two

GOOD, BAD, FALSE = b"good", b"bad", b"a false positive of the filter"


@pytest.fixture
def place(tmp_path):
    """A volume, its known set, and a way to write the configuration."""
    volume = tmp_path / "www"
    volume.mkdir()
    for name, content in (("good", GOOD), ("bad", BAD), ("other", b"other")):
        (volume / name).write_bytes(content)
    (tmp_path / "known").write_text(f"{sha1(GOOD)}\n{sha1(BAD)}\n")
    (tmp_path / "allow").write_text(f"{hashlib.sha256(GOOD).hexdigest().upper()}  x\n")
    return Place(tmp_path)


class Place:
    def __init__(self, root):
        self.root = root
        self.configure(allow=["allow"])

    def configure(self, *, allow=None, **sections):
        settings = {
            "state": f"{self.root}/state",
            "volumes": [{"path": f"{self.root}/www"}],
            "service": {"kind": "local", "known": [f"{self.root}/known"]},
            "quarantine": {"action": "quarantine"},
        }
        if allow is not None:
            settings["allow"] = [f"{self.root}/{name}" for name in allow]
        (self.root / "config").write_text(yaml.safe_dump(settings | sections))

    def run(self, *arguments):
        ran = hashscan("--config", self.root / "config", *arguments)
        assert ran.is_clean(), ran.err
        return ran

    def files(self):
        return sorted(os.listdir(self.root / "www"))


def actions(ran):
    return {os.path.basename(event["path"]): event["action"] for event in ran.matches}


def test_allowed_is_told_and_never_moved(place):
    ran = place.run("scan", "--json")
    assert actions(ran) == {"good": "allowed", "bad": "quarantined"}
    assert ran.code == 1
    assert (ran.summary["matches"], ran.summary["allowed"], ran.summary["quarantined"]) == (2, 1, 1)
    (told,) = [event for event in ran.matches if event["action"] == "allowed"]
    assert told["message"].endswith(f"stands in the allow-list {place.root}/allow")
    assert told["filter_version"]
    assert place.files() == ["good", "other"]
    for action in (["--action", "quarantine"], ["--action", "report"], ["--full"]):
        ran = place.run("scan", "--json", *action)
        assert actions(ran) == {"good": "allowed"}
        assert ran.code == 0
        assert ran.summary["unchanged"] == (0 if "--full" in action else 2)
    # also with a known set of the command line
    ran = place.run("scan", "--known", place.root / "known", "--json")
    assert (actions(ran), ran.code) == ({"good": "allowed"}, 0)
    assert place.files() == ["good", "other"]


def test_in_words(place):
    ran = place.run("scan")
    assert f"MATCH {place.root}/www/good: allowed (stands in the allow-list " in ran.out
    assert "Quarantined 1, held 0, allowed 1." in ran.out
    ran = place.run("scan")
    assert ran.code == 0
    assert "Nothing was moved" not in ran.out
    ran = hashscan("--config", place.root / "config", "-q", "scan")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = hashscan("--config", place.root / "config", "-v", "scan")
    assert f"allow-list: {place.root}/allow" in ran.err
    assert "baseline, version 20" in ran.err


def test_what_is_taken_off_the_list_is_moved_by_the_next_scan(place):
    (place.root / "allow").write_text("\n".join(sha1(one) for one in (GOOD, BAD)))
    assert actions(place.run("scan", "--json")) == {"good": "allowed", "bad": "allowed"}
    (place.root / "allow").write_text(sha1(BAD))
    assert actions(place.run("scan", "--json")) == {"good": "quarantined", "bad": "allowed"}
    place.configure()
    assert actions(place.run("scan", "--json")) == {"bad": "quarantined"}
    assert place.files() == ["other"]


def test_a_restored_file_and_its_record_are_as_ever(place):
    place.configure()
    ran = place.run("scan", "--json")
    ids = [event["quarantine_id"] for event in ran.matches]
    assert place.run("quarantine", "restore", *ids).code == 0
    place.configure(allow=["allow"])
    ran = place.run("scan", "--json")
    assert actions(ran) == {"good": "allowed", "bad": "held"}
    assert ran.code == 0  # an administrator has decided on both


def test_check(place):
    www = place.root / "www"
    ran = place.run("check", www / "good", www / "bad", www / "other", sha1(GOOD), "--json")
    assert [(event["verdict"], event["allowed"]) for event in ran.of("check")] == [
        ("known", f"{place.root}/allow"),
        ("known", None),
        ("unknown", None),
        ("known", None),
    ]
    assert "sha256" in ran.of("check")[3]["message"]
    assert ran.code == 1
    ran = place.run("check", www / "good")
    assert ran.code == 0
    assert ran.out == (
        f"KNOWN {www}/good [baseline, sha1]: allowed, stands in the allow-list {place.root}/allow\n"
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, 2),
        (b"", 2),
        (b"<html>404</html>\n", 2),
        (dcso([sha1(GOOD)])[:-1], 5),
        (gzip.compress(dcso([sha1(GOOD)]), mtime=0)[:-1], 5),
        (dcso([sha1(GOOD)], **powers_of_two(18)), 5),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_nothing_is_scanned_with_a_list_that_cannot_be_used(place, content, code, known):
    if content is None:
        (place.root / "allow").unlink()
        code = 5 if known else 2
    else:
        (place.root / "allow").write_bytes(content)
    more = [place.root / "www", "--known", place.root / "known"] if known else []
    ran = place.run("scan", "--json", *more)
    assert (ran.code, ran.out) == (code, "")
    assert f"{place.root}/allow" in ran.err
    assert place.files() == ["bad", "good", "other"]


def test_what_is_known_and_allowed_by_the_same_file_is_an_error(place):
    place.configure(allow=["allow", "known"])
    ran = place.run("config", "check")
    assert ran.code == 2
    assert "allow[1]" in ran.err + ran.out
    assert "stands in service.known, too" in ran.err + ran.out
    place.configure(allow=["allow", "allow"])
    assert "more than once" in place.run("config", "check").err


def test_a_dcso_filter_is_the_filter_and_another_the_allow_list(place):
    upper = [sha1(one).upper() for one in (GOOD, BAD, FALSE)]
    (place.root / "filter").write_bytes(gzip.compress(dcso(upper, n=1000, p=1e-6)))
    (place.root / "nsrl").write_bytes(dcso([sha1(GOOD).upper()], n=1000, p=1e-6))
    (place.root / "www" / "false").write_bytes(FALSE)
    (place.root / "www" / "empty").write_bytes(b"")
    filters = {
        "source": f"{place.root}/filter",
        "algorithms": ["sha1"],
        "categories": ["csam"],
    }
    place.configure(allow=["nsrl"], filter=filters)
    ran = place.run("scan", "--json")
    assert actions(ran) == {"good": "allowed", "bad": "quarantined"}
    version = hashlib.sha256((place.root / "filter").read_bytes()).hexdigest()[:16] + "+sha1"
    for event in ran.matches:
        assert (event["category"], event["filter_version"]) == ("csam", version)
        assert list(event["digests"]) == ["sha1"]
    assert ran.summary["false_positives"] == 1
    status = place.run("status", "--json")
    (one,) = status.events[0]["filters"]
    assert (one["version"], one["digests"]) == (version, 3)
    ran = place.run("scan", "--json")
    assert ran.summary["unchanged"] == ran.summary["files"]
    # another choice of algorithms judges, and hashes, all files anew
    (place.root / "filter").write_bytes(dcso([hashlib.md5(GOOD).hexdigest()], n=1000, p=1e-6))
    place.configure(filter=filters | {"algorithms": ["md5"]})
    (place.root / "known").write_text(hashlib.md5(GOOD).hexdigest())
    assert actions(place.run("scan", "--json")) == {"good": "quarantined"}


def test_an_old_dcso_filter_is_not_used(place):
    path = place.root / "filter"
    path.write_bytes(dcso([sha1(GOOD)]))
    os.utime(path, (time.time() - 8 * 86400,) * 2)
    place.configure(filter={"source": str(path)})
    ran = place.run("scan")
    assert ran.code == 5
    assert "modified 8.0 days ago" in ran.err
    assert place.run("status").code == 5


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_info(place, pack):
    path = place.root / "filter"
    path.write_bytes(pack(dcso([sha1(GOOD), sha1(BAD)], n=1000, p=1e-6)))
    (told,) = place.run("filter", "info", path, "--json").events
    assert told["kind"] == "dcso"
    assert (told["category"], told["algorithms"], told["digests"]) == (None, None, 2)
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    ran = place.run("filter", "info", path)
    assert ran.code == 0
    assert "kind        dcso" in ran.out
    assert "2 of 1,000" in ran.out
