"""The whole way on the command line: publish, serve, sync, scan, confirm, quarantine, withdraw.

Every part is its own process, and they talk over loopback sockets only.
"""

import json
import os
import secrets
import time
from pathlib import Path

import pytest
from commandline import environment, hashscan, sha1
from file_server import FileServer, flip, status

from hashscan.service.serve import running

PASSWORD = "a pässword of some length"


class Site:
    """A publisher, a service's data and an agent's configuration in one directory."""

    def __init__(self, directory, volume):
        self.directory = directory
        self.padding = [secrets.token_hex(20) for _ in range(50)]
        self.volume = volume
        self.repository = directory / "repository"
        self.state = directory / "state"
        self.config = directory / "config.yaml"
        (directory / "password").write_text(PASSWORD)
        (directory / "password").chmod(0o600)
        ran = hashscan("repository", "init", self.repository, "--keys", directory / "keys")
        assert ran.code == 0, ran.err

    def lists(self, contents):
        path = self.directory / "list"
        path.write_text("".join(f"{d}\n" for d in [*map(sha1, contents), *self.padding]))
        return path

    def publish(self, contents, category="baseline"):
        ran = hashscan(
            "repository", "add", self.repository, self.lists(contents), "--keys",
            self.directory / "keys", "--category", category, "--json",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        (event,) = ran.events
        return event

    def load(self, contents):
        data = self.directory / "service"
        ran = hashscan("service", "load", "--data", data, self.lists(contents))
        assert ran.code == 0, ran.err
        ran = hashscan(
            "service", "user", "add", "--data", data, "me", "--password-file",
            self.directory / "password",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return str(data)

    def configure(self, url, source=None, **changes):
        settings = {
            "state": str(self.state),
            "volumes": [{"path": str(self.volume)}],
            "service": {
                "kind": "hashcheckservice",
                "url": url,
                "username": "me",
                "password_file": str(self.directory / "password"),
            },
            "filter": {
                "source": source or f"{url}/repository/",
                "root": str(self.repository / "metadata" / "1.root.json"),
                **changes,
            },
        }
        self.config.write_text(json.dumps(settings))

    def run(self, *arguments):
        return hashscan("--config", self.config, *arguments, env=environment(no_proxy="*"))


@pytest.fixture
def site(tmp_path, volume):
    return Site(tmp_path, volume)


def test_the_whole_way(site):
    known, withdrawn, other = (secrets.token_bytes(500) for _ in range(3))
    for number, content in enumerate([known, withdrawn, other, b"innocent"]):
        (site.volume / f"file{number}").write_bytes(content)
    site.publish([known, withdrawn])
    site.publish([other], "other")
    data = site.load([known, other])
    with running(data, ["--repository", str(site.repository)]) as url:
        site.configure(url, categories=["baseline", "other"])
        ran = site.run("scan", "--json")
        assert ran.code == 5
        assert "hashscan sync" in ran.err
        assert ran.out == ""
        ran = site.run("sync", "--json")
        assert (ran.code, [e["way"] for e in ran.of("filter")]) == (0, ["whole", "whole"])
        ran = site.run("status", "--json")
        assert ran.code == 3
        assert "nothing has been scanned" in ran.events[0]["uncovered"][0]
        assert [one["category"] for one in ran.events[0]["filters"]] == ["baseline", "other"]
        assert [one["digests"] for one in ran.events[0]["filters"]] == [52, 51]

        ran = site.run("filter", "info", "--json")
        assert [(one["category"], one["digests"]) for one in ran.of("filter")] == [
            ("baseline", 52), ("other", 51),
        ]  # fmt: skip
        ran = site.run("filter", "info")
        assert ran.out.count(" digests, verified ") == 2

        ran = site.run("scan", "--action", "quarantine", "--json")
        assert ran.code == 1, ran.err
        found = {os.path.basename(e["path"]): e for e in ran.matches}
        assert sorted(found) == ["file0", "file2"]
        assert {name: e["category"] for name, e in found.items()} == {
            "file0": "baseline",
            "file2": "other",
        }
        versions = {one["category"]: one["version"] for one in json.loads(
            site.run("status", "--json").out)["filters"]}  # fmt: skip
        assert {e["category"]: e["filter_version"] for e in found.values()} == versions
        assert ran.summary["false_positives"] == 1
        assert sorted(os.listdir(site.volume)) == ["file1", "file3"]
        ran = site.run("quarantine", "restore", *[e["quarantine_id"] for e in found.values()])
        assert ran.code == 0
        assert (site.volume / "file0").read_bytes() == known

        event = site.publish([known])
        assert event["patches"]
        ran = site.run("sync", "--json")
        assert [(e["category"], e["state"], e["way"]) for e in ran.of("filter")] == [
            ("baseline", "updated", "patch"),
            ("other", "current", None),
        ]
        ran = site.run("scan", "--json")
        assert ran.summary["false_positives"] == 0
        assert ran.summary["matches"] == 2
        assert ran.summary["unchanged"] >= 2
    assert ran.is_clean()


def test_a_scan_keeps_its_filter_while_the_repository_lies_and_ends_with_5_when_it_is_too_old(site):
    (site.volume / "file").write_bytes(b"x")
    site.publish([b"x"])
    data = site.load([b"x"])
    with running(data) as service, FileServer(site.repository) as server:
        site.configure(service, server.url, max_age="1h")
        assert site.run("sync").code == 0
        for fault, code, words in (
            (flip, 5, "not to be trusted"),
            (status(500), 6, "HTTP 500"),
        ):
            server.heal()
            server.fault("timestamp.json", fault)
            ran = site.run("sync")
            assert ran.code == code
            assert words in ran.err
            assert "the filter in use stays, until " in ran.err
            assert site.run("scan").code == 1
        (pointer,) = Path(site.state, "filters").glob("repository-*/current.json")
        content = json.loads(pointer.read_text())
        content["categories"]["baseline"]["verified"] -= 7200
        pointer.write_text(json.dumps(content))
        ran = site.run("sync")
        assert "too old (filter.max_age): scans end with exit code 5" in ran.err
        for command in (("scan",), ("check", site.volume / "file")):
            ran = site.run(*command)
            assert ran.code == 5
            assert "last verified" in ran.err
            assert "hashscan sync" in ran.err
            assert "matches" not in ran.out
        ran = site.run("status")
        assert ran.code == 5
        assert "CANNOT BE USED" in ran.out
        assert site.run("filter", "info").code == 5
        server.heal()
        assert site.run("sync").code == 0
        assert site.run("scan").code == 1
        ran = site.run("status")
        assert ran.code == 1
        assert "1 match not moved" in ran.out
        assert site.run("scan", "--action", "quarantine").code == 1
        assert site.run("status").code == 0


def test_what_a_sync_needs_is_said(site, tmp_path):
    ran = hashscan("sync", "--state", tmp_path / "s", env=environment(HOME=str(tmp_path)))
    assert ran.code == 2
    assert "filter.source" in ran.err
    site.configure("http://127.0.0.1:1")
    ran = site.run("sync")
    assert ran.code == 6
    assert "Connection refused" in ran.err
    assert "there is no filter of it to be used" in ran.err
    ran = site.run("status")
    assert ran.code == 5
    assert "hashscan sync" in ran.out
    (site.repository / "metadata" / "1.root.json").unlink()
    ran = site.run("sync")
    assert (ran.code, "filter.root" in ran.err) == (5, True)


def test_status_of_nothing_makes_nothing(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"state": str(tmp_path / "state")}))
    ran = hashscan("--config", config, "status")
    assert ran.code == 3, "no monitoring may take that for a scan that found nothing"
    assert "none yet" in ran.out
    assert "nothing has been scanned" in ran.out
    assert sorted(os.listdir(tmp_path)) == ["config.yaml"]


