"""hashscan.fs: each error of the kernel is an outcome of its own, and leaves no descriptor open."""

import ctypes
import errno
import os
import stat
from contextlib import ExitStack

import pytest
from faulty import Faulty, break_os, open_descriptors, raising
from isolating import needs_root

from hashscan.fs import beneath, folders, metadata, named, rename, served
from hashscan.fs.beneath import closing

# beneath


@pytest.mark.parametrize(
    ("number", "there"), [(errno.ENOSYS, False), (errno.EPERM, False), (errno.EACCES, True)]
)
def test_a_container_that_forbids_openat2_does_without(monkeypatch, number, there):
    monkeypatch.setattr(beneath, "_known", None)
    monkeypatch.setattr(beneath, "_openat2", raising(number))
    before = open_descriptors()
    assert beneath.has_openat2() is there
    assert open_descriptors() == before


@pytest.mark.parametrize("known", [True, False])
def test_a_step_enters_a_directory_and_no_link(here, monkeypatch, known):
    if known and not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    monkeypatch.setattr(beneath, "_known", known)
    os.mkdir("a", dir_fd=here)
    os.symlink("a", "link", dir_fd=here)
    before = open_descriptors()
    for crossing in (False, True):
        with closing(beneath.open_step(here, b"a", cross_mounts=crossing)) as fd:
            assert os.fstat(fd).st_ino == os.stat("a", dir_fd=here).st_ino
        with pytest.raises(OSError):
            beneath.open_step(here, b"link", cross_mounts=crossing)
    assert open_descriptors() == before


@pytest.mark.parametrize("known", [True, False])
def test_a_step_crosses_a_mount_only_if_asked(monkeypatch, known):
    if known and not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    monkeypatch.setattr(beneath, "_known", known)
    with closing(os.open("/", os.O_RDONLY)) as top:
        before = open_descriptors()
        with pytest.raises(beneath.CrossesMountError) as caught:
            beneath.open_step(top, b"proc")
        assert caught.value.errno == errno.EXDEV
        assert open_descriptors() == before
        with closing(beneath.open_step(top, b"proc", cross_mounts=True)) as fd:
            assert os.fstat(fd).st_dev == os.stat("/proc").st_dev


def test_the_directories_on_the_way(here):
    os.makedirs(f"/proc/self/fd/{here}/a/b/c")
    before = open_descriptors()
    found = [(name, os.fstat(fd).st_ino) for name, fd in beneath.each_on_the_way(here, b"a/b/c")]
    paths = {"a": "a", "b": "a/b", "c": "a/b/c"}
    assert found == [
        (name.encode(), os.stat(path, dir_fd=here).st_ino) for name, path in paths.items()
    ]
    assert list(beneath.each_on_the_way(here, b"")) == []
    with pytest.raises(FileNotFoundError):
        list(beneath.each_on_the_way(here, b"a/b/d"))
    way = beneath.each_on_the_way(here, b"a/b/c")
    next(way)
    way.close()
    assert open_descriptors() == before
    os.fstat(here)  # it is the caller's


def test_a_missing_directory_far_below_leaves_no_descriptor(here, monkeypatch):
    if not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    name = b"n" * 200
    with ExitStack() as stack:
        fd = here
        for _ in range(30):
            os.mkdir(name, dir_fd=fd)
            fd = stack.enter_context(closing(os.open(name, os.O_RDONLY, dir_fd=fd)))
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        beneath.open_directory(here, b"/".join([name] * 30 + [b"none"]))
    assert open_descriptors() == before


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_without_the_right_to_keep_the_access_time_a_file_is_opened_all_the_same(
    here, file, monkeypatch, number
):
    os.write(file, b"x")
    fails = raising(number, os.open, on=lambda _name, flags: flags & os.O_NOATIME)
    break_os(monkeypatch, beneath, open=fails)
    if number == errno.EACCES:
        with pytest.raises(PermissionError):
            beneath.open_file(here, b"file")
        return
    with closing(beneath.open_file(here, b"file")) as fd:
        assert os.read(fd, 1) == b"x"
        assert os.get_blocking(fd) is False


def test_regular_files(here, file):
    assert beneath.is_regular(os.fstat(file)) is True
    assert beneath.is_regular(os.fstat(here)) is False


# folders


def test_a_directory_that_was_made_says_whose_it_is():
    made = folders.Made(b"/srv/a\n", os.geteuid(), 3_999_999_999, 0o2750)
    name = metadata.user_name(os.geteuid())
    assert str(made) == f"made the directory /srv/a\\n ({name}:3999999999, mode 2750)"


@pytest.mark.parametrize("error", [FileExistsError, OSError])
def test_a_directory_that_gets_no_name_leaves_nothing(here, monkeypatch, error):
    """The customer may make the name in the last instant; then that directory is entered."""

    def put(_private, _unique, directory, name):
        os.mkdir(name, dir_fd=directory)
        raise error(errno.EEXIST if error is FileExistsError else errno.EIO, "")

    monkeypatch.setattr(folders, "put", put)
    before = open_descriptors()
    if error is FileExistsError:
        assert folders.make_below(here, [b"a"], b"/here") == []
    else:
        with pytest.raises(OSError):
            folders.make_below(here, [b"a"], b"/here")
    assert open_descriptors() == before
    assert os.listdir(here) == ["a"], "the private directory and the one in it are gone"


