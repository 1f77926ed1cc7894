"""Keys and what is kept beside them: each error of the disk names the path and the way out."""

import errno
import os
from datetime import UTC, datetime

import pytest
from faulty import open_descriptors, raising

from hashscan.errors import UsageError
from hashscan.publisher import clock, keys, versions

ROLES = keys.ROLES


@pytest.fixture
def made(tmp_path):
    """A directory with two keys."""
    directory = str(tmp_path / "keys")
    keys.make_key(directory, ROLES[0])
    keys.make_key(directory, ROLES[1])
    return directory


def test_a_key_gets_the_next_number(made):
    keys.make_key(made, ROLES[0])
    os.rename(f"{made}/{ROLES[0]}-1.pem", f"{made}/{ROLES[0]}-7.pem")
    keys.make_key(made, ROLES[0])
    assert sorted(os.listdir(made)) == sorted(
        [f"{ROLES[0]}-2.pem", f"{ROLES[0]}-7.pem", f"{ROLES[0]}-8.pem", f"{ROLES[1]}-1.pem"]
    )
    assert all(os.stat(f"{made}/{name}").st_mode & 0o777 == 0o600 for name in os.listdir(made))


def test_keys_by_their_ids(made):
    loaded, paths = keys.load_keys([made]), keys.key_files([made])
    assert set(loaded) == set(paths)
    assert sorted(paths.values()) == sorted(f"{made}/{name}" for name in os.listdir(made))
    for key_id, signer in loaded.items():
        assert signer.public_key.keyid == key_id


def test_keys_that_cannot_be_made_or_read(made, tmp_path, monkeypatch):
    before = open_descriptors()
    with pytest.raises(UsageError, match=r"cannot be read: No such file.*medium"):
        keys.load_keys([str(tmp_path / "none")])
    os.mkdir(f"{made}/{ROLES[0]}-9.pem", 0o700)
    with pytest.raises(UsageError, match="is no regular file; take it out of --keys"):
        keys.load_keys([made])
    os.rmdir(f"{made}/{ROLES[0]}-9.pem")
    os.chmod(f"{made}/{ROLES[0]}-1.pem", 0o640)
    with pytest.raises(UsageError, match=r"others may use it .mode 0640.*chmod 600"):
        keys.load_keys([made])
    os.chmod(made, 0o750)
    with pytest.raises(UsageError, match=r"others may use it .mode 0750.*chmod 700"):
        keys.load_keys([made])
    with pytest.raises(UsageError, match="others may use it"):
        keys.make_key(made, ROLES[0])
    os.chmod(made, 0o700)
    monkeypatch.setattr(keys, "new_file", raising(errno.ENOSPC))
    with pytest.raises(UsageError, match="the key cannot be kept there: No space left"):
        keys.make_key(made, ROLES[0])
    assert open_descriptors() == before


def test_the_first_root_is_kept_beside_the_keys(made, tmp_path, monkeypatch):
    other = str(tmp_path / "other")
    os.mkdir(other, 0o700)
    with pytest.raises(UsageError, match="is missing, so nothing shows whether"):
        keys.read_pin([made, other])
    keys.keep_pin(made, b"root")
    assert keys.read_pin([made, other]) == b"root"
    keys.keep_pin(other, b"root")
    assert keys.read_pin([made, other]) == b"root"
    keys.keep_pin(other, b"another")
    with pytest.raises(UsageError, match="differs, so nothing shows whether"):
        keys.read_pin([made, other])
    os.unlink(f"{other}/{keys.PIN}")
    os.symlink(keys.PIN, f"{other}/{keys.PIN}")
    with pytest.raises(UsageError, match="cannot be read: Too many levels"):
        keys.read_pin([other])
    monkeypatch.setattr(keys, "replace_file", raising(errno.EROFS))
    with pytest.raises(UsageError, match="the root cannot be kept there: Read-only"):
        keys.keep_pin(made, b"root")


def test_published_versions_are_kept_beside_the_pin(made, tmp_path, monkeypatch):
    other = str(tmp_path / "other")
    os.mkdir(other, 0o700)
    assert keys.read_published([made, other]) == {}
    keys.keep_pin(made, b"root")
    keys.keep_published([made, other], dict.fromkeys(ROLES, 3))
    assert not os.path.exists(f"{other}/{keys.PUBLISHED}"), "there is no pin"
    keys.keep_pin(other, b"root")
    keys.keep_published([other], {**dict.fromkeys(ROLES, 2), ROLES[0]: 5})
    assert keys.read_published([made, other]) == {**dict.fromkeys(ROLES, 3), ROLES[0]: 5}
    for content in (b"", b"[]", b"{}", b'{"root": "x"}'):
        with open(f"{other}/{keys.PUBLISHED}", "wb") as file:
            file.write(content)
        with pytest.raises(UsageError, match="is damaged"):
            keys.read_published([made, other])
    monkeypatch.setattr(keys, "replace_file", raising(errno.EDQUOT))
    with pytest.raises(UsageError, match=r"published, but .* cannot be kept there: Disk quota"):
        keys.keep_published([made], dict.fromkeys(ROLES, 4))


def test_the_count_of_time_that_cannot_be_kept(made, monkeypatch):
    keys.keep_pin(made, b"root")
    monkeypatch.setattr(clock, "_places", lambda _keys: [f"{made}/clock"])
    monkeypatch.setattr(clock, "replace_file", raising(errno.ENOSPC))
    with pytest.raises(UsageError, match="the count of time cannot be kept there: No space"):
        clock.keep_clock([made])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"error_rate": 0.11}, "--error-rate 0.11 is not between"),
        ({"error_rate": 9e-13}, "--error-rate 9e-13 is not between"),
        ({"head_room": -0.1}, "--head-room -0.1 is not between"),
        ({"head_room": 10.1}, "--head-room 10.1 is not between"),
        ({"category": "no category"}, "--category 'no category' is no category"),
    ],
)
def test_options_of_a_version_beyond_their_limits(tmp_path, options, words):
    given = {"category": "baseline", "error_rate": 1e-6, "head_room": 0.1, **options}
    category = given.pop("category")
    with pytest.raises(UsageError) as caught:
        versions.add(
            str(tmp_path / "r"), [str(tmp_path / "k")], category, [str(tmp_path / "l")],
            now=datetime.now(UTC), **given,
        )  # fmt: skip
    assert str(caught.value).startswith(words)
