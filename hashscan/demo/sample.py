"""Makes a sample volume with known files at difficult paths, and digest lists of these files.

The known files hold random bytes or are ordinary files of Python's library. No content comes from a
real list: the demo itself calls the files known.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import sysconfig
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hashscan
from hashscan.demo.tree import look, make_parent, ordinary_files, write, write_here
from hashscan.errors import UsageError
from hashscan.fs.beneath import closing, open_root

if TYPE_CHECKING:
    from hashscan.demo.tree import SeenName

#: Number of library files that the sample contains, and their total size in bytes.
FILES = 3000
BYTES = 64 << 20
_PADDING = 10_000  # Digests in the lists that no file has

# Length of this path: 4,544 bytes
_DEEP = b"/".join([b"a-directory-with-a-long-name-" + b"x" * 71] * 45)

#: Paths of the known files, and the difficulty of each path.
PLACES: tuple[tuple[bytes, str], ...] = (
    (b"upload/.hidden/.photo.jpg", "a dotfile in a dot directory"),
    (b"upload/gallery [2019]/[x]/image[1].jpg", "brackets, which shells and globs take apart"),
    (b"upload/a\nMATCH forged: reported.jpg", "a line break, to forge a line in a log"),
    (b"upload/not-utf8-\xff\xfe.jpg", "bytes that are not UTF-8"),
    (b"upload/-rf $(reboot) `id`;.jpg", "what a careless script would run"),
    (b"upload/read-only.jpg", "read-only, even for its owner"),
    (b"upload/one-byte.jpg", "a single byte long"),
    (b"upload/one-of-two-names.jpg", "one file under two names (a hard link) ..."),
    (b"other-site/the-same-file.jpg", "... in two directories"),
    (b"upload/deep/" + _DEEP + b"/deep.jpg", "deeper than the 4,096 bytes that a path may have"),
)
_FIRST_LINK, _SECOND_LINK = PLACES[7][0], PLACES[8][0]
_READ_ONLY, _ONE_BYTE = PLACES[5][0], PLACES[6][0]

#: Digest lists of the known set, and the list of the digest that was withdrawn later.
LISTS = ("one-a-line.txt", "table.csv", "sums.sha256", "vics.json")
WITHDRAWN = "withdrawn.txt"
CONFIGURATION = "config.yaml"
VOLUME = "www"


@dataclass(frozen=True, slots=True)
class Sample:
    """Describes the sample volume, and the files that a scan must find.

    Attributes:
        directory: path of the directory that holds ``www`` (the volume), ``lists`` and, later, all
            files of the demo.
        seen: the states of all names on the sample volume except directories.
        places: difficult paths that this file system accepts, and the difficulty of each path.
        known: names of files whose content is in the known set.
        false: names of files whose digest only the filter contains.
        ordinary: a library file in the known set; ``innocent``: a library file that a list has in a
            category of innocent files.
        left_out: messages about difficult paths that this file system does not accept.
    """

    directory: str
    seen: dict[bytes, SeenName]
    places: tuple[tuple[bytes, str], ...]
    known: frozenset[bytes]
    false: frozenset[bytes]
    ordinary: bytes
    innocent: bytes
    left_out: tuple[str, ...]

    @property
    def volume(self) -> str:
        """Return the absolute path of the sample volume."""
        return os.path.join(self.directory, VOLUME)


def make(directory: str, files: int = FILES) -> Sample:
    """Make the sample volume and its digest lists in the empty ``directory``.

    Raises:
        OSError: the disk is full, or the directory cannot be written.
        UsageError: there are too few ordinary files to copy.
    """
    volume = os.path.join(directory, VOLUME)
    os.mkdir(volume)
    with closing(open_root(os.fsencode(volume))) as root:
        library = _copy_library(root, files)
        contents, left_out = _plant(root)
        planted = list(contents)
        spread = [path for path, size in library.items() if size > 1000]
        if len(spread) < 3:
            raise UsageError(
                f"the demo found {len(library)} files of Python's library to copy, which is too "
                "few; install the library's sources (the package that has `os.py`)"
            )
        ordinary, withdrawn, innocent = (spread[len(spread) * n // 4] for n in (1, 2, 3))
        for path in (ordinary, withdrawn):
            contents[path] = _read(root, path)
        comparison = _read(root, innocent)
    known = [contents[path] for path in (*planted, ordinary)]
    _write_lists(os.path.join(directory, "lists"), known, contents[withdrawn], comparison)
    seen = look(volume)
    return Sample(
        directory=directory,
        seen=seen,
        places=tuple(place for place in PLACES if place[0] in contents),
        # The fields contain all names with one of the contents, so that a library with two equal
        # files does no harm.
        known=_with_content(seen, known),
        false=_with_content(seen, [contents[withdrawn]]),
        ordinary=ordinary,
        innocent=innocent,
        left_out=tuple(left_out),
    )


def _copy_library(root: int, files: int) -> dict[bytes, int]:
    """Copy ordinary files of this machine; return the copies' paths and their sizes."""
    paths = sysconfig.get_paths()
    sources = [paths["stdlib"], paths["platlib"], os.path.dirname(hashscan.__file__)]
    leave_out = frozenset({"__pycache__", "site-packages", "dist-packages"})
    copied: dict[bytes, int] = {}
    size = 0
    with ExitStack() as stack:
        parent, here = -1, b""
        for number, source in enumerate(sources):
            for below, content in ordinary_files(source, leave_out):
                if len(copied) >= files or size + len(content) > BYTES:
                    return copied
                path = b"site-%d/%s" % (number, below)
                folder, _, name = path.rpartition(b"/")
                if folder != here:  # Files are chosen one directory at a time.
                    stack.close()
                    parent, here = make_parent(root, path)[0], folder
                    stack.callback(os.close, parent)
                write_here(parent, name, content)
                copied[path] = len(content)
                size += len(content)
    return copied


