"""The publisher: signed as TUF demands, whole after a kill, and careful with what it is given."""

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from publishing import Agent, Publisher, all_files, later, random_digests
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater

from hashscan.errors import (
    ExitCode,
    FilterError,
    LockedError,
    RepositoryRefusedError,
    UsageError,
)
from hashscan.publisher import keys, publish, repository

DAY = 86400.0


def roles(done):
    return {one.role: one.version for one in done.roles}


# -- what is published ----------------------------------------------------------------------------


def test_any_tuf_client_takes_it(tmp_path, publisher, server):
    """python-tuf's own client with its own fetcher, from the pinned root on."""
    for name in ("trust", "files"):
        (tmp_path / name).mkdir()
    with open(publisher.root, "rb") as root:
        updater = Updater(
            str(tmp_path / "trust"),
            server.url + "/metadata/",
            str(tmp_path / "files"),
            server.url + "/targets/",
            bootstrap=root.read(),
        )
    target = updater.get_targetinfo("baseline/filter.zst")
    path = updater.download_target(target)
    assert os.path.getsize(path) == target.length


def test_the_lists_never_leave(publisher, digests):
    publisher.add(digests[1:])
    for path, content in all_files(publisher.path).items():
        text = content.lower()
        for digest in digests:
            assert digest.encode() not in text, path
            assert bytes.fromhex(digest) not in content, path
    assert not any(name.endswith(".pem") for name in os.listdir(publisher.path))


def test_modes_serve_a_web_server_and_keep_keys_private(publisher):
    publisher.rotate("root")
    for path, folders, files in os.walk(publisher.path):
        assert os.stat(path).st_mode & 0o777 == 0o755, path
        for name in files:
            assert os.stat(os.path.join(path, name)).st_mode & 0o777 == 0o644, name
        del folders
    assert os.stat(publisher.keys).st_mode & 0o777 == 0o700
    for name in os.listdir(publisher.keys):
        assert os.stat(os.path.join(publisher.keys, name)).st_mode & 0o777 == 0o600


def test_the_same_list_again_renews_and_changes_nothing(publisher, digests):
    before = publisher.published
    done = publisher.add(reversed(digests))
    assert not done.changed
    assert publisher.published == before
    assert roles(done.published) == {"root": 1, "targets": 3, "snapshot": 3, "timestamp": 3}


def test_the_capacity_has_head_room_and_is_made_anew_when_it_is_used_up(publisher, digests):
    first = publisher.add(digests + random_digests(75))
    assert not first.anew
    assert first.metadata.capacity == 375 + 16
    assert len(first.patches) == 1
    second = publisher.add(digests + random_digests(76))
    assert second.anew
    assert second.metadata.capacity == 470 + 16
    assert second.patches == ()
    third = publisher.add(digests, error_rate=1e-5)
    assert third.metadata.error_rate == 1e-5
    assert third.patches == ()


def test_a_patch_that_is_not_smaller_is_not_published(publisher):
    done = publisher.add(random_digests(300))
    assert done.patches == ()


def test_patches_from_the_last_versions_only(publisher, digests):
    bases = [publisher.add(digests[:-n], patches=3).metadata.sha256 for n in range(1, 6)]
    done = publisher.add(digests, patches=3)
    # The list of the first version again: from then on its own digest is no base any more.
    assert [one.base for one in done.patches] == bases[:1:-1][:3]
    for number in (1, 0):
        done = publisher.add(digests[number + 7 :], patches=number)
        assert len(done.patches) == number


def test_a_large_change_needs_somebodys_word(publisher):
    first = random_digests(2000)
    publisher.add(first, "large")
    for changed in (first[:1799], first + random_digests(2001), random_digests(2000)):
        with pytest.raises(UsageError, match="--allow-large-change"):
            publisher.add(changed, "large", allow_large_change=False)
    for changed in (first[200:], first + random_digests(1500)):
        publisher.add(changed, "large", allow_large_change=False)


@pytest.mark.parametrize("category", ["", "../up", "a/b", ".hidden", "-x", "x" * 65])
def test_a_category_that_is_none(category, publisher):
    before = all_files(publisher.path)
    with pytest.raises(UsageError, match="no category"):
        publisher.add(random_digests(3), category)
    assert all_files(publisher.path) == before


# -- refresh ----------------------------------------------------------------------------------------


