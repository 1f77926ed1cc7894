"""Every command with a path that root names and that leads through a customer's directory.

Each path leads through a link that the customer made in their own directory. Nothing is written to
its target, and the message names the link and its owner.
"""

import os

import pytest
import ready
from isolating import confirmed, needs_root

from hashscan.jobs.volume_probe import Probes
from hashscan.quarantine.act import Quarantine

pytestmark = [pytest.mark.root, needs_root]
CUSTOMER = 4711


@pytest.fixture
def place(tmp_path):
    """``cust`` is a customer's, with a link to ``victim``; ``root-link`` is root's, to ``data``."""
    for name in ("cust", "victim", "data", "www"):
        (tmp_path / name).mkdir()
    os.symlink(tmp_path / "victim", tmp_path / "cust" / "link")
    os.symlink(tmp_path / "data", tmp_path / "root-link")
    (tmp_path / "www" / "f").write_bytes(b"known content")
    (tmp_path / "known").write_text("4" * 40 + "\n")
    for name in ("cust", "cust/link"):
        os.chown(tmp_path / name, CUSTOMER, CUSTOMER, follow_symlinks=False)
    return tmp_path


def hashscan(*words):
    return ready.in_words(ready.hashscan(*words))


def refused(place, *words, left=()):
    done = hashscan(*words)
    link = place / "cust" / "link"
    assert done.returncode == 2, done
    assert f"{link} is a link to {place / 'victim'}" in done.stderr, done
    assert f"user {CUSTOMER}" in done.stderr
    assert os.listdir(place / "victim") == list(left)


def test_state_and_what_is_in_it(place):
    scan = ("scan", place / "www", "--known", place / "known", "--state")
    refused(place, *scan, place / "cust" / "link")
    refused(place, *scan, place / "cust" / "link" / "new")
    refused(place, "quarantine", "list", "--state", place / "cust" / "link")
    done = hashscan(*scan, place / "root-link" / "state")
    assert done.returncode == 0, done
    assert (place / "data" / "state" / "catalog.sqlite3").exists()


def test_roots_state_is_never_in_a_customers_directory(place):
    """The customer could replace all of it at any time: hashscan opens it by path."""
    words = ("scan", place / "www", "--known", place / "known", "--state")
    done = hashscan(*words, place / "cust" / "state")
    assert done.returncode == 2
    assert f"{place}/cust belongs to user 4711" in done.stderr
    assert os.listdir(place / "cust") == ["link"]
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    done = hashscan(*words, place / "open" / "state")
    assert "everybody can write to" in done.stderr
    (place / "open").chmod(0o1777)
    assert hashscan(*words, place / "open" / "state").returncode == 0


def configured(place, **changes):
    settings = {
        "state": f"{place}/state",
        "volumes": f"[{{path: {place}/www}}]",
        "service": f"{{kind: local, known: [{place}/known]}}",
        **changes,
    }
    path = place / "config.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    return ("--config", path)


def test_quarantine_directory(place):
    for directory in ("cust/link", "cust/link/new"):
        config = configured(
            place, quarantine=f"{{action: quarantine, directory: {place}/{directory}}}"
        )
        refused(place, *config, "config", "check")
        refused(place, *config, "scan")
    config = configured(place, quarantine=f"{{action: quarantine, directory: {place}/cust/q}}")
    done = hashscan(*config, "scan")
    assert done.returncode == 3, done
    assert f"{place}/cust belongs to user 4711" in done.stderr
    assert os.listdir(place / "cust") == ["link"]
    config = configured(place, quarantine=f"{{action: quarantine, directory: {place}/root-link/q}}")
    assert hashscan(*config, "scan").returncode == 0
    assert (place / "data" / "q").is_dir()