@pytest.mark.parametrize(
    ("number", "user", "made"),
    [(errno.EPERM, 1000, True), (errno.EPERM, 0, False), (errno.EACCES, 1000, False)],
)
def test_only_an_ordinary_user_may_fail_to_hand_over(here, monkeypatch, number, user, made):
    monkeypatch.setattr(
        folders, "os", Faulty(os, fchown=raising(number), geteuid=lambda: user)
    )  # fmt: skip
    if made:
        (one,) = folders.make_below(here, [b"a"], b"/here")
        assert one.path == b"/here/a"
    else:
        with pytest.raises(PermissionError):
            folders.make_below(here, [b"a"], b"/here")
        assert os.listdir(here) == []


def test_the_sticky_bit_and_write_for_all_are_not_inherited(here):
    os.fchmod(here, 0o3777)
    (made,) = folders.make_below(here, [b"a"], b"/here")
    assert made.mode == 0o2775
    assert stat.S_IMODE(os.stat("a", dir_fd=here).st_mode) == 0o2775


# named


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP, errno.EIO])
def test_names_are_synced_where_the_file_system_can(here, monkeypatch, number):
    fsync = raising(number)
    break_os(monkeypatch, named, fsync=fsync)
    before = open_descriptors()
    if number == errno.EIO:
        with pytest.raises(OSError):
            named.sync_names(here)
    else:
        named.sync_names(here)
    assert fsync.count == 1
    assert open_descriptors() == before


def test_names_of_a_directory_that_may_not_be_listed_are_not_synced(here, monkeypatch):
    fsync = raising(errno.EIO)
    break_os(monkeypatch, named, open=raising(errno.EACCES), fsync=fsync)
    named.sync_names(here)
    assert fsync.count == 0


@needs_root
@pytest.mark.root
def test_a_private_group_has_no_member_beside_its_owner(here, file, monkeypatch):
    class Row:
        def __init__(self, **values):
            vars(self).update(values)

    user = 4711
    os.fchown(file, user, user)
    os.fchmod(file, 0o664)
    status, path = os.fstat(file), b"/here/file"
    monkeypatch.setattr(named, "_trusted_users", lambda: {user})
    members, name = [], "customer"
    people = Faulty(named.pwd, getpwuid=lambda _uid: Row(pw_name="customer"))
    groups = Faulty(named.grp, getgrgid=lambda _gid: Row(gr_name=name, gr_mem=members))
    monkeypatch.setattr(named, "pwd", people)
    monkeypatch.setattr(named, "grp", groups)
    before = open_descriptors()
    assert named.why_unsafe(status, path, file) is None
    assert "can write" in str(named.why_unsafe(status, path)), "nobody can say whose group it is"
    members.append("customer")
    assert named.why_unsafe(status, path, file) is None
    members.append("friend")
    assert "can write" in str(named.why_unsafe(status, path, file))
    members.clear()
    name = "staff"
    assert "can write" in str(named.why_unsafe(status, path, file))
    name = "customer"
    break_os(monkeypatch, named, listxattr=lambda _fd: ["system.posix_acl_access"])
    assert "can write" in str(named.why_unsafe(status, path, file)), "an ACL is for other users"
    break_os(monkeypatch, named, listxattr=raising(errno.EIO))
    assert "can write" in str(named.why_unsafe(status, path, file))
    break_os(monkeypatch, named)
    people.getpwuid = {}.__getitem__
    assert "can write" in str(named.why_unsafe(status, path, file)), "the user has no name"
    assert open_descriptors() == before


# rename, served


@pytest.mark.parametrize("number", [None, errno.EINVAL, errno.ENOSYS])
def test_a_kernel_or_file_system_without_renameat2(here, file, monkeypatch, number):

    def refuses(*_):
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(rename, "_renameat2", refuses if number else None)
    os.mkdir("private", dir_fd=here)
    with closing(os.open("private", os.O_RDONLY, dir_fd=here)) as inside:
        rename.take(here, b"file", inside, b"unique")
        assert os.listdir(inside) == ["unique"]
        os.symlink("x", "there", dir_fd=here)
        with pytest.raises(FileExistsError):
            rename.put(inside, b"unique", here, b"there")
        rename.put(inside, b"unique", here, b"back")
    assert sorted(os.listdir(here)) == ["back", "private", "there"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_name_that_is_taken_and_gone_a_moment_later(here, file, monkeypatch, gone):
    def exists(*_):
        if gone:
            raise FileExistsError(errno.EEXIST, "")
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(rename, "_no_replace", exists)
    with pytest.raises(FileExistsError if gone else OSError) as caught:
        rename.put(here, b"file", here, b"other")
    assert caught.value.errno == (errno.EEXIST if gone else errno.EIO)
    assert os.listdir(here) == ["file"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENAMETOOLONG])
def test_a_served_path_that_cannot_be_entered(here, monkeypatch, number):
    os.mkdir("a", dir_fd=here)
    break_os(monkeypatch, served, open=raising(number, os.open))
    if number == errno.ENAMETOOLONG:
        found = served.look_up(here, b"a", b"/here")
        assert (found.entry, found.path, found.rest) == (served.ServedKind.BARRED, b"", b"a")
        return
    with pytest.raises(OSError) as caught:
        served.look_up(here, b"a", b"/here")
    assert caught.value.errno == number


@pytest.mark.parametrize("depth", [3, 4])
def test_a_served_path_may_not_take_all_descriptors(here, monkeypatch, depth):
    monkeypatch.setattr(served, "_MOST_NAMES", 3)
    os.makedirs(f"/proc/self/fd/{here}/a/a/a/a")
    before = open_descriptors()
    found = served.look_up(here, b"/".join([b"a"] * depth), b"/here")
    assert found.entry == (served.ServedKind.DIRECTORY if depth == 3 else served.ServedKind.BARRED)
    assert open_descriptors() == before
