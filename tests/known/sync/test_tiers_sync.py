"""Tiers from the publisher's lists to the agent's disk: with their filter, or not at all."""

import os
import time
from pathlib import Path

import pytest
from file_server import flip, status, truncate
from publishing import Publisher
from tiered import listed
from tuf.api.metadata import Metadata

from hashscan.errors import ExitCode
from hashscan.known.filters.metadata import dump
from hashscan.known.filters.tiers import tier_path
from hashscan.known.sync.layout import read_custom, target_file, whole_target
from hashscan.model import size_key
from hashscan.publisher import repository, versions

NAMES = ("sizes", "heads")


class Tiering(Publisher):
    def add_contents(self, contents, **options):
        columns = options.pop("columns", ("sha1", "size", "xxh3-4096"))
        source = listed(self.directory / "tiered", contents, columns=columns)
        options.setdefault("allow_large_change", True)
        return versions.add(self.path, [self.keys], "baseline", [source], jobs=1, **options)


def contents_of(count, seed=0):
    return [b"%d." % number + b"x" * (number % 700) for number in range(seed, seed + count)]


@pytest.fixture
def publisher(tmp_path):
    return Tiering(tmp_path / "publisher").init()


def tiers(agent):
    return {name: one for name, one in agent.filter().tiers._asdict().items() if one is not None}


def holds(agent, contents):
    one = agent.filter().tiers
    return all(size_key(len(content)) in one.sizes for content in contents)


def test_tiers_come_with_their_filter(publisher, agent):
    added = publisher.add_contents(contents_of(400))
    assert set(added.tiers.made) == set(NAMES)
    report = agent.sync()
    assert report.exit_code == ExitCode.NOTHING_FOUND
    assert agent.notices == []
    assert set(tiers(agent)) == set(NAMES)
    assert holds(agent, contents_of(400))
    for name, one in tiers(agent).items():
        assert dump(one.metadata) == dump(added.tiers.made[name])


def test_the_next_version_is_a_patch(publisher, agent, server):
    publisher.add_contents(contents_of(20_000))
    agent.sync()
    server.requests.clear()
    more = contents_of(20_050)
    added = publisher.add_contents(more)
    report = agent.sync()
    assert agent.notices == []
    assert report.categories[0].way == "patch"
    whole = added.length + sum(added.tiers_length.values())
    assert report.fetched < whole / 4 + 40_000, "the rest is TUF's own metadata"
    assert not any(path.endswith(f".{name}.zst") for name in NAMES for path in server.requests)
    assert holds(agent, more)
    for name, one in tiers(agent).items():
        assert dump(one.metadata) == dump(added.tiers.made[name])


def test_an_agent_some_versions_behind_is_served_a_patch(publisher, agent, server):
    publisher.add_contents(contents_of(7000))
    agent.sync()
    for count in (7010, 7020, 7030):
        publisher.add_contents(contents_of(count))
    server.requests.clear()
    agent.sync()
    assert agent.notices == []
    assert not any(path.endswith(f".{name}.zst") for name in NAMES for path in server.requests)
    assert holds(agent, contents_of(7030))


def test_a_digest_without_a_size_takes_the_tier_from_every_agent(publisher, agent):
    publisher.add_contents(contents_of(100))
    agent.sync()
    source = listed(
        publisher.directory / "tiered", contents_of(100), without=[b"of a size nobody gave"]
    )
    added = versions.add(publisher.path, [publisher.keys], "baseline", [source], jobs=1)
    assert added.tiers_gone == NAMES
    agent.sync()
    assert tiers(agent) == {}
    assert agent.filter().metadata.digests == 101


def test_sizes_that_come_later_come_without_the_filter(publisher, agent, server):
    contents = contents_of(5000)
    publisher.add_contents(contents, columns=("sha1",))
    agent.sync()
    before = agent.filter()
    assert tiers(agent) == {}
    server.requests.clear()
    added = publisher.add_contents(contents)
    assert not added.changed
    agent.sync()
    assert set(tiers(agent)) == set(NAMES)
    assert agent.filter().metadata == before.metadata
    assert not any("filter.zst" in path for path in server.requests)


def test_sizes_that_are_put_right_replace_the_wrong_ones(publisher, agent):
    digest = "ab" * 20
    source = publisher.directory / "tiered"
    for size in (5, 6):
        source.write_text(f"sha1,size\n{digest},{size}\n")
        versions.add(publisher.path, [publisher.keys], "baseline", [str(source)], jobs=1)
        agent.sync()
        assert size_key(size) in agent.filter().tiers.sizes
    assert size_key(5) not in agent.filter().tiers.sizes