def test_volumes(place):
    known = ("--known", place / "known", "--state", place / "state")
    refused(place, "scan", place / "cust" / "link", *known)
    (place / "victim" / "sub").mkdir()
    refused(place, "scan", place / "cust" / "link" / "sub", *known, left=["sub"])
    config = configured(place, volumes=f"[{{path: {place}/cust/link}}, {{path: {place}/www}}]")
    done = hashscan(*config, "config", "check")
    assert (done.returncode, done.stdout.count("note: volumes")) == (0, 1), done
    assert f"note: volumes[0].path: {place}/cust/link: {place}/cust/link is a link" in done.stdout
    done = hashscan(*config, "scan")
    assert f"{place}/cust/link is a link to" in done.stderr, done
    assert os.listdir(place / "victim") == ["sub"]
    done = hashscan(*config, "doctor")
    assert f"{place}/cust/link is a link to" in done.stdout
    assert f"volume {place}/www: is there" in done.stdout
    # The daemon's check reports the link; the other volume is not held up.
    probes = Probes([f"{place}/cust/link", f"{place}/www"])
    bad, good = probes.check_all(lambda: None)
    probes.close()
    assert f"{place}/cust/link is a link to" in bad.error
    assert good.error is None
    # Another path can still be scanned.
    assert hashscan("scan", place / "root-link", *known).returncode == 0


def test_outputs(place):
    at = place / "cust" / "link"
    refused(place, "filter", "build", place / "known", "-o", at / "f")
    refused(place, "config", "init", "-o", at / "c.yaml")
    refused(place, "config", "init", "-o", at / "new" / "c.yaml")
    refused(place, "repository", "init", at / "repository", "--keys", place / "keys")
    refused(place, "repository", "init", place / "repository", "--keys", at / "keys")
    done = hashscan("service", "load", "x", place / "known", "--data", at / "data")
    assert done.returncode == 2
    assert os.listdir(place / "victim") == []
    data = place / "root-link"
    assert hashscan("filter", "build", place / "known", "-o", data / "f").returncode == 0
    assert hashscan("filter", "build", place / "known", "-o", data / "f", "--force").returncode == 0
    assert hashscan("config", "init", "-o", data / "a" / "c.yaml").returncode == 0
    done = hashscan("config", "init", "-o", data / "a" / "c.yaml", "--force")
    assert f"kept the old file as {data}/a/c.yaml.old-1" in done.stdout
    assert sorted(os.listdir(place / "data")) == ["a", "f", "f.json"]
    assert hashscan("repository", "init", data / "r", "--keys", data / "k").returncode == 0


def test_a_file_in_the_customers_own_directory_is_no_matter(place):
    """A path without links leads to the directory that it names: the customer's."""
    assert hashscan("config", "init", "-o", place / "cust" / "c.yaml").returncode == 0
    done = hashscan("filter", "build", place / "known", "-o", place / "cust" / "f")
    assert done.returncode == 0, done
    assert sorted(os.listdir(place / "cust")) == ["c.yaml", "f", "f.json", "link"]


@pytest.fixture
def quarantined(place):
    quarantine = Quarantine.open(os.fsencode(place / "state" / "quarantine"))
    (place / "state").chmod(0o700)
    os.chown(place / "www" / "f", CUSTOMER, CUSTOMER)
    acted = quarantine.act(confirmed(place / "www", "f"))
    quarantine.close()
    return acted.quarantine_id


def test_restore_and_export(place, quarantined):
    state = ("--state", place / "state")
    for to in ("cust/link", "cust/link/", "cust/./link/../link"):
        refused(place, "quarantine", "restore", quarantined, *state, "--to", f"{place}/{to}")
    refused(
        place, "quarantine", "export", quarantined, *state, "-o", place / "cust" / "link" / "e.tar"
    )
    export = ("quarantine", "export", quarantined, *state, "-o", place / "root-link" / "e.tar")
    assert hashscan(*export).returncode == 0
    done = hashscan("quarantine", "restore", quarantined, *state, "--to", place / "root-link")
    assert done.returncode == 0, done
    assert f"restored to {place}/data/f" in done.stdout
    assert (place / "data" / "f").read_bytes() == b"known content"
