"""Paths that the administrator names: no customer decides where they lead."""

import os
import subprocess
import sys
import threading

import pytest
from faulty import break_os
from isolating import needs_root
from syncs import watched

from hashscan.errors import UnsafePathError, UsageError
from hashscan.fs import named
from hashscan.fs.named import open_named, opened_above, opened_named, resolve, why_replaceable

CUSTOMER = 4711
root = [pytest.mark.root, needs_root]


@pytest.fixture
def places(tmp_path):
    """A directory of the running user, and another one outside it, to which no link may lead."""
    (tmp_path / "own" / "dir").mkdir(parents=True)
    (tmp_path / "victim" / "dir").mkdir(parents=True)
    return tmp_path


def given(path, uid=CUSTOMER):
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


def path_of(path):
    with opened_named(os.fsencode(path)) as one:
        found = os.fsdecode(one.path)
        assert (os.fstat(one.fd).st_dev, os.fstat(one.fd).st_ino) == (
            os.stat(found).st_dev,
            os.stat(found).st_ino,
        )
    assert resolve(str(path)) == found
    return found


def test_own_links_are_followed_as_the_kernel_does(places, monkeypatch):
    own = places / "own"
    os.symlink(places / "victim", own / "absolute")
    os.symlink("../victim/dir", own / "relative")
    os.symlink("absolute", own / "chain")
    os.symlink(".", own / "here")
    monkeypatch.chdir(own / "dir")
    for path in (
        own / "absolute",
        f"{own}/chain/dir",
        f"{own}/relative/..",
        f"{own}//absolute/./dir/../",
        f"{own}/here/here/dir/../relative",
        "../relative",
        ".",
        "../../../" * 40,
        "/",
        "/proc/self/cwd/../absolute",
    ):
        assert path_of(path) == os.path.realpath(path), path


