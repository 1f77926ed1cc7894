"""Document roots and files on the disk, and the answers with their steps."""

import os

import pytest
from site_trees import plant

from hashscan.fs.served import ServedKind
from hashscan.notices.sites.disk import Disk, is_script
from hashscan.notices.sites.location import LocationKind, UndecidedError


@pytest.fixture
def www(tmp_path):
    plant(tmp_path / "www", "a.jpg", "dir/b.jpg")
    (tmp_path / "www" / "link.jpg").symlink_to("dir/b.jpg")
    (tmp_path / "www" / "out.jpg").symlink_to("/etc/passwd")
    return bytes(tmp_path / "www")


@pytest.fixture
def disk():
    with Disk() as one:
        yield one


def test_a_root_is_opened_once_and_closed(www):
    with Disk() as disk:
        named = disk.root(www)
        assert disk.root(www) is named
        assert disk.root(www + b"/none") is None
        assert os.path.samestat(os.fstat(named.fd), os.stat(www))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(named.fd)


def test_not_more_than_sixty_four_roots(www, disk):
    for number in range(63):
        assert disk.root(b"/none/%d" % number) is None
    assert disk.root(www) is not None
    with pytest.raises(UndecidedError, match="too many document roots"):
        disk.root(b"/none")
    assert disk.root(www) is not None
    assert disk.root(b"/none/0") is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (b"/srv\0", "holds a NUL"),
        (b"/" + b"n" * 300, "File name too long"),
    ],
)
def test_a_root_that_cannot_be_opened(disk, path, words):
    with pytest.raises(UndecidedError, match=words):
        disk.root(path)


@pytest.mark.root
def test_a_link_of_a_customer_is_no_root(www, disk):
    os.symlink(www, www + b"-evil")
    os.lchown(www + b"-evil", 4242, 4242)
    with pytest.raises(UndecidedError, match="does not follow it"):
        disk.root(www + b"-evil")


def test_a_file_is_no_root(www, disk):
    assert disk.root(www + b"/a.jpg/x") is None


def test_what_is_at_a_path(www, disk):
    assert disk.find(www, b"/dir/b.jpg").path == b"dir/b.jpg"
    assert disk.find(www, b"/dir").entry is ServedKind.DIRECTORY
    assert disk.find(www, b"/link.jpg").links == (b"link.jpg",)
    absent = disk.find(www + b"/none", b"/dir/b.jpg")
    assert (absent.entry, absent.rest) == (ServedKind.ABSENT, b"/dir/b.jpg")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (b"/out.jpg", "/www/out.jpg is a link out of the document root, to /etc/passwd; hashscan"),
        (b"/../a.jpg", "/../a.jpg leads out of /"),
    ],
)
def test_nothing_outside_of_a_root_is_found(www, disk, path, words):
    for find in (disk.find, disk.is_file, disk.is_directory, lambda *one: disk.read(*one, 9)):
        with pytest.raises(UndecidedError, match=words):
            find(www, path)


def test_files_and_directories(www, disk):
    for path, is_file, is_directory in (
        (b"/a.jpg", True, False), (b"/a.jpg/", False, False), (b"/a.jpg/x", False, False),
        (b"/link.jpg", True, False), (b"/dir", False, True), (b"/dir/", False, True),
        (b"/none", False, False), (b"/", False, True),
    ):  # fmt: skip
        assert disk.is_file(www, path) == is_file, path
        assert disk.is_directory(www, path) == is_directory, path
    assert not disk.is_file(www + b"/none", b"/a.jpg")
    assert not disk.is_directory(www + b"/none", b"/")


def test_the_content_of_a_small_file_is_read_up_to_one_byte_more(www, disk):
    assert disk.read(www, b"/a.jpg", 100) == b"file a.jpg"
    assert disk.read(www, b"/link.jpg", 100) == b"file dir/b.jpg"
    assert disk.read(www, b"/a.jpg", 4) == b"file "
    assert disk.read(www, b"/a.jpg", 0) == b"f"
    assert disk.read(www, b"/dir", 100) is None
    assert disk.read(www, b"/none", 100) is None
    assert disk.read(www + b"/none", b"/a.jpg", 100) is None


def test_the_answers_name_the_root_without_links(www, disk):
    os.symlink(www, www + b"-link")
    root = www + b"-link"
    found = disk.file(root, disk.find(root, b"/link.jpg"))
    assert (found.kind, found.root, found.path) == (LocationKind.FILE, www, b"dir/b.jpg")
    assert found.why == (
        "link.jpg is a symbolic link, which stays below the root",
        f"the file is dir/b.jpg below {os.fsdecode(root)}",
    )
    found = disk.no_file("nothing", root)
    assert (found.kind, found.root, found.reason) == (LocationKind.NO_FILE, www, "nothing")
    missing = disk.no_file("nothing", root + b"/none")
    assert missing.root == root + b"/none"


def test_the_answer_for_a_directory(www, disk):
    found = disk.directory(www, disk.find(www, b"/dir"))
    assert (found.kind, found.path) == (LocationKind.DIRECTORY, b"dir")
    assert found.reason == "dir is a directory without an index file"
    found = disk.directory(www, disk.find(www, b"/"))
    assert found.reason == "the root is a directory without an index file"


def test_the_answer_for_a_script(www, disk):
    found = disk.script("a.jpg by x", www, disk.find(www, b"/a.jpg"))
    assert (found.kind, found.path, found.script) == (LocationKind.SCRIPT, b"a.jpg", "a.jpg by x")
    assert found.reason == "a script answers: a.jpg by x"
    assert disk.script("x", www, disk.find(www, b"/dir")).path == b""
    assert disk.script("x").root == b""


def test_answers_without_a_site_keep_the_steps(disk):
    disk.step("first")
    assert disk.no_site("none").why == ("first", "none")
    found = disk.undecided("a reason")
    assert (found.kind, found.reason) == (LocationKind.UNDECIDED, "cannot be decided: a reason")
    assert len(found.why) == 3


def test_names_of_scripts():
    assert is_script(b"dir/a.PHP")
    assert is_script(b"a.cgi")
    assert not is_script(b"a.php.jpg")
    assert not is_script(b"php")