def test_spread_waits_for_this_hosts_moment(site):
    site.publish([b"x"])
    with FileServer(site.repository) as server:
        site.configure("http://127.0.0.1:1", server.url, refresh="1s")
        begin = time.monotonic()
        ran = site.run("sync", "--spread")
        assert ran.code == 0
        assert "this host's share of filter.refresh" in ran.err
        assert time.monotonic() - begin < 100


def test_status_tells_a_damaged_catalog_and_a_damaged_record(site):
    site.publish([b"x"])
    (site.volume / "file").write_bytes(b"x")
    data = site.load([b"x"])
    with running(data, ["--repository", str(site.repository)]) as url:
        site.configure(url)
        assert site.run("sync").code == 0
        assert site.run("scan", "--action", "quarantine").code == 1
    ran = site.run("status")
    assert ran.code == 0
    assert "1 quarantined" in ran.out
    assert "whole, 1 files" in ran.out
    (record,) = Path(site.state, "quarantine").glob("2*/record.json")
    record.write_text("{")
    ran = site.run("status")
    assert ran.code == 70
    assert "needs somebody" in ran.out
    assert "1 records of the quarantine are damaged" in ran.out
    Path(site.state, "catalog.sqlite3").write_bytes(b"x" * 5000)
    ran = site.run("status", "--json")
    assert ran.code == 70
    assert "catalog" in ran.events[0]["trouble"][0]