def test_refresh_renews_what_is_on_line(tmp_path, publisher, server):
    offline = tmp_path / "offline"
    offline.mkdir(mode=0o700)
    for name in ("root-1.pem", "targets-1.pem"):
        os.rename(os.path.join(publisher.keys, name), offline / name)
    agent = Agent(tmp_path / "state", server.url, publisher.root)
    done = publisher.refresh(now=later(days=1))
    assert {one.role for one in done.roles if one.renewed} == {"snapshot", "timestamp"}
    assert done.warnings == ()
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    done = publisher.refresh(now=later(days=65))
    assert [warning.split()[0] for warning in done.warnings] == ["targets"]
    done = publish.refresh(publisher.path, [publisher.keys, str(offline)], now=later(days=300))
    assert {one.role for one in done.roles if one.renewed} == {
        "root", "targets", "snapshot", "timestamp",
    }  # fmt: skip
    assert done.warnings == ()
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    with pytest.raises(UsageError, match="1 keys of the role targets"):
        publisher.add(random_digests(3))


@pytest.mark.parametrize(("seconds", "is_due"), [(-1, True), (0, False)])
def test_metadata_is_renewed_in_the_last_third_of_its_term(publisher, seconds, is_due):
    expires = Metadata.from_bytes(publisher.read("2.targets.json")).signed.expires
    now = expires - publish.TERMS["targets"] / 3 - timedelta(seconds=seconds)
    assert roles(publisher.refresh(now=now))["targets"] == (3 if is_due else 2)


def test_metadata_has_expired_at_the_second_of_its_end(publisher):
    os.unlink(os.path.join(publisher.keys, "targets-1.pem"))
    expires = Metadata.from_bytes(publisher.read("2.targets.json")).signed.expires
    assert not publisher.refresh(now=expires - timedelta(seconds=1)).expired
    assert publisher.refresh(now=expires).expired


def test_terms_can_be_chosen(publisher):
    done = publisher.refresh(now=later(days=10), terms={"timestamp": timedelta(hours=1)})
    expires = {one.role: one.expires for one in done.roles}
    assert abs((expires["timestamp"] - later(days=10, hours=1)).total_seconds()) < 60
    assert abs((expires["snapshot"] - later(days=17)).total_seconds()) < 60


def test_the_terms_that_are_not_chosen_are_those_of_the_documents():
    usage = Path(__file__).parents[2] / "docs" / "usage.md"
    terms = " ".join(f"{role}={term.days}d" for role, term in publish.TERMS.items())
    assert f"default: `{terms}`." in usage.read_text(encoding="utf-8")


# -- thresholds and rotation ------------------------------------------------------------------------


def test_two_of_three_root_keys(tmp_path):
    one = Publisher(tmp_path / "p").init(counts={"root": 3}, thresholds={"root": 2})
    first, second, third = Metadata.from_bytes(one.read("1.root.json")).signed.roles["root"].keyids
    os.unlink(os.path.join(one.keys, "root-2.pem"))  # one is lost
    with pytest.raises(UsageError, match="name the key of the role"):
        one.rotate("root")
    lost = next(iter({first, second, third} - set(keys.load_keys([one.keys]))))
    done = one.rotate("root", remove=[lost])
    assert done.removed_keys == (lost,)
    for _ in range(2):
        pems = [name for name in os.listdir(one.keys) if name.startswith("root-")]
        os.unlink(os.path.join(one.keys, min(pems)))
    before = all_files(one.directory)
    with pytest.raises(UsageError, match="2 keys of the role root are needed"):
        one.rotate("timestamp")
    assert all_files(one.directory) == before, "no key is made"


def test_a_threshold_that_cannot_be_reached(tmp_path):
    with pytest.raises(UsageError, match="cannot give 2 signatures"):
        Publisher(tmp_path / "p").init(thresholds={"targets": 2})


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_an_agent_that_slept_follows_all_changes_of_keys(role, tmp_path, publisher, server):
    agent = Agent(tmp_path / "state", server.url, publisher.root)
    agent.sync()
    for _ in range(4):
        publisher.rotate(role)
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND


# -- keys -----------------------------------------------------------------------------------------


def test_keys_that_others_may_read_are_refused(publisher):
    path = os.path.join(publisher.keys, "targets-1.pem")
    os.chmod(path, 0o640)
    with pytest.raises(UsageError, match=rf"chmod 600 {re.escape(path)}"):
        publisher.refresh()
    os.chmod(path, 0o600)
    os.chmod(publisher.keys, 0o711)
    with pytest.raises(UsageError, match=r"chmod 700"):
        publisher.refresh()


