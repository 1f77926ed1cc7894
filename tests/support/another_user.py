"""hashscan as a user without rights and without an entry in /etc/passwd, if the tests are root."""

import os
import shutil
import subprocess
import sys

import namespaces
import pytest

UID = 54321
#: Its Python may lie in root's home: a mount namespace shows that, and nothing else of it. $1 is an
#: empty directory, $2 what replaces /etc/hashscan ("" for nothing), $3 the user.
_SCRIPT = """
home=$1 etc=$2 uid=$3 python=$4; shift 4
case $python in /root/*)
  top=/root/$(echo "${python#/root/}" | cut -d/ -f1)
  mkdir -p "$home"; mount --bind "$top" "$home"; mount -t tmpfs -o mode=755 tmpfs /root
  mkdir "$top"; mount --bind "$home" "$top";;
esac
[ -z "$etc" ] || { mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/up /mnt/work \\
  && mkdir -p /mnt/up/hashscan && cp -a "$etc/." /mnt/up/hashscan \\
  && mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work overlay /etc || exit 99; }
if [ "$uid" = 0 ]; then exec "$@"; fi
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all -- "$@"
"""
needs = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"),
    reason="becomes another user: needs root, setpriv and unshare",
)


def run(place, *command, uid=UID, etc="", env=None, cwd="/", timeout=60, **more):
    """What ``subprocess.run`` gives for ``command``, as another user.

    ``place`` is a directory for what is mounted; ``etc`` a directory whose content is shown as that
    of /etc/hashscan.
    """
    python = os.path.realpath(sys.executable)
    own_mounts = []
    if etc or python.startswith("/root/"):
        namespaces.needed(namespaces.why_no_mounts)
        own_mounts = ["unshare", "-m"]
    done = subprocess.run(
        [*own_mounts, "bash", "-c", _SCRIPT, "x", f"{place}/py", str(etc), str(uid),
         python, *map(os.fsencode, command)],
        capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL, **more,
    )  # fmt: skip
    if done.returncode == 99:
        pytest.skip(f"nothing can be mounted over /etc here: {done.stderr}")
    return done
