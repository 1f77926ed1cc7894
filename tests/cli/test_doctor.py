"""``hashscan doctor``: what it says of real places."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import ready
from fault_server import KnownServer, answer


@pytest.fixture
def doctor(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "list").write_text("0" * 40 + "\n")

    def run(*arguments, **changes):
        settings = {
            "volumes": f"[{{path: {tmp_path}/www, watch: inotify}}]",
            "service": f"{{kind: local, known: [{tmp_path}/list]}}",
            **changes,
        }
        text = "".join(f"{name}: {value}\n" for name, value in settings.items() if value)
        (tmp_path / "config.yaml").write_text(f"state: {tmp_path}/state\n{text}")
        return ready.in_words(
            ready.hashscan("--config", tmp_path / "config.yaml", "doctor", *arguments)
        )

    return run


def build_filter(directory):
    built = ready.hashscan("filter", "build", directory / "list", "-o", directory / "f")
    assert built.returncode == 0, built


def test_all_is_well(doctor, tmp_path):
    ran = doctor()
    assert ran.returncode == 0, ran
    assert "will be inotify: the configuration says so" in ran.stdout
    assert "FAIL" not in ran.stdout
    assert not (tmp_path / "state").exists(), "nothing is made"


def test_json_has_one_object_a_check(doctor):
    lines = [json.loads(line) for line in doctor("--json").stdout.splitlines()]
    assert all(list(one) == ["event", "name", "result", "message", "fix"] for one in lines)
    assert {one["result"] for one in lines} <= {"ok", "note"}


def test_what_is_missing_is_told_with_its_fix(doctor, tmp_path):
    ran = doctor(volumes=f"[{{path: {tmp_path}/none}}]")
    assert ran.returncode == 2
    assert "FAIL volume" in ran.stdout
    assert "-> see the path and the mount" in ran.stdout
    assert "service:" not in doctor(service=None).stdout.replace("FAIL service:", "")
    assert doctor(service=None).returncode == 2


def test_a_service_that_cannot_be_reached(doctor, tmp_path):
    (tmp_path / "password").write_text("x")
    (tmp_path / "password").chmod(0o600)
    build_filter(tmp_path)
    service = (
        "{kind: hashcheckservice, url: 'http://127.0.0.1:1', username: me,"
        f" password_file: {tmp_path}/password}}"
    )
    ran = doctor(service=service, filter=f"{{source: {tmp_path}/f}}")
    assert ran.returncode == 6, ran
    assert "cannot be reached" in ran.stdout
    ran = doctor(service=service, filter=f"{{source: {tmp_path}/none}}")
    assert ran.returncode == 5, ran


@pytest.mark.parametrize(
    ("password", "code", "words"),
    [
        ("right", 0, "answers, and takes the user name and the password"),
        (
            "wrong",
            6,
            "FAIL service: {}/v1/test/check/sha1: answered 401, it refuses the credentials",
        ),
    ],
)
def test_a_wrong_password_is_found(doctor, tmp_path, password, code, words):
    with KnownServer(known=set(), username="me", password="right") as server:
        ran = asked(doctor, tmp_path, server, password)
        assert ran.returncode == code, ran
        assert words.format(server.url) in ran.stdout
        assert "cannot be reached" not in ran.stdout


@pytest.mark.parametrize(("status", "fix"), [(503, "load --test"), (500, "check service.url")])
def test_a_service_that_answers_is_not_sought_in_the_network(doctor, tmp_path, status, fix):
    with KnownServer(known=set(), username="me", password="right") as server:
        server.always(answer(status))
        ran = asked(doctor, tmp_path, server, "right")
        assert ran.returncode == 6, ran
        assert fix in ran.stdout
        assert "firewall" not in ran.stdout


def asked(doctor, tmp_path, server, password):
    (tmp_path / "password").write_text(password)
    (tmp_path / "password").chmod(0o600)
    build_filter(tmp_path)
    service = (
        f"{{kind: hashcheckservice, url: '{server.url}', username: me,"
        f" password_file: {tmp_path}/password}}"
    )
    return doctor(service=service, filter=f"{{source: {tmp_path}/f}}")


def test_a_tier_that_cannot_be_used_is_a_note(doctor, tmp_path):
    (tmp_path / "sized").write_text(f"sha1,size\n{'ab' * 20},5\n")
    built = subprocess.run(
        [sys.executable, "-m", "hashscan", "filter", "build", tmp_path / "sized", "-o",
         tmp_path / "f"],
        check=False, capture_output=True,
    )  # fmt: skip
    assert built.returncode == 0
    told = doctor(filter=f"{{source: {tmp_path}/f}}").stdout
    assert "1 digests, tiers: sizes" in told
    (tmp_path / "f.sizes").write_bytes(b"damaged")
    ran = doctor(filter=f"{{source: {tmp_path}/f}}")
    assert "a tier of it cannot be used" in ran.stdout
    assert "FAIL filter" not in ran.stdout


def test_fanotify_is_explained(doctor, tmp_path):
    told = doctor(volumes=f"[{{path: {tmp_path}/www, watch: fanotify}}]").stdout
    assert "fanotify" in told
    if os.geteuid() != 0:
        assert "CAP_SYS_ADMIN" in told


def test_a_state_or_quarantine_that_cannot_be_used(doctor, tmp_path):
    assert doctor().returncode == 0
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "quarantine").touch()
    ran = doctor()
    assert ran.returncode == 2
    assert "ok   state: " in ran.stdout
    assert "FAIL quarantine: " in ran.stdout
    (tmp_path / "state" / "catalog.sqlite3").write_bytes(b"no database" * 999)
    ran = doctor()
    assert "FAIL state: " in ran.stdout
    assert "is not a database" in ran.stdout


def test_a_damaged_record_of_the_quarantine(doctor, tmp_path):
    (tmp_path / "www" / "a").write_text("known")
    (tmp_path / "list").write_text(hashlib.sha1(b"known").hexdigest() + "\n")
    assert doctor(quarantine="{action: quarantine}").returncode == 0
    assert ready.hashscan("--config", tmp_path / "config.yaml", "scan").returncode == 1
    (record,) = (tmp_path / "state" / "quarantine").glob("2*/record.json")
    record.write_text("{")
    ran = doctor(quarantine="{action: quarantine}")
    assert ran.returncode == 2
    assert "FAIL quarantine records: 1 record of " in ran.stdout


def test_a_maildir_is_checked(doctor, tmp_path):
    box = tmp_path / "Maildir"
    given = f"{{maildir: {box}}}"
    ran = doctor(notices=given)
    assert ran.returncode == 2
    assert f"FAIL maildir {box}: {box}: it cannot be opened" in ran.stdout
    assert "-> correct notices.maildir, or check its mount and its file server" in ran.stdout
    assert (
        f"the user who delivers mails can make a new Maildir: mkdir -p {box}/{{cur,new,tmp}}\n"
        in ran.stdout
    )
    assert "ok   notices:" not in ran.stdout
    (box / "new").mkdir(parents=True)
    added = ready.hashscan(
        "notice", "add", "--state", tmp_path / "state", input=b"https://site.example/1"
    )
    assert added.returncode == 0, added
    ran = doctor(notices=given)
    assert f"FAIL maildir {box}: {box} cannot be used as a Maildir" in ran.stdout
    assert "ok   notices: 1 open, 0 due soon, 0 overdue" in ran.stdout
    (box / "cur").mkdir()
    ran = doctor(notices=given)
    assert ran.returncode == 0
    assert f"ok   maildir {box}: mails can be taken and marked as read" in ran.stdout
    assert "ok   senders of notices: a mail moves no file that no list knows" in ran.stdout


def test_the_sources_of_sites_are_read(doctor, tmp_path):
    (tmp_path / "nginx.conf").write_text("http { server { } server { } }")
    (tmp_path / "apache2.conf").write_text("<VirtualHost *:80>\n")
    (tmp_path / "table").write_text("a.example /srv/a\n")
    ran = doctor(
        sites=f"[{{host: a, root: /srv}}, {{nginx: {tmp_path}/nginx.conf}}, {{table: {tmp_path}/table}},"
        f" {{apache: {tmp_path}/apache2.conf}}, {{command: [/bin/true]}}]"
    )
    assert ran.returncode == 2
    for words in (
        "sites[0] (host a): root /srv",
        f"sites[1] (nginx {tmp_path}/nginx.conf): 2 servers",
        f"sites[2] (table {tmp_path}/table): 1 host",
        f"FAIL sites[3] (apache {tmp_path}/apache2.conf): {tmp_path}/apache2.conf: the section",
        "sites[4] (command /bin/true): is run for each host",
    ):
        assert words in ran.stdout


def test_a_missing_allow_list_is_named_as_such(doctor, tmp_path):
    ran = doctor(allow=f"[{tmp_path}/none.csv]")
    assert f"FAIL allow {tmp_path}/none.csv: " in ran.stdout
    assert "FAIL service" not in ran.stdout


def test_a_directory_for_the_metrics_that_is_missing(doctor, tmp_path):
    ran = doctor(metrics=f"{{textfile: {tmp_path}/none/hashscan.prom}}")
    assert f"FAIL metrics: {tmp_path}/none is missing, or files cannot be made in it" in ran.stdout
    assert "-> create the directory, or correct metrics.textfile" in ran.stdout
    ran = doctor(metrics=f"{{textfile: {tmp_path}/hashscan.prom}}")
    assert f"ok   metrics: {tmp_path}/hashscan.prom can be written" in ran.stdout


def test_a_program_that_gets_notifications_and_is_missing(doctor, tmp_path):
    ran = doctor(notify=f"[{{name: pager, kind: command, command: [{tmp_path}/page]}}]")
    assert f"FAIL notify pager: command: {tmp_path}/page is missing, or not exec" in ran.stdout
