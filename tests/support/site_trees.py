"""Trees of sites whose files say their own path, so that an answer names its file."""

import os
import random

BYTES_NAME = b"caf\xe9.jpg"


def plant(root, *paths):
    """Files, each with its path below ``root`` as its content."""
    for path in map(os.fsencode, paths):
        place = os.path.join(os.fsencode(root), path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(b"file " + path)


#: What each site of the tests has; names that servers could take for something else.
FILES = (
    "index.html", "a.jpg", "A.JPG", "dir/index.html", "dir/b.jpg", "bare/c.jpg", ".hidden.jpg",
    ".secret/d.jpg", "sp ace.jpg", "plus+.jpg", "semi;colon.jpg", "per%cent.jpg", "per%41.jpg",
    "q?.jpg", "hash#.jpg", "back\\slash.jpg", "café.jpg", BYTES_NAME, "...", "a..b.jpg",
    "new\nline.jpg", "x/y/z.jpg", "noext", "dir.jpg/e.jpg", "run.php", "sub/index.php",
    "-dash.jpg", "[x].jpg", "a&b.jpg", "tilde~.jpg", "~user/f.jpg", "colon:.jpg", "*.jpg",
    "\u202egpj.jpg", "%2e%2e/g.jpg", "%2F.jpg", "only/htm/index.htm", "x.php/inner.jpg",
)  # fmt: skip

#: Targets as a client may send them; every site gets all of them.
TARGETS = (
    "/", "/a.jpg", "/A.JPG", "/A.jpg", "/a.jpg/", "/a.jpg/x", "/a.jpg?x=1", "/a.jpg;v=2", "/a.jpg%00",
    "/a.jpg%00.html", "/%61.jpg", "/%61%2ejpg", "/a%2Ejpg", "/%2561.jpg", "/a.jpg%", "/a.jpg%2",
    "/a.jpg%zz", "/dir", "/dir/", "/dir/index.html", "/dir?x", "/dir/b.jpg", "/dir//b.jpg", "//a.jpg",
    "///dir///b.jpg", "/dir/./b.jpg", "/./a.jpg", "/dir/../a.jpg", "/x/y/../../a.jpg", "/../a.jpg",
    "/dir/../../a.jpg", "/dir/%2e%2e/a.jpg", "/dir/%2E./a.jpg", "/%2e%2e/a.jpg", "/dir/..", "/dir/.",
    "/dir/..%2fa.jpg", "/dir%2Fb.jpg", "/dir%2f", "/%2fa.jpg", "/bare", "/bare/", "/bare/c.jpg",
    "/bare/.", "/.hidden.jpg", "/.secret/d.jpg", "/.secret/", "/sp%20ace.jpg", "/sp+ace.jpg",
    "/plus+.jpg", "/plus%2B.jpg", "/semi;colon.jpg", "/semi%3Bcolon.jpg", "/per%25cent.jpg",
    "/per%2541.jpg", "/per%41.jpg", "/q%3F.jpg", "/q?.jpg", "/hash%23.jpg", "/back%5Cslash.jpg",
    "/back\\slash.jpg", "/caf%C3%A9.jpg", "/caf%c3%a9.jpg", "/caf%E9.jpg", "/caf%C0%A9.jpg",
    "/dir/%c0%ae%c0%ae/a.jpg", "/...", "/.../", "/a..b.jpg", "/new%0Aline.jpg", "/x/y/z.jpg",
    "/x/y/", "/x/y", "/noext", "/noext/", "/nothing.jpg", "/nothing/", "/nothing/a.jpg", "/dir.jpg",
    "/dir.jpg/", "/dir.jpg/e.jpg", "/sub", "/-dash.jpg", "/%5Bx%5D.jpg", "/[x].jpg", "/a&b.jpg",
    "/tilde~.jpg", "/tilde%7E.jpg", "/~user/f.jpg", "/%7Euser/f.jpg", "/colon:.jpg", "/*.jpg",
    "/%E2%80%AEgpj.jpg", "/%252e%252e/g.jpg", "/%252F.jpg", "/only/htm/", "/link.jpg", "/linked/b.jpg",
    "/linked", "/absolute.jpg", "/up.jpg", "/loop.jpg", "/dangling.jpg", "/x/up/a.jpg", "/%",
    "/a.jpg#frag", "/a.jpg%20", "/a.jpg.", "/dir;x/b.jpg", "/dir/;/../b.jpg", "/" + "n" * 300 + ".jpg",
    "/dir/b.jpg/..", "/nothing/../a.jpg", "/a.jpg/../A.JPG", "/%61%", "/a.jpg?%00", "/a.jpg??",
)  # fmt: skip


def site(root):
    """A site's files and links."""
    root = os.fspath(root)
    plant(root, *FILES)
    os.symlink("a.jpg", f"{root}/link.jpg")
    os.symlink("dir", f"{root}/linked")
    os.symlink(f"{root}/x/y/z.jpg", f"{root}/absolute.jpg")
    os.symlink("../outside.jpg", f"{root}/up.jpg")
    os.symlink("loop.jpg", f"{root}/loop.jpg")
    os.symlink("gone.jpg", f"{root}/dangling.jpg")
    os.symlink("..", f"{root}/x/up")
    plant(os.path.dirname(root), "outside.jpg")
    return root


def three_sites(top):
    """Three sites with the same paths, whose contents differ."""
    roots = {name: site(top / name / "www") for name in ("root", "other", "third")}
    for name, root in roots.items():
        for above, _, files in os.walk(root):
            for one in files:
                path = os.path.join(above, one)
                if not os.path.islink(path):
                    with open(path, "ab") as file:
                        file.write(f" of {name}".encode())
    return roots


#: Of the targets, those that another configuration of the same server does not only repeat.
FEW = [one for one in TARGETS if "%" not in one or "%2" in one.lower()]

_PIECES = (
    "/", "/", "//", ".", "..", "%2e", "%2F", "%5C", "a", "a.jpg", "A.JPG", "dir", "b.jpg", "index.html",
    "bare", "c.jpg", "linked", "link.jpg", "absolute.jpg", "up.jpg", "x", "y", "z.jpg", "noext", ";v",
    "%00", "%", "%zz", "%25", "%20", "+", "~user", "?", "?x=/../", "%3F", "%0A", "*", "\\", "run.php",
    "sub", ".hidden.jpg", ".secret", "d.jpg", "only", "htm", "index.htm", "none", "loop.jpg",
    "dangling.jpg", "%E9", "%C3%A9", "caf", ".jpg", "%2E%2E", "/./", "/../", "nothing/",
)  # fmt: skip


def random_targets(number, seed):
    """Targets made of pieces in which servers see something."""
    chance = random.Random(seed)
    for _ in range(number):
        yield "/" + "".join(chance.choices(_PIECES, k=chance.randint(1, 7)))
