"""``allow build``: a list of stock files that ``allow`` reads, with the origin of each digest."""

import csv
import gzip
import hashlib
import io
import os
import tarfile
import zipfile

import pytest
from isolating import confirmed, needs_root

from hashscan.errors import DigestListError, UsageError
from hashscan.jobs.allow_build import build_allow_list
from hashscan.jobs.allowed_matches import Allowing
from hashscan.known.allow import open_allow_list, origin_in
from hashscan.model import Digest, FileDigests

LOGO = b"\x89PNG logo" * 40
CSS = b"body { color: red }\n" * 9


@pytest.fixture
def stock(tmp_path):
    """A tree, a tarball and a zip."""
    tree = tmp_path / "wordpress"
    (tree / "images").mkdir(parents=True)
    (tree / "images" / "logo.png").write_bytes(LOGO)
    (tree / "empty.php").write_bytes(b"")
    (tree / "index.php").write_bytes(b"<?php // Silence is golden.")
    os.symlink("/etc/passwd", tree / "link")
    os.mkfifo(tree / "fifo")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in (('wp/a,"b"\n.css', CSS), ("wp/logo.png", LOGO)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (tmp_path / "wp-6.1.tar.gz").write_bytes(gzip.compress(out.getvalue()))
    with zipfile.ZipFile(tmp_path / "plugin.zip", "w") as archive:
        archive.writestr("plugin/readme.txt", "read me " * 20)
    return tmp_path


def rows(path):
    with open(path, newline="") as file:
        assert file.readline().startswith("# An allow-list of hashscan")
        return list(csv.DictReader(file))


def digests_of(content):
    made = (hashlib.new(name, content).digest() for name in ("md5", "sha1", "sha256"))
    return FileDigests(*made)


def opened(path, tmp_path):
    said = []
    one = open_allow_list(
        [str(path)], str(tmp_path / "filters"), algorithms=("sha1",), on_notice=said.append
    )
    return one, said


def test_a_list_of_a_tree_an_archive_and_a_zip(stock):
    output = str(stock / "allow.csv")
    inputs = [str(stock / name) for name in ("wp-6.1.tar.gz", "wordpress", "plugin.zip")]
    built = build_allow_list(inputs, output)
    assert (built.contents, built.files, built.duplicates) == (3, 4, 1)
    assert built.left_out == {"empty": 1, "small": 1, "link": 1, "device": 1}
    found = {row["sha256"]: row for row in rows(output)}
    assert list(found) == sorted(found)
    logo = found[hashlib.sha256(LOGO).hexdigest()]
    assert logo["file_name"] == "wp-6.1.tar.gz: wp/logo.png", "the first input names it"
    assert logo["md5"] == hashlib.md5(LOGO).hexdigest()
    assert "\\n" in found[hashlib.sha256(CSS).hexdigest()]["file_name"]
    allow, said = opened(output, stock)
    for content in (LOGO, CSS):
        assert allow.find(digests_of(content)) == output
        for name in ("md5", "sha1", "sha256"):
            only = FileDigests(**{name: getattr(digests_of(content), name)})
            assert allow.find(only) == output
    assert allow.find(digests_of(b"else")) is None
    assert allow.origin(digests_of(LOGO)) == "wp-6.1.tar.gz: wp/logo.png"
    assert allow.origin(digests_of(b"else")) == ""
    assert said == [], "nothing in the list deserves a remark"
    allow.close()


def test_the_same_inputs_give_the_same_bytes(stock):
    inputs = [str(stock / "wordpress"), str(stock / "plugin.zip")]
    for name in ("one", "two"):
        build_allow_list(inputs, str(stock / name))
    assert (stock / "one").read_bytes() == (stock / "two").read_bytes()


def test_digest_lists_add_what_no_file_has(stock):
    sha1 = hashlib.sha1(LOGO).hexdigest()
    (stock / "list.txt").write_text(f"{sha1}\n{'ab' * 16}\n{hashlib.md5(b'').hexdigest()}\n")
    output = str(stock / "allow.csv")
    for inputs in (["list.txt", "wordpress"], ["wordpress", "list.txt"]):
        built = build_allow_list([str(stock / one) for one in inputs], output, force=True)
        assert (built.contents, built.left_out["empty"]) == (2, 2)
        assert {row["file_name"].rpartition(": ")[2] for row in rows(output)} == {
            "images/logo.png", "line 2",
        }  # fmt: skip
    assert origin_in(output, Digest("md5", "ab" * 16)) == "list.txt: line 2"
    assert origin_in(output, Digest("md5", "cd" * 16)) == ""
    built = build_allow_list([str(stock / "list.txt")] * 2, output, force=True)
    assert (built.contents, built.duplicates) == (2, 2), "each digest once"


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08 damaged", b"PK\3\4" + b"x" * 90, b"no digest\n"]
)
def test_an_input_that_cannot_be_used_leaves_nothing(stock, content):
    (stock / "bad").write_bytes(content)
    before = sorted(os.listdir(stock))
    with pytest.raises((UsageError, DigestListError), match="bad"):
        build_allow_list([str(stock / "wordpress"), str(stock / "bad")], str(stock / "allow.csv"))
    assert sorted(os.listdir(stock)) == before


def test_a_missing_input_and_an_output_that_exists(stock):
    with pytest.raises(UsageError, match="nowhere"):
        build_allow_list([str(stock / "nowhere")], str(stock / "allow.csv"))
    (stock / "allow.csv").write_text("precious")
    with pytest.raises(UsageError, match="--force"):
        build_allow_list([str(stock / "wordpress")], str(stock / "allow.csv"))
    assert (stock / "allow.csv").read_text() == "precious"


def test_the_message_about_an_allowed_match_names_the_origin(stock, tmp_path):
    (stock / "wordpress" / f"{'ab' * 20}.png").write_bytes(CSS)
    output = stock / "allow.csv"
    build_allow_list([str(stock / "wordpress")], str(output))
    allow, said = opened(output, stock)
    assert said == [], "a digest in a name is no digest of the list"
    acted = Allowing(allow, None).act(confirmed(stock / "wordpress", "images/logo.png"))
    assert acted.action == "allowed"
    assert acted.message.endswith(
        f"stands in the allow-list {output} ({stock}/wordpress: images/logo.png)"
    )
    allow.close()


def test_a_list_of_another_kind_names_no_origin(tmp_path):
    (tmp_path / "list").write_text(f"{hashlib.sha1(LOGO).hexdigest()}  logo.png\n")
    assert origin_in(str(tmp_path / "list"), Digest("sha1", hashlib.sha1(LOGO).hexdigest())) == ""
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "missing"):
        assert origin_in(str(tmp_path / name), Digest("sha1", "0" * 40)) == ""


@pytest.mark.root
@needs_root
def test_a_tree_of_somebody_else_is_reported(stock):
    os.chown(stock / "wordpress", 4711, 4711)
    built = build_allow_list([str(stock / "wordpress")], str(stock / "allow.csv"))
    assert any("belongs to" in one and "4711" in one for one in built.remarks)