def test_what_is_missing_is_an_error_or_is_made(places):
    with pytest.raises(FileNotFoundError) as caught, opened_named(b"%b/no/such" % bytes(places)):
        pass
    assert caught.value.filename == os.fsencode(places / "no")
    assert resolve(f"{places}/no/./such/../other") == f"{places}/no/other"
    with opened_named(os.fsencode(places / "a" / "b"), make=0o700) as one:
        assert one.path == os.fsencode(places / "a" / "b")
    assert (places / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (places / "a").stat().st_mode & 0o777 == 0o755
    (places / "file").touch()
    for path in (places / "file", places / "file" / "x"):
        with pytest.raises(NotADirectoryError), opened_named(os.fsencode(path), make=0o700):
            pass
        assert resolve(str(path)) == str(path)
    with pytest.raises(FileNotFoundError), opened_named(b""):
        pass
    with pytest.raises(ValueError, match="NUL"), opened_named(b"/a\0b"):
        pass


def test_the_names_of_new_directories_are_on_the_disk(places, monkeypatch):
    with (
        watched(monkeypatch) as seen,
        opened_named(os.fsencode(places / "new" / "below"), make=0o700),
    ):
        pass
    assert [name for call, _, name in seen.events if call == "mkdir"] == [b"new", b"below"]
    assert seen.lost_in_a_power_cut() == []


def test_links_in_a_circle_end(places):
    os.symlink("b", places / "a")
    os.symlink("a", places / "b")
    with pytest.raises(OSError, match="Too many levels"), opened_named(bytes(places / "a")):
        pass


@pytest.mark.parametrize("count", [40, 41])
def test_as_many_links_are_followed_as_the_kernel_follows(places, count):
    above = "own"
    for number in range(count):
        os.symlink(above, places / f"l{number}")
        above = f"l{number}"
    if count == 40:
        os.stat(places / above)
        assert path_of(places / above) == str(places / "own")
    else:
        for follow in (os.stat, lambda path: open_named(os.fsencode(path))):
            with pytest.raises(OSError, match="Too many levels"):
                follow(places / above)


@pytest.mark.parametrize("fails", [False, True])
def test_a_directory_that_is_removed_when_it_was_made_is_missing(places, monkeypatch, fails):
    made = []

    def mkdir(name, mode, dir_fd):
        made.append((name, mode))
        if fails:
            raise FileExistsError

    break_os(monkeypatch, named, mkdir=mkdir)
    with pytest.raises(FileNotFoundError) as caught:
        open_named(os.fsencode(places / "a"), make=0o711)
    assert caught.value.filename == os.fsencode(places / "a")
    assert made == [(b"a", 0o711)]


@pytest.mark.parametrize(
    ("mode", "optional", "found"),
    [(0o1755, True, None), (0o1777, False, None), (0o1777, True, "anybody can make")],
)
def test_who_may_make_a_file_that_is_missing(places, mode, optional, found):
    (places / "own").chmod(mode)
    path = str(places / "own" / "f")
    if found is None:
        with pytest.raises(FileNotFoundError):
            why_replaceable(path, optional=optional)
    else:
        assert found in str(why_replaceable(path, optional=optional))


def test_a_directory_that_is_gone_leaves_no_descriptor(places):
    before = len(os.listdir("/proc/self/fd"))
    os.symlink("no", places / "link")
    for path in (places / "link" / "x", places / "own" / "dir"):
        try:
            with opened_named(os.fsencode(path)):
                pass
        except FileNotFoundError:
            pass
        resolve(str(path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_directory_of_a_file(places):
    os.symlink(places / "victim", places / "own" / "link")
    with opened_above(os.fsencode(places / "own" / "link" / "f")) as (above, name):
        assert (above.path, name) == (os.fsencode(places / "victim"), b"f")
    for path in (b"/tmp/", b"/tmp/..", b"."):
        with pytest.raises(IsADirectoryError), opened_above(path):
            pass


def _theirs(at):
    given(at)


def _group(at):
    at.chmod(0o775)


def _everybody(at):
    at.chmod(0o777)


WAYS = {
    "the directory is the customer's": (_theirs, "own belongs to user 4711"),
    "its group can write": (_group, r"the group 0 \(root\) can write to .*own \(0775\)"),
    "everybody can write": (_everybody, r"everybody can write to .*own \(mode 0777\)"),
}


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_link_that_others_can_replace_is_refused(places, way, deep):
    """Also root's own link, at any depth: the customer can move the directory above it."""
    change, words = WAYS[way]
    at = places / "own" / "dir" if deep else places / "own"
    os.symlink(places / "victim", at / "link")
    change(places / "own")
    for path in (at / "link", at / "link" / "dir", f"{at}/../{at.name}/link"):
        with pytest.raises(UnsafePathError, match=words) as caught, opened_named(bytes_of(path)):
            pass
        assert f"{at}/link is a link to {places}/victim" in str(caught.value)
        assert isinstance(caught.value, UsageError)
        with pytest.raises(UnsafePathError, match=words):
            resolve(str(path))
        with pytest.raises(UnsafePathError), opened_named(bytes_of(path), make=0o700):
            pass
    # Without a link the path is opened, and ``unsafe`` says that somebody else can replace it.
    with opened_named(os.fsencode(places / "own" / "dir")) as one:
        assert one.unsafe


def bytes_of(path):
    return os.fsencode(str(path))


@pytest.mark.root
@needs_root
def test_a_link_that_is_somebody_elses_is_refused_wherever_it_is(places):
    link = places / "own" / "link"
    os.symlink(places / "victim", link)
    given(link)
    with pytest.raises(UnsafePathError, match="the link belongs to user 4711"):
        path_of(link)
    with pytest.raises(UnsafePathError), opened_above(bytes_of(link / "f")):
        pass
    with opened_above(bytes_of(link)) as (above, name):
        assert (above.path, name) == (bytes_of(places / "own"), b"link")


def test_a_link_with_two_names_is_followed_where_nobody_else_can_make_a_name(places):
    os.symlink(places / "victim", places / "own" / "link")
    os.link(places / "own" / "link", places / "own" / "another", follow_symlinks=False)
    assert path_of(places / "own" / "another") == str(places / "victim")


@pytest.mark.root
@needs_root
def test_in_a_sticky_directory_each_has_his_own_links(places):
    shared = places / "own"
    shared.chmod(0o1777)
    os.symlink(places / "victim", shared / "roots")
    os.symlink(places / "victim", shared / "theirs")
    given(shared / "theirs")
    assert path_of(shared / "roots") == str(places / "victim")
    with pytest.raises(UnsafePathError, match="the link belongs to user 4711"):
        path_of(shared / "theirs")
    # Without fs.protected_hardlinks anybody can give root's link another name there.
    os.link(shared / "roots", shared / "another", follow_symlinks=False)
    with pytest.raises(UnsafePathError, match="another name"):
        path_of(shared / "another")
    # In a sticky directory, a customer's directory is unsafe, and root's is safe.
    os.symlink(places / "victim", shared / "dir" / "link")
    assert path_of(shared / "dir" / "link") == str(places / "victim")
    given(shared / "dir")
    with pytest.raises(UnsafePathError, match="dir belongs to user 4711"):
        path_of(shared / "dir" / "link")


@pytest.mark.root
@needs_root
def test_dots_do_not_lead_through_a_directory_that_is_moved(places):
    """``..`` leads back on the path, wherever the customer moves the directory."""
    given(places / "own")
    os.symlink(places / "own", places / "root-link")
    assert path_of(places / "root-link" / "dir") == str(places / "own" / "dir")
    assert path_of(f"{places}/root-link/dir/../..") == str(places)


@pytest.mark.root
@needs_root
def test_an_ordinary_user_follows_his_own_links_and_roots_and_nobody_elses(places):
    """The user's group may write if it is private: useradd(8) makes one for each user."""
    os.symlink(places / "victim", places / "own" / "mine")
    os.symlink(places / "victim", places / "own" / "roots")
    os.symlink(places / "victim", places / "own" / "other")
    given(places / "own" / "other", 4712)
    given(places / "own" / "mine")
    given(places / "own")
    for at in (places, *places.parents):
        if at.stat().st_uid == 0 and not at.stat().st_mode & 1:
            at.chmod(at.stat().st_mode | 0o011)
    script = (
        "import os, sys, types\n"
        "from hashscan.fs import named\n"
        "os.setgroups([]); os.setgid(4711); os.setuid(4711)\n"
        "def tried(name):\n"
        "    try:\n"
        "        return named.resolve(sys.argv[1] + '/' + name)\n"
        "    except named.UnsafePathError as error:\n"
        "        return str(error)\n"
        "for name in ('mine', 'roots', 'other'):\n"
        "    print(tried(name))\n"
        "os.chmod(sys.argv[1], 0o775)\n"
        "print(tried('mine'))\n"
        "user = types.SimpleNamespace(pw_name='cust')\n"
        "named.pwd.getpwuid = lambda uid: user\n"
        "group = types.SimpleNamespace(gr_name='cust', gr_mem=[])\n"
        "named.grp.getgrgid = lambda gid: group\n"
        "print(tried('mine'))\n"
        "group.gr_mem = ['another']\n"
        "print(tried('mine'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(places / "own")],
        capture_output=True,
        text=True,
        check=True,
    )
    mine, roots, other, shared, private, with_another = done.stdout.splitlines()
    assert mine == roots == private == str(places / "victim")
    assert "belongs to user 4712" in other
    assert "the group 4711 can write" in shared
    assert "the group 4711 (cust) can write" in with_another


@pytest.mark.root
@needs_root
def test_a_customer_who_swaps_all_the_time_never_decides(places):
    """The customer exchanges a directory for a link and back while root opens it."""
    own = given(places / "own")
    os.mkdir(own / "target")
    os.symlink(places / "victim", own / "link")
    given(own / "link")
    libc = named_libc()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            exchange(libc, own / "target", own / "link")

    thread = threading.Thread(target=swap)
    thread.start()
    found = set()
    try:
        for turn in range(5000):
            try:
                with opened_named(bytes_of(own / "target"), make=0o700) as one:
                    found.add(os.fstat(one.fd).st_ino)
            except UnsafePathError:
                found.add("refused")
            if len(found) > 1 and turn > 500:
                break
    finally:
        stop.set()
        thread.join()
    directory = next(one for one in (own / "target", own / "link") if not one.is_symlink())
    assert found <= {"refused", directory.stat().st_ino}
    assert "refused" in found


def named_libc():
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def exchange(libc, one, other):
    """renameat2(2) with RENAME_EXCHANGE."""
    assert libc.renameat2(-100, bytes_of(one), -100, bytes_of(other), 2) == 0


def test_why_a_file_is_unsafe(places):
    path = places / "f"
    path.touch(0o644)
    assert named.why_unsafe(path.stat(), bytes_of(path)) is None
    path.chmod(0o664)
    assert "can write to" in str(named.why_unsafe(path.stat(), bytes_of(path)))
    path.chmod(0o1666)
    assert "everybody" in str(named.why_unsafe(path.stat(), bytes_of(path)))
