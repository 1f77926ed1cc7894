"""A real repository in a test: published with the real publisher, served over a real socket."""

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from file_server import FileServer
from tuf.api.metadata import Metadata

from hashscan.known.filters.filter_file import load
from hashscan.known.sync.client import sync
from hashscan.known.sync.repository_settings import RepositorySource
from hashscan.known.sync.synced_filters import open_kept
from hashscan.publisher import publish, versions
from hashscan.publisher.keys import load_keys


def random_digests(count):
    return [os.urandom(20).hex() for _ in range(count)]


class Publisher:
    """A repository directory with its keys; every change is made by the real publisher."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.path = str(self.directory / "repository")
        self.keys = str(self.directory / "keys")
        self.directory.mkdir(exist_ok=True)

    def init(self, **options):
        publish.init(self.path, self.keys, **options)
        return self

    def add(self, digests, category="baseline", **options):
        listed = self.directory / "list"
        listed.write_text("".join(f"{digest}\n" for digest in digests))
        options.setdefault("allow_large_change", True)
        return versions.add(self.path, [self.keys], category, [str(listed)], jobs=1, **options)

    def refresh(self, **options):
        return publish.refresh(self.path, [self.keys], **options)

    def rotate(self, role, **options):
        return publish.rotate(self.path, [self.keys], role, **options)

    def let_time_pass(self, seconds):
        """Say that so much more time was counted before the publisher's last command."""
        path = Path(self.keys, "clock.json")
        counted = json.loads(path.read_bytes())
        counted["began"] -= seconds
        path.write_text(json.dumps(counted))

    @property
    def root(self):
        return os.path.join(self.path, "metadata", "1.root.json")

    def read(self, name):
        return (Path(self.path) / "metadata" / name).read_bytes()

    def copy(self, name):
        """The repository as it is now, e.g. to be served again later."""
        shutil.copytree(self.path, self.directory / name)
        return self.directory / name

    def newest(self, role):
        versions_of = [
            int(name.partition(".")[0])
            for name in os.listdir(os.path.join(self.path, "metadata"))
            if name.endswith(f".{role}.json")
        ]
        return f"{max(versions_of)}.{role}.json"

    def sign(self, role, change, *, keys=None, version=True):
        """The newest metadata of ``role``, changed and signed again with the role's own key."""
        name = "timestamp.json" if role == "timestamp" else self.newest(role)
        metadata = Metadata.from_bytes(self.read(name))
        if version:
            metadata.signed.version += 1
        change(metadata.signed)
        metadata.signatures.clear()
        root = Metadata.from_bytes(self.read(self.newest("root"))).signed
        signers = load_keys([keys or self.keys])
        wanted = signers if keys else {k: signers[k] for k in root.roles[role].keyids}
        for signer in wanted.values():
            metadata.sign(signer, append=True)
        name = "timestamp.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        (Path(self.path) / "metadata" / name).write_bytes(metadata.to_bytes())
        return metadata.signed

    def sign_targets(self, change):
        """Change the targets' metadata, and let snapshot and timestamp follow."""
        targets = self.sign("targets", change)
        self.follow(targets.version)

    def follow(self, targets_version):
        def snap(signed):
            signed.meta["targets.json"].version = targets_version

        snapshot = self.sign("snapshot", snap)

        def stamp(signed):
            signed.snapshot_meta.version = snapshot.version

        self.sign("timestamp", stamp)

    @property
    def published(self):
        """The filter file that is published now, and its metadata's text."""
        from hashscan.known.filters.metadata import dump
        from hashscan.known.filters.packing import unpack_bytes
        from hashscan.known.sync.layout import read_custom, target_file, whole_target

        targets = Metadata.from_bytes(self.read(self.newest("targets"))).signed.targets
        target = targets[whole_target("baseline", "filter")]
        metadata = read_custom(target).metadata
        packed = Path(self.path, "targets", target_file(target.path, target.hashes["sha256"]))
        return unpack_bytes(packed.read_bytes(), metadata.length), dump(metadata)


class Agent:
    """One agent's state, and its view of a server."""

    def __init__(self, directory, url, root, categories=("baseline",)):
        self.state = str(directory)
        os.makedirs(self.state, exist_ok=True)
        self.source = RepositorySource(url=url, root=root, categories=categories, timeout=5.0)
        self.notices = []

    def with_(self, **changes):
        self.source = replace(self.source, **changes)
        return self

    def sync(self):
        self.notices.clear()
        return sync(self.source, self.state, on_notice=self.notices.append)

    def filter(self, max_age=None):
        kept = open_kept(self.source, self.state, max_age=max_age)
        return kept[0].loaded

    @property
    def bytes(self):
        """The filter file in use, and its metadata's text."""
        one = self.filter()
        assert load(one.path)
        return Path(one.path).read_bytes(), Path(one.path + ".json").read_bytes()


def states(report):
    """State and way of each category of a sync."""
    return [(one.state, one.way) for one in report.categories]


def fetched_targets(server):
    return [path for path in server.requests if path.startswith("/targets/")]


def later(**span):
    return datetime.now(UTC) + timedelta(**span)


__all__ = [
    "Agent",
    "FileServer",
    "Publisher",
    "fetched_targets",
    "later",
    "random_digests",
    "states",
]


def all_files(directory):
    """Path to content of all files below ``directory``."""
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}
