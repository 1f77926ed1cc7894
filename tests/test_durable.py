"""hashscan.durable: a file is whole or absent, and on disk when it has its name."""

import errno
import hashlib
import os
import signal

import pytest
from isolating import fork, needs_root
from syncs import watched

from hashscan import durable
from hashscan.durable import make_directories, new_file, replace_file, sync_directory
from hashscan.errors import UnsafePathError
from hashscan.state import State

CONTENT = os.urandom(100_000)


@pytest.fixture(params=["unnamed", "no-unnamed-files", "no-proc"])
def kind(request, monkeypatch):
    """How a file is kept until it has its name."""
    if request.param == "no-unnamed-files":
        real = os.open

        def refuses(path, flags, *arguments, **options):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", refuses)
    elif request.param == "no-proc":
        real_exists = os.path.exists
        monkeypatch.setattr(
            os.path, "exists", lambda path: not str(path).startswith("/proc") and real_exists(path)
        )
    return request.param


def identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def test_it_has_its_name_when_it_is_whole(kind, tmp_path):
    path = tmp_path / "new"
    with new_file(str(path), 0o640) as file:
        file.write(CONTENT)
        file.flush()
        assert not path.exists()
        assert len(os.listdir(tmp_path)) == (0 if kind == "unnamed" else 1)
    assert os.listdir(tmp_path) == ["new"]
    assert path.read_bytes() == CONTENT
    assert os.stat(path).st_mode & 0o7777 == 0o640
    assert os.stat(path).st_nlink == 1


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), ValueError(), KeyboardInterrupt()]
)
def test_a_failure_leaves_nothing(kind, tmp_path, error):
    with pytest.raises(type(error)), new_file(str(tmp_path / "new")) as file:
        file.write(CONTENT)
        raise error
    assert os.listdir(tmp_path) == []


def test_a_kill_leaves_nothing_under_the_name(kind, tmp_path):
    def killed():
        with new_file(str(tmp_path / "new")) as file:
            file.write(CONTENT)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    assert fork(killed) == ("killed", signal.SIGKILL)
    assert not (tmp_path / "new").exists()
    if kind == "unnamed":
        assert os.listdir(tmp_path) == []


def test_what_has_the_name_is_not_overwritten(kind, tmp_path):
    path = tmp_path / "new"
    path.symlink_to("nowhere")
    with pytest.raises(FileExistsError), new_file(str(path)):
        raise AssertionError("the work was begun")
    path.unlink()
    with pytest.raises(FileExistsError), new_file(str(path)) as file:
        file.write(CONTENT)
        path.write_bytes(b"another")
    assert path.read_bytes() == b"another"
    assert os.listdir(tmp_path) == ["new"]


def test_a_temporary_name_that_changes_hands_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "_UNNAMED", os.O_RDONLY | os.O_CLOEXEC | os.O_CREAT)  # EISDIR
    with (
        pytest.raises(OSError, match="another process replaced"),
        new_file(str(tmp_path / "new")) as file,
    ):
        file.write(CONTENT)
        (name,) = tmp_path.iterdir()
        name.unlink()
        name.write_bytes(b"another")


