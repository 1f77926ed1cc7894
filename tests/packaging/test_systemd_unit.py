"""packaging/systemd: systemd's own tools look at the unit, offline."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hashscan.cli import COMMANDS

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "hashscan.service"
INTAKE = UNIT.with_name("hashscan-notices.service")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)
#: What each right is for; see the unit.
RIGHTS = {
    "CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID",
    "CAP_LEASE", "CAP_SYS_ADMIN",
}  # fmt: skip


def settings(path=UNIT):
    found = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture(params=[UNIT, INTAKE], ids=lambda path: path.stem)
def unit(request, tmp_path):
    """A copy whose program is there."""
    copy = tmp_path / request.param.name
    copy.write_text(request.param.read_text().replace("/usr/bin/hashscan", shutil.which("true")))
    return copy


def analyze(*arguments):
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def exposure(unit, threshold):
    return analyze("security", "--offline=true", f"--threshold={threshold}", unit)


@needs_systemd
def test_verify_is_clean(unit):
    ran = analyze("verify", unit)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@needs_systemd
def test_verify_would_tell(unit):
    unit.write_text(unit.read_text() + "\nNoSuchThing=yes\n")
    assert "NoSuchThing" in analyze("verify", unit).stderr


@needs_systemd
def test_exposure_is_at_most_three(unit):
    ran = exposure(unit, 30)
    assert ran.returncode == 0, ran.stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", ran.stdout)
    assert float(found.group(1)) <= 3.0


@needs_systemd
@pytest.mark.parametrize("line", ["NoNewPrivileges=yes", "PrivateDevices=yes"])
def test_a_weaker_unit_is_refused(unit, line):
    weaker = unit.read_text().replace(line, "").replace("CapabilityBoundingSet=", "#")
    unit.write_text(weaker)
    assert exposure(unit, 30).returncode != 0


def test_it_starts_the_daemon_and_tells_systemd():
    found = settings()
    program, command = found["ExecStart"][0].split()
    assert program == "/usr/bin/hashscan"
    assert command in COMMANDS
    assert found["Type"] == ["notify"]
    assert found["NotifyAccess"] == ["main"]
    assert found["WatchdogSec"] == ["5min"]
    assert found["ExecReload"] == [
        "/usr/bin/hashscan config check",
        "/bin/kill -HUP $MAINPID",
    ]
    assert found["Restart"] == ["on-failure"]
    assert found["RestartPreventExitStatus"] == ["4"], "another instance"


def test_it_has_the_rights_it_needs_and_no_more():
    found = settings()
    assert set(found["CapabilityBoundingSet"][0].split()) == RIGHTS
    for name in ("NoNewPrivileges", "MemoryDenyWriteExecute", "PrivateDevices", "RestrictRealtime"):
        assert found[name] == ["yes"], name


def test_credentials_may_be_missing():
    found = settings()
    names = [one.partition(":")[0] for one in found["LoadCredential"]]
    assert names == ["password", "filter-password"]
    assert [one.partition(":")[0] for one in found["SetCredential"]] == names


def test_it_waits_for_the_clock():
    after = " ".join(settings()["After"]).split()
    assert "time-sync.target" in after
    assert "time-sync.target" not in " ".join(settings()["Wants"]).split()  # systemd.special(7)


def test_the_intake_has_fewer_rights_and_reaches_nobody():
    found = settings(INTAKE)
    assert set(found["CapabilityBoundingSet"][0].split()) == {"CAP_DAC_READ_SEARCH", "CAP_CHOWN"}
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == (["any"], ["localhost"])
    assert (found["ProtectSystem"], found["ProtectHome"]) == (["strict"], ["read-only"])
    program, *command = found["ExecStart"][0].split()
    assert (program, command[:2]) == ("/usr/bin/hashscan", ["notice", "serve"])
