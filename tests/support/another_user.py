"""hashscan as a user without rights and without an entry in /etc/passwd, if the tests are root."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import namespaces
import pytest
import ready
import surroundings

UID = 54321
#: $etc is what replaces /etc/hashscan ("" for nothing).
_ETC = """
if [ -n "$etc" ] && [ -d /etc/hashscan ]; then
  { mount -t tmpfs -o mode=755 tmpfs /etc/hashscan && cp -a "$etc/." /etc/hashscan; } || exit 99
elif [ -n "$etc" ]; then
  { mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/up /mnt/work \\
    && mkdir -p /mnt/up/hashscan && cp -a "$etc/." /mnt/up/hashscan \\
    && mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work overlay /etc; } || exit 99
fi
"""
#: $1 is as $etc, $2 the user.
_SCRIPT = f"""
etc=$1 uid=$2; shift 2
{_ETC}
if [ "$uid" = 0 ]; then exec "$@"; fi
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all -- "$@"
"""
POSSIBLE = os.geteuid() == 0 and bool(shutil.which("setpriv") and shutil.which("unshare"))
needs = pytest.mark.skipif(
    not POSSIBLE,
    reason="becomes another user: needs root, setpriv and unshare",
)


def run(place, *command, uid=UID, etc="", env=None, cwd="/", timeout=60, **more):
    """What ``subprocess.run`` gives for ``command``, as another user.

    ``place`` is a directory for what is mounted; ``etc`` a directory whose content is shown as that
    of /etc/hashscan.
    """
    opened = _opened(place)
    own_mounts = []
    if etc or opened:
        namespaces.needed(namespaces.why_no_mounts)
        own_mounts = ["unshare", "-m"]
    done = subprocess.run(
        [*own_mounts, "bash", "-c", opened + _SCRIPT, "x", str(etc), str(uid),
         *map(os.fsencode, command)],
        capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL, **more,
    )  # fmt: skip
    if done.returncode == 99:
        pytest.skip(f"nothing can be mounted over /etc here: {done.stderr}")
    return done


def hashscan(place, *words, uid=UID, etc="", env=None, cwd="/"):
    """As ``run`` for a command of hashscan: a process that has its libraries becomes the user."""
    mounts = f"{_opened(place)}etc=$1\n{_ETC}"
    within = ("user", uid, mounts, str(etc))
    done = ready.in_words(ready.hashscan(*words, env=env, cwd=cwd, within=within))
    if done.returncode == surroundings.NO_MOUNTS:
        pytest.skip(f"nothing can be mounted over /etc here: {done.stderr}")
    return done


def _opened(place):
    """Shell commands that show Python and the checkout to others, and nothing else of closed directories.

    Both may be in root's home.
    """
    needed = {os.path.realpath(sys.executable), sys.prefix, os.path.realpath(__file__)}
    closed = sorted({one for path in needed if (one := _closed(path))})
    kept = [shlex.quote(f"{place}/kept/{number}") for number in range(len(closed))]
    shown = [shlex.quote(one) for _, one in closed]
    pairs = list(zip(kept, shown, strict=True))
    tops = [shlex.quote(top) for top in sorted({top for top, _ in closed})]
    return "".join(
        f"{command} || exit 98\n"
        for command in (
            *(f"mkdir -p {there} && mount --bind {here} {there}" for there, here in pairs),
            *(f"mount -t tmpfs -o mode=755 tmpfs {top}" for top in tops),
            *(f"mkdir -p {here} && mount --bind {there} {here}" for there, here in pairs),
        )
    )


def _closed(path):
    """The first directory above a path that others cannot enter, and the name below the last; or None."""
    above = [str(one) for one in reversed(Path(path).parents)]
    closed = [one for one in above if not os.stat(one).st_mode & 1]
    if not closed:
        return None
    name = Path(path).relative_to(closed[-1]).parts[0]
    return closed[0], os.path.join(closed[-1], name)