def test_the_same_lists_again_change_nothing(publisher, agent):
    publisher.add_contents(contents_of(50))
    agent.sync()
    before = {name: one.metadata for name, one in tiers(agent).items()}
    publisher.add_contents(contents_of(50))
    report = agent.sync()
    assert report.categories[0].state == "current"
    assert {name: one.metadata for name, one in tiers(agent).items()} == before


def test_tiers_can_be_withheld(publisher, agent):
    publisher.add_contents(contents_of(50))
    agent.sync()
    added = publisher.add_contents(contents_of(50), tiers=False)
    assert added.tiers_gone == NAMES
    agent.sync()
    assert tiers(agent) == {}


@pytest.mark.parametrize("fault", [flip, truncate(), status(500), status(404)])
@pytest.mark.parametrize("name", NAMES)
def test_a_tier_that_cannot_be_had_does_not_hold_up_the_filter(
    publisher, agent, server, fault, name
):
    publisher.add_contents(contents_of(300))
    server.fault(f".{name}.zst", fault)
    report = agent.sync()
    assert report.categories[0].state == "updated"
    assert name not in tiers(agent)
    assert len(tiers(agent)) == 1
    assert any("more files are read than need be" in notice for notice in agent.notices)
    # Again and again without it: that is no other filter each time.
    assert agent.sync().categories[0].state == "current"
    server.heal()
    assert agent.sync().categories[0].state == "updated"
    assert set(tiers(agent)) == set(NAMES)


def test_a_tier_that_was_signed_for_another_filter_is_left_out(publisher, agent):
    publisher.add_contents(contents_of(60))

    def change(signed):
        target = signed.targets[whole_target("baseline", "sizes")]
        target.unrecognized_fields["custom"]["hashscan"]["metadata"]["filter"] = "ab" * 32

    publisher.sign_targets(change)
    agent.sync()
    assert set(tiers(agent)) == {"heads"}
    assert any("is of another filter" in notice for notice in agent.notices)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.update(tier="heads"),
        lambda metadata: metadata.update(capacity=1 << 60),
        lambda metadata: metadata.update(length=1 << 50),
        lambda metadata: metadata.update(error_rate="nan"),
        lambda metadata: metadata.pop("filter"),
        lambda metadata: metadata.update(more=1),
        lambda metadata: metadata.clear(),
    ],
)
def test_insane_metadata_of_a_tier_costs_only_the_tier(publisher, agent, change):
    publisher.add_contents(contents_of(60))

    def changed(signed):
        target = signed.targets[whole_target("baseline", "sizes")]
        change(target.unrecognized_fields["custom"]["hashscan"]["metadata"])

    publisher.sign_targets(changed)
    assert agent.sync().categories[0].state == "updated"
    assert set(tiers(agent)) == {"heads"}


def test_a_damaged_tier_on_disk_is_fetched_again(publisher, agent):
    publisher.add_contents(contents_of(60))
    agent.sync()
    path = Path(tier_path(agent.filter().path, "sizes"))
    path.write_bytes(b"damaged")
    assert set(tiers(agent)) == {"heads"}
    agent.sync()
    assert set(tiers(agent)) == set(NAMES)


def test_a_published_tier_that_was_changed_is_not_built_upon(publisher):
    publisher.add_contents(contents_of(60))
    for directory, _, names in os.walk(os.path.join(publisher.path, "targets")):
        for name in names:
            if name.endswith(".sizes.zst"):
                Path(directory, name).write_bytes(b"changed")
    with pytest.raises(Exception, match="is not the file that was published"):
        publisher.add_contents(contents_of(70))


@pytest.mark.parametrize("name", NAMES)
def test_a_tier_in_use_is_not_given_up_for_a_servers_bad_minute(
    publisher, agent, server, monkeypatch, name
):
    """Every agent would read all that it rules out; so the version in use stays for some hours."""
    publisher.add_contents(contents_of(300))
    agent.sync()
    before = agent.filter().version
    publisher.add_contents(contents_of(900))
    server.fault(f".{name}", status(503))
    report = agent.sync()
    assert report.categories[0].state == "unreachable"
    assert "that one stays, with its tiers, until it can be had, or for 6" in (
        report.categories[0].message
    )
    assert set(tiers(agent)) == set(NAMES)
    assert agent.filter().version == before
    server.heal()
    assert agent.sync().categories[0].state == "updated"
    assert set(tiers(agent)) == set(NAMES)
    assert holds(agent, contents_of(900))
    # But not for ever: whoever holds a tier back must not hold the filter back.
    publisher.add_contents(contents_of(1500))
    server.fault(f".{name}", status(503))
    monkeypatch.setattr("hashscan.known.sync.client._PATIENCE", 0.0)
    (report,) = agent.sync().categories
    assert report.state == "updated"
    assert "is not used, so more files are read" in report.message
    assert name not in tiers(agent)
    assert agent.filter().metadata.digests == 1500