@pytest.mark.parametrize("how", ["absolute", "relative", "beside"])
def test_content_first_then_the_name_then_its_directory(kind, how, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    path, above = {
        "absolute": (str(tmp_path / "in" / "new"), tmp_path / "in"),
        "relative": ("in/new", tmp_path / "in"),
        "beside": ("new", tmp_path),
    }[how]
    with watched(monkeypatch) as seen, new_file(path) as file:
        file.write(CONTENT)
    events = seen.events
    assert [call for call, *_ in events] == ["fsync", events[1][0], "fsync"]
    assert events[0][1] == identity(above / "new")
    assert events[1][1:] == (identity(above), b"new")
    assert events[2][1] == identity(above)


@pytest.mark.parametrize("how", ["absolute", "relative", "beside"])
def test_a_file_is_replaced_in_the_same_order(how, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    path, above = {
        "absolute": (str(tmp_path / "in" / "new"), tmp_path / "in"),
        "relative": ("in/new", tmp_path / "in"),
        "beside": ("new", tmp_path),
    }[how]
    (above / "new").write_bytes(b"old")
    with watched(monkeypatch) as seen:
        replace_file(path, CONTENT, 0o644)
    assert (above / "new").read_bytes() == CONTENT
    assert os.stat(above / "new").st_mode & 0o7777 == 0o644
    assert [call for call, *_ in seen.events] == ["fsync", "replace", "fsync"]
    assert seen.events[0][1] == identity(above / "new")
    assert seen.events[2][1] == identity(above)


def test_a_replacement_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "new").write_bytes(b"old")

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        replace_file(str(tmp_path / "new"), CONTENT)
    assert os.listdir(tmp_path) == ["new"]
    assert (tmp_path / "new").read_bytes() == b"old"


def test_the_directory_that_is_named_is_synced(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    with watched(monkeypatch) as seen:
        sync_directory(str(tmp_path / "in"))
    assert seen.events == [("fsync", identity(tmp_path / "in"), None)]


def test_an_error_of_the_disk_is_one(tmp_path, monkeypatch):
    def fails(number):
        def fsync(fd):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    fails(errno.EINVAL)  # a file system that does not know it
    sync_directory(str(tmp_path))
    fails(errno.EIO)
    with pytest.raises(OSError):
        sync_directory(str(tmp_path))


def test_directories_that_are_made_are_there_after_a_power_cut(tmp_path, monkeypatch):
    with watched(monkeypatch) as seen:
        make_directories(str(tmp_path / "a" / "b" / "c"), 0o750)
        make_directories(str(tmp_path / "a" / "b" / "c"))
    synced = {inode for call, inode, _ in seen.events if call == "fsync"}
    assert synced == {identity(tmp_path), identity(tmp_path / "a"), identity(tmp_path / "a" / "b")}
    assert seen.lost_in_a_power_cut() == []
    assert os.stat(tmp_path / "a" / "b" / "c").st_mode & 0o7777 == 0o750


def test_a_public_directory_is_readable_whatever_the_umask(tmp_path):
    umask = os.umask(0o077)
    try:
        durable.make_public_directory(str(tmp_path / "a" / "b"))
    finally:
        os.umask(umask)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o7777 == 0o755
    (tmp_path / "a" / "b").chmod(0o700)
    durable.make_public_directory(str(tmp_path / "a" / "b") + "/")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o7777 == 0o755


@pytest.mark.root
@needs_root
def test_nothing_is_changed_behind_a_customers_link(tmp_path):
    (tmp_path / "cust").mkdir()
    (tmp_path / "victim").mkdir(mode=0o700)
    (tmp_path / "victim" / "f").touch()
    os.utime(tmp_path / "victim" / "f", (1, 1))
    for name in ("victim", "victim/f"):
        link = tmp_path / "cust" / os.path.basename(name)
        link.symlink_to(tmp_path / name)
        os.chown(link, 4711, 4711, follow_symlinks=False)
    with pytest.raises(UnsafePathError):
        durable.make_public_directory(str(tmp_path / "cust" / "victim"))
    with pytest.raises(UnsafePathError):
        durable.touch(str(tmp_path / "cust" / "victim" / "f"))
    with pytest.raises(UnsafePathError):
        durable.remove(str(tmp_path / "cust" / "victim" / "f"))
    durable.touch(str(tmp_path / "cust" / "f"))
    assert (tmp_path / "victim" / "f").stat().st_mtime == 1
    assert (tmp_path / "victim").stat().st_mode & 0o7777 == 0o700


def test_a_state_directory_is_there_after_a_power_cut(tmp_path, monkeypatch):
    with watched(monkeypatch) as seen:
        State(str(tmp_path / "a" / "state"))
    assert {name for _, name, *_ in seen.made} == {b"a", b"state", b"filters"}
    assert seen.lost_in_a_power_cut() == []


# What the commands make


def hashscan(*arguments):
    from click.testing import CliRunner

    from hashscan.cli import cli

    done = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert done.exception is None, done.output + repr(done.exception)


def filter_build(tmp_path):
    yield "filter", "build", tmp_path / "list", "-o", tmp_path / "filter"
    yield "filter", "build", tmp_path / "list", "-o", tmp_path / "filter", "--force"


def repository(tmp_path):
    where, keys = tmp_path / "repository", tmp_path / "keys"
    yield "repository", "init", where, "--keys", keys
    yield "repository", "add", where, tmp_path / "list", "--keys", keys, "--category", "x"
    yield "repository", "refresh", where, "--keys", keys


def service(tmp_path):
    (tmp_path / "password").write_text("a long password")
    yield "service", "load", tmp_path / "list", "--data", tmp_path / "data"
    yield (
        "service", "user", "add", "one", "--data", tmp_path / "data",
        "--password-file", tmp_path / "password",
    )  # fmt: skip


def config(tmp_path):
    yield "config", "init", "-o", tmp_path / "new" / "config.yaml"
    yield "config", "init", "-o", tmp_path / "new" / "config.yaml", "--force"


def scan(tmp_path):
    state = tmp_path / "deep" / "state"
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "f").write_bytes(b"known")
    options = ("--known", tmp_path / "list", "--state", state, "--jobs", "1")
    yield "scan", tmp_path / "volume", *options, "--action", "quarantine"
    (one,) = [name for name in os.listdir(state / "quarantine") if name.startswith("2")]
    yield "quarantine", "export", one, "-o", tmp_path / "evidence.tar", "--state", state


@pytest.mark.parametrize("job", [filter_build, repository, service, config, scan])
def test_what_a_command_makes_is_there_after_a_power_cut(job, tmp_path, monkeypatch):
    digests = [os.urandom(20).hex() for _ in range(50)]
    digests.append(hashlib.sha1(b"known").hexdigest())
    (tmp_path / "list").write_text("\n".join(digests) + "\n")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    with watched(monkeypatch) as seen:
        for arguments in job(tmp_path):
            hashscan(*arguments)
    assert len(seen.made) > 1
    assert seen.lost_in_a_power_cut() == []
    # A customer's own file is moved as it is, and synced at its new place.
    assert [name for name in seen.empty_after_a_power_cut() if name != b"content"] == []
