"""Random trees: names, kinds, depths. The sums of the contract hold and every known file is found."""

import os
import socket
import subprocess

from examples import LONG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanning import Scanner, count_entries, sha1

NAMES = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"~"))
    .filter(lambda name: name not in {b".", b".."})
)
KINDS = st.one_of(
    st.just(("fifo",)),
    st.just(("link",)),
    st.just(("dirlink",)),
    st.just(("socket",)),
    st.just(("hardlink",)),
    st.tuples(st.just("file"), st.binary(max_size=30), st.booleans()),
)
TREES = st.recursive(
    KINDS, lambda children: st.dictionaries(NAMES, children, max_size=5), max_leaves=25
)


def grow(fd, name, what, made):
    """Make ``what`` as ``name`` in directory ``fd``; ``made`` collects (kind, content, known)."""
    if isinstance(what, dict):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        for child, kind in what.items():
            grow(inner, child, kind, made)
        os.close(inner)
        return
    kind = what[0]
    made.append(what)
    if kind == "fifo":
        os.mkfifo(name, dir_fd=fd)
    elif kind == "link":
        os.symlink(b"/etc/passwd", name, dir_fd=fd)
    elif kind == "dirlink":
        os.symlink(b"..", name, dir_fd=fd)
    elif kind == "socket":
        os.fchdir(fd)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(name)
    elif kind == "hardlink":
        os.link(b"/proc/self/fd/%d" % made[0], name, dst_dir_fd=fd, follow_symlinks=True)
    else:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=fd)
        os.write(file, what[1])
        os.close(file)


@settings(
    max_examples=25 if LONG else 10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(NAMES, TREES, max_size=6))
def test_sums_and_matches(tmp_path, tree):
    volume, state = tmp_path / "v", tmp_path / "s"
    volume.mkdir()
    (tmp_path / "linked").write_bytes(b"the linked one")
    linked = os.open(tmp_path / "linked", os.O_RDONLY)
    cwd = os.open(".", os.O_RDONLY)
    root = os.open(volume, os.O_RDONLY)
    made = [linked]
    try:
        for name, what in tree.items():
            grow(root, name, what, made)
        made = made[1:]
        files = [what for what in made if what[0] == "file"]
        # empty content is never known; equal contents are known together
        known = {sha1(content) for _, content, wanted in files if wanted and content}
        expected = sum(sha1(content) in known for _, content, _ in files)
        links = sum(what[0] == "hardlink" for what in made)
        known.add(sha1(b"the linked one"))
        scanner = Scanner(state, known)
        summary = scanner.scan(volume)
        assert summary.files == len(made) == count_entries(volume)
        assert summary.files == (
            summary.hashed + summary.unchanged + sum(summary.skipped.values()) + summary.problems
        )
        assert summary.hashed == len(files) + links
        assert summary.skipped == {
            reason: count
            for reason, count in (
                ("fifo", sum(what[0] == "fifo" for what in made)),
                ("socket", sum(what[0] == "socket" for what in made)),
                ("symlink", sum(what[0] in {"link", "dirlink"} for what in made)),
            )
            if count
        }
        assert summary.matches == expected + links
        assert summary.bytes_hashed == sum(len(what[1]) for what in files) + 14 * bool(links)
    finally:
        os.fchdir(cwd)
        for fd in (linked, cwd, root):
            os.close(fd)
        subprocess.run(["rm", "-rf", volume, state], check=True)