def test_a_tier_that_is_wrong_is_not_waited_for(publisher, agent, server):
    publisher.add_contents(contents_of(300))
    agent.sync()
    publisher.add_contents(contents_of(900))
    server.fault(".sizes", flip)
    (report,) = agent.sync().categories
    assert report.state == "updated"
    assert set(tiers(agent)) == {"heads"}


def test_what_is_in_use_is_never_moved_away_for_a_damaged_tier(publisher, agent, monkeypatch):
    """A scan that starts meanwhile, or after a kill, finds the filter."""
    publisher.add_contents(contents_of(60))
    agent.sync()
    Path(tier_path(agent.filter().path, "sizes")).write_bytes(b"damaged")
    real = os.replace
    seen = []

    def replace(one, other, *rest, **options):
        seen.append(agent.filter().metadata.digests)
        real(one, other, *rest, **options)
        seen.append(agent.filter().metadata.digests)

    monkeypatch.setattr("hashscan.known.sync.client.os.replace", replace)
    agent.sync()
    monkeypatch.undo()
    assert len(seen) >= 4
    assert set(seen) == {60}
    assert set(tiers(agent)) == set(NAMES)
    directory = Path(agent.filter().path).parent.parent
    agent.sync()
    assert len(os.listdir(directory)) <= 2, "old versions are removed"


def test_a_tier_of_the_same_bits_has_no_patch_to_itself(publisher):
    for count in (2000, 2701):  # of sizes that are there already
        added = publisher.add_contents(contents_of(count))
    newest = Metadata.from_bytes(publisher.read(publisher.newest("targets"))).signed.targets
    for path, target in newest.items():
        custom = read_custom(target)
        assert getattr(custom, "base", "") != custom.metadata.sha256, path
    assert added.tiers_changed == NAMES


def test_no_remains_of_a_fetch_lie_beside_the_filter(publisher, agent, server):
    publisher.add_contents(contents_of(300))
    server.fault(".sizes.zst", flip)
    agent.sync()
    names = os.listdir(Path(agent.filter().path).parent)
    assert sorted(names) == [
        "filter.bloom", "filter.bloom.heads", "filter.bloom.heads.json", "filter.bloom.json",
    ]  # fmt: skip


def test_what_was_published_is_told(publisher, capsys):
    from hashscan.cli.repository import _print_added

    source = publisher.directory / "tiered"
    told = []
    for row in ("5", "6", ""):
        source.write_text(f"sha1,size\n{'ab' * 20},{row}\n")
        _print_added(
            versions.add(publisher.path, [publisher.keys], "baseline", [str(source)], jobs=1)
        )
        told.append(capsys.readouterr().out)
    assert "sizes: every digest has one, 5 to 5 bytes" in told[0]
    assert "tiers published again: sizes" in told[1]
    assert "tiers withdrawn: sizes" in told[2]
    assert "sizes: withdrawn, because 1 digests lack them; agents read the files" in told[2]
    assert "published again" not in told[2]


def test_superseded_tiers_go_and_named_ones_stay(publisher, agent):
    for number in range(1, 6):
        publisher.add_contents(contents_of(400 + number))
    top = Path(publisher.path)
    (top / "metadata" / f".1.root.json.{'a' * 12}.tmp").touch()
    (top / "metadata" / "of somebody else").touch()
    (top / "targets" / "baseline" / f".filter.zst.{'b' * 12}.tmp").touch()
    long_ago = time.time() - 3 * repository.KEEP
    for path in top.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    publisher.let_time_pass(3 * repository.KEEP)
    before = {path.name for path in (top / "targets" / "baseline").iterdir()}
    publisher.refresh()
    publisher.refresh()
    newest = Metadata.from_bytes(publisher.read(publisher.newest("targets"))).signed
    older = Metadata.from_bytes(publisher.read(f"{newest.version - 1}.targets.json")).signed
    named = {
        target_file(path, target.hashes["sha256"]).rpartition("/")[2]
        for one in (newest, older)
        for path, target in one.targets.items()
    }
    assert {path.name for path in (top / "targets" / "baseline").iterdir()} == named
    for part in ("filter", "sizes", "heads"):
        assert any(name.endswith(f".{part}.zst") for name in before - named)
    assert not list(top.rglob(".*.tmp"))
    assert (top / "metadata" / "of somebody else").exists()
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