def _plant(root: int) -> tuple[dict[bytes, bytes], list[str]]:
    """Write the known files and some decoys; return contents by path, and the skipped paths."""
    contents: dict[bytes, bytes] = {}
    left_out = []
    for number, (path, why) in enumerate(PLACES):
        try:
            if path == _SECOND_LINK:
                _link(root, _FIRST_LINK, path)
                contents[path] = contents[_FIRST_LINK]
                continue
            content = b"\xa5" if path == _ONE_BYTE else secrets.token_bytes(1000 + 7919 * number)
            write(root, path, content, 0o400 if path == _READ_ONLY else 0o644)
            contents[path] = content
        except OSError as error:
            if error.errno not in _NOT_TAKEN:
                raise
            left_out.append(f"{why} ({error.strerror})")
    twin = bytearray(contents[_FIRST_LINK])
    twin[len(twin) // 2] ^= 1
    write(root, b"upload/one-bit-differs.jpg", bytes(twin))
    write(root, b"upload/empty.jpg", b"")
    parent, _ = make_parent(root, b"upload/anything")
    with closing(parent):
        os.symlink(b"../../" + os.fsencode(CONFIGURATION), b"link-out.jpg", dir_fd=parent)
        os.mkfifo(b"pipe.jpg", dir_fd=parent)
    return contents, left_out


#: Errors of file systems that do not accept a name or a link.
_NOT_TAKEN = {errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.EPERM, errno.EOPNOTSUPP}


def _link(root: int, first: bytes, second: bytes) -> None:
    parent, name = make_parent(root, second)
    with closing(parent):
        os.link(first, name, src_dir_fd=root, dst_dir_fd=parent)


def _read(root: int, path: bytes) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root), "rb") as file:
        return file.read()


def _with_content(seen: dict[bytes, SeenName], contents: list[bytes]) -> frozenset[bytes]:
    digests = {hashlib.sha256(content).digest() for content in contents}
    return frozenset(path for path, one in seen.items() if one.what in digests)


def _hex(algorithm: str, content: bytes) -> str:
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()


def _write_lists(directory: str, known: list[bytes], withdrawn: bytes, innocent: bytes) -> None:
    """Distribute the known contents over lists of four kinds.

    The content ``innocent`` is listed as innocent.
    """
    os.mkdir(directory)
    parts = [known[number :: len(LISTS)] for number in range(len(LISTS))]

    lines = ["# one digest a line, in any letter case; a comment"]
    lines += [_hex("sha1", content).upper() for content in parts[0]]
    lines += [_hex("sha1", b"")]  # Real lists contain the digest of the empty file at times.
    lines += [secrets.token_hex(20) for _ in range(_PADDING)]
    rows = ["Size,Category,MD5"]
    rows += [f"{len(content)},baseline,{_hex('md5', content)}" for content in parts[1]]
    sums = [f"{_hex('sha256', content)}  {n}.jpg" for n, content in enumerate(parts[2])]
    media = [
        {
            "MediaID": number,
            "Category": 0 if content == innocent else 1,
            "MD5": _hex("md5", content).upper(),
            "SHA1": _hex("sha1", content).upper(),
            "MediaSize": len(content),
        }
        for number, content in enumerate([*parts[3], innocent])
    ]
    vics = json.dumps({"odata.metadata": "https://vics.example/1.3.xml#Media", "value": media})
    texts = ["\n".join(lines), "\n".join(rows), "\n".join(sums), vics, _hex("sha1", withdrawn)]
    for name, text in zip((*LISTS, WITHDRAWN), texts, strict=True):
        with open(os.path.join(directory, name), "x", encoding="ascii") as file:
            file.write(text + "\n")