@pytest.mark.parametrize("content", [b"", b"no key", os.urandom(200)])
def test_a_file_that_is_no_key(content, publisher):
    path = os.path.join(publisher.keys, "targets-7.pem")
    Path(path).write_bytes(content)
    os.chmod(path, 0o600)
    with pytest.raises(UsageError, match=r"targets-7\.pem: is no private key"):
        publisher.refresh()


def test_an_encrypted_key_asks_for_its_passphrase(publisher):
    path = os.path.join(publisher.keys, "timestamp-1.pem")
    from cryptography.hazmat.primitives import serialization

    with open(path, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    Path(path).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    asked = []

    def ask(where):
        asked.append(where)
        return "word"

    publisher.refresh(ask=ask)
    assert asked == [path]
    with pytest.raises(UsageError, match="nobody can be asked"):
        publisher.refresh()
    with pytest.raises(UsageError, match="passphrase is wrong"):
        publisher.refresh(ask=lambda _: "other")


def test_keys_must_not_lie_in_the_repository(tmp_path):
    for where in ("repository/keys", "repository/x/../keys", "repository"):
        with pytest.raises(UsageError, match="lies in the repository"):
            publish.init(str(tmp_path / "repository"), str(tmp_path / where))


def test_nothing_is_overwritten(tmp_path, publisher):
    before = all_files(publisher.directory)
    for directory, keys_directory, words in (
        (publisher.path, str(tmp_path / "new-keys"), "not empty"),
        (str(tmp_path / "new"), publisher.keys, "holds keys already"),
    ):
        with pytest.raises(UsageError, match=words):
            publish.init(directory, keys_directory)
    assert all_files(publisher.directory) == before


# -- a repository that was tampered with --------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["1.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"]
)
def test_a_change_that_nobody_signed_is_not_built_on(name, publisher):
    path = Path(publisher.path, "metadata", name)
    content = path.read_bytes()
    for changed in (
        re.sub(rb'("expires": *"20)', rb"\g<1>9", content, count=1),
        # Other digits, whatever the first ones are.
        re.sub(
            rb'("sig": *")(.)',
            lambda found: found[1] + (b"1" if found[2] == b"0" else b"0"),
            content,
        ),
        b"{}",
        b"",
        content[:-20],
    ):
        path.write_bytes(changed)
        with pytest.raises(RepositoryRefusedError, match="copy of the repository that you trust"):
            publisher.refresh()
        assert path.read_bytes() == changed
    path.write_bytes(content)
    publisher.refresh()


@pytest.mark.parametrize("other", ["1.snapshot.json", "2.targets.json"])
def test_signed_metadata_of_another_name_is_not_built_on(other, publisher):
    path = Path(publisher.path, "metadata", "2.snapshot.json")
    path.write_bytes(publisher.read(other))
    with pytest.raises(RepositoryRefusedError, match="holds other metadata than its name says"):
        publisher.refresh()


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_a_root_that_names_our_keys_beside_a_thiefs_is_not_signed(role, publisher, digests):
    """Who can write the directory must not get our signature under what he wrote."""
    thief = CryptoSigner.generate_ed25519()
    path = Path(publisher.path, "metadata", "1.root.json")
    root = Metadata.from_bytes(path.read_bytes())
    root.signed.add_key(thief.public_key, "root")
    root.signed.add_key(thief.public_key, role)
    root.signed.expires = later(days=3).replace(microsecond=0)
    root.sign(thief)
    path.write_bytes(root.to_bytes())
    before = all_files(publisher.path)
    for act in (publisher.refresh, lambda: publisher.add(digests), lambda: publisher.rotate(role)):
        with pytest.raises(RepositoryRefusedError, match="not the root that was kept"):
            act()
    assert all_files(publisher.path) == before


def test_without_the_kept_root_nothing_is_signed(publisher):
    os.unlink(os.path.join(publisher.keys, "root.json"))
    with pytest.raises(UsageError, match="copy the file that the agents pinned"):
        publisher.refresh()


def test_a_rotation_that_could_not_end_is_not_begun(tmp_path):
    one = Publisher(tmp_path / "p").init(counts={"targets": 3}, thresholds={"targets": 3})
    present = Metadata.from_bytes(one.read("1.root.json")).signed.roles["targets"].keyids
    before = all_files(one.directory)
    with pytest.raises(UsageError, match="needs 3 signatures"):
        one.rotate("targets", remove=present[:2])
    assert all_files(one.directory) == before
    one.rotate("targets", remove=[present[0], present[0]])


def test_what_the_publisher_did_not_make_stays(publisher, tmp_path):
    foreign = Path(publisher.path, "targets", "baseline")
    other = tmp_path / "other"
    other.mkdir()
    named = "a" * 64 + ".filter.zst"
    (other / named).touch()
    os.utime(other / named, (1, 1))
    (foreign / ".htaccess").write_text("Require all denied")
    (foreign / "directory").mkdir()
    (foreign / named).symlink_to(other / named)
    (foreign / ("b" * 64 + ".filter.zst")).symlink_to("nothing")
    (foreign.parent / "link").symlink_to(other)
    (foreign.parent / "file").touch()
    (Path(publisher.path) / "metadata" / "link").symlink_to("nothing")
    for path in foreign.iterdir():
        os.utime(path, (1, 1), follow_symlinks=False)
    publisher.let_time_pass(3 * repository.KEEP)
    before = {path for path in Path(publisher.path).rglob("*") if path.parent.name != "metadata"}
    publisher.refresh()
    assert before <= set(Path(publisher.path).rglob("*"))
    assert (other / named).exists()


@pytest.mark.parametrize("which", ["filter.zst", "patch-from"])
def test_a_damaged_file_is_not_built_on(which, publisher, digests):
    publisher.add(digests[1:])
    for path in Path(publisher.path, "targets").rglob(f"*{which}*"):
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)
    with pytest.raises(FilterError, match="is not the file that was published"):
        publisher.add(digests[2:])
    publisher.refresh()


def test_no_repository_there(tmp_path):
    one = Publisher(tmp_path / "p")
    with pytest.raises(UsageError, match="repository init"):
        one.refresh() if os.makedirs(one.keys, 0o700) is None else None


def test_one_publisher_at_a_time(publisher):
    with (
        repository.locked(publisher.path),
        pytest.raises(LockedError, match="another hashscan publishes"),
    ):
        publisher.refresh()


# -- an older state ---------------------------------------------------------------------------------


def test_an_older_state_is_not_signed_as_new(tmp_path, publisher, server, digests):
    """A backup, or a state that somebody put back: agents would take withdrawn digests again."""
    agent = Agent(tmp_path / "state", server.url, publisher.root)
    backup = publisher.copy("backup")
    publisher.add(digests[100:])
    agent.sync()
    shutil.rmtree(publisher.path)
    shutil.copytree(backup, publisher.path)
    for command in (publisher.refresh, lambda: publisher.add(digests[100:])):
        with pytest.raises(RepositoryRefusedError, match="older state, which agents refuse"):
            command()
    done = publisher.refresh(continue_older=True)
    assert roles(done) == {"root": 1, "targets": 4, "snapshot": 4, "timestamp": 4}
    publisher.add(digests[100:])
    assert agent.sync().exit_code == ExitCode.NOTHING_FOUND
    assert agent.bytes == publisher.published


def test_an_older_state_is_not_gone_on_from_without_the_targets_keys(publisher, digests):
    backup = publisher.copy("backup")
    publisher.add(digests[100:])
    shutil.rmtree(publisher.path)
    shutil.copytree(backup, publisher.path)
    os.unlink(os.path.join(publisher.keys, "targets-1.pem"))
    with pytest.raises(UsageError, match="1 keys of the role targets"):
        publisher.refresh(continue_older=True)


def test_what_has_expired_is_said(publisher):
    os.unlink(os.path.join(publisher.keys, "targets-1.pem"))
    done = publisher.refresh(now=later(days=91))
    assert done.expired
    assert "targets HAS EXPIRED" in done.warnings[0]
    assert not publisher.refresh(now=later(days=89)).expired


@pytest.mark.parametrize(
    ("name", "why"),
    [("file", "is no directory; name a new one"), ("x" * 300, "File name too long; name another")],
)
def test_a_repository_that_cannot_be_made(tmp_path, name, why):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        publish.init(str(tmp_path / name), str(tmp_path / "keys"))
    assert str(caught.value).startswith(f"{tmp_path / name}: {why}")
    assert sorted(os.listdir(tmp_path)) == ["file"]
