"""Files to settings: every error at once, each with file, line and fix."""

import os
import re
import socket

import pytest

from hashscan.config import (
    loader,
)
from hashscan.config.settings import Settings
from hashscan.config.show import to_plain
from hashscan.errors import ConfigError, ExitCode


def errors_of(path, **options):
    """Place to (line, what and fix) of each error."""
    with pytest.raises(ConfigError) as raised:
        loader.load(path, **options)
    assert raised.value.exit_code == ExitCode.USAGE
    told = {}
    for finding in raised.value.findings:
        found = re.fullmatch(re.escape(path) + r"(?::(\d+))?(?:: (.*))?", finding.where)
        assert found, finding.where
        told[found[2] or ""] = (int(found[1] or 0), f"{finding.what}; {finding.fix}")
    assert len(told) == len(raised.value.findings)
    return told


def test_the_whole_example_of_the_design(write, whole, files):
    settings = loader.load(write(whole))
    assert to_plain(settings) == {
        "state": files["state"],
        "volumes": (
            {
                "path": files["www"],
                "watch": "auto",
                "exclude": ("*/cache/*",),
                "one_file_system": True,
            },
        ),
        "service": {
            "kind": "hashcheckservice",
            "url": "https://hcs.example",
            "username": "example",
            "password_file": files["password"],
            "timeout": 10.0,
            "ca_bundle": None,
            "test": False,
            "known": (),
            "only_categories": (),
        },
        "filter": {
            "source": files["baseline.filter"],
            "root": files["root.json"],
            "categories": ("baseline",),
            "algorithms": ("md5", "sha1"),
            "refresh": 3600.0,
            "max_age": 604800.0,
            "username": "",
            "password_file": None,
            "ca_bundle": None,
            "proxy": None,
            "timeout": 30.0,
        },
        "allow": (),
        "scan": {
            "schedule": "30 2 * * *",
            "unwatched": 900.0,
            "jobs": "auto",
            "max_rate": None,
            "max_files": None,
            "max_file_size": None,
            "tiers": True,
            "pause_above_io_pressure": 0.2,
        },
        "quarantine": {
            "action": "quarantine",
            "directory": files["state"] + "/quarantine",
            "retention": None,
            "ask_again": 86400.0,
            "restore_withdrawn": "ask",
        },
        "sites": (),
        "notices": to_plain(Settings.of())["notices"],
        "brakes": to_plain(Settings.of())["brakes"],
        "audit": {"file_size": 16 << 20, "files": 64},
        "notify": (),
        "metrics": {"listen": None, "token_file": None, "textfile": None},
    }


def test_every_error_at_once_with_line_and_fix(write, files):
    told = errors_of(
        write(f"""\
state: var/lib
volums: 3
volumes:
  - path: www/missing
    exclude: [/a, 3]
    watch: "yes"
  - {files["www"]}
  - paht: x
  - path:{files["www"]}
service:
  url: http://hcs.example
  password: hunter2
  timeout: 5x
  test: 1
quarantine: {{action: delete}}
scan:
  jobs: 0
  max_rate: fast
  pause_above_io_pressure: 20
  schedule: 0 3 * *
notify: [mail]
metrics: []
""")
    )
    assert {place: line for place, (line, _) in told.items()} == {
        "state": 1,
        "volums": 2,
        "volumes[0].path": 4,
        "volumes[0].exclude[0]": 5,
        "volumes[0].exclude[1]": 5,
        "volumes[0].watch": 6,
        "volumes[1]": 7,
        "volumes[2].paht": 8,
        "volumes[2].path": 8,
        "volumes[3]": 9,
        "service.username": 10,
        "service.password_file": 10,
        "service.url": 11,
        "service.password": 12,
        "service.timeout": 13,
        "service.test": 14,
        "quarantine.action": 15,
        "scan.jobs": 17,
        "scan.max_rate": 18,
        "scan.pause_above_io_pressure": 19,
        "scan.schedule": 20,
        "notify[0]": 21,
        "metrics": 22,
        "filter.source": 1,
    }
    lines = [line for line, _ in told.values()]
    assert lines == sorted(lines)
    for place, words in {
        "volums": "did you mean `volumes`",
        "volumes[0].path": "not a full path",
        "volumes[0].watch": "watch: auto",
        "volumes[1]": "write `path: ` before it; known here: path, watch, exclude",
        "volumes[3]": "write a blank after the colon, as in `path: value`",
        "volumes[2].paht": "did you mean `path`",
        "volumes[2].path": "is missing; write e.g. `path: /srv/www`",
        "service.url": "https://",
        "service.password": "password_file",
        "quarantine.action": "'report' or 'quarantine'",
        "scan.schedule": "has 4 fields",
        "notify[0]": "must be a section",
        "filter.source": "is missing",
    }.items():
        assert words in told[place][1]


def test_a_key_written_twice_names_both_lines(write):
    told = errors_of(write("scan:\n  jobs: 2\n  max_rate: 1\n  jobs: 3\n"))
    assert told["scan.jobs"] == (
        4,
        "the key is here again; it is already in line 2; keep one of the two",
    )


def test_the_password_is_never_in_a_message(write, files):
    secret = os.urandom(12).hex()
    path = write(
        f"service:\n  password: {secret}\n  url: https://u:{secret}@x\n  username: [{secret}]\n"
        f"  timeout: {secret}\n  test: {secret}\n  kind: {secret}\n"
    )
    with pytest.raises(ConfigError) as raised:
        loader.load(path)
    assert len(raised.value.findings) >= 6
    assert secret not in str(raised.value)
    assert secret not in repr(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("kind: hashcheckservice", "kind: local", "service.known", "at least one digest list"),
        ("known: []", "known: [/none]", "service.known[0]", "no such file"),
        ("known: []", "known: [KNOWN, KNOWN]", "service.known[1]", "more than once"),
        ("known: []", "only_categories: [a, ' ']", "service.only_categories[1]", "e.g. vics-1"),
        ("known: []", "only_categories: [1]", "service.only_categories[0]", "in quotes"),
        ("https://hcs.example/", "http://hcs.example", "service.url", "this machine only"),
        ("https://hcs.example/", "http://127.0.0.1.example", "service.url", "this machine only"),
        ("https://hcs.example/", "ftp://hcs.example", "service.url", "https://"),
        ("https://hcs.example/", "https://a:b@hcs.example", "service.url", "user name or password"),
        ("https://hcs.example/", "https://hcs.example?a=b", "service.url", "query"),
        ("https://hcs.example/", "https://hcs.example/v1/check/", "service.url", "leave out"),
        ("https://hcs.example/", "https://hcs.example:99999", "service.url", "not a URL"),
        ("https://hcs.example/", "https://[::1", "service.url", "not a URL"),
        ("https://hcs.example/", "https://hcs.example\\@evil", "service.url", "user name"),
        ("https://hcs.example/", "https://hcs.example\\x", "service.url", "read in different ways"),
        ("https://hcs.example/", "https://hcs.exämple", "service.url", "ASCII"),
        ("https://hcs.example/", "''", "service.url", "is missing"),
        ('exclude: ["*/cache/*"]', "exclude: [?.bak]", "volumes[0].exclude[0]", "put it in quotes"),
        (
            'exclude: ["*/cache/*"]',
            "exclude: [{a,b}]",
            "volumes[0].exclude[0]",
            "it is a section; put it",
        ),
        (
            'exclude: ["*/cache/*"]',
            "exclude:\n      - #a",
            "volumes[0].exclude[0]",
            "# begins a comment",
        ),
        ("username: example", "username: a:b", "service.username", "colon"),
        ("username: example", "username: 12", "service.username", "quotes"),
        ("source: FILTER", "source: /none", "filter.source", "no such file"),
        ("source: FILTER", "source: WWW", "filter.source", "not a regular file"),
        ("source: FILTER", "source: ftp://hcs.example/", "filter.source", "https://"),
        ("max_age: 7d", "username: a:b", "filter.username", "colon"),
        ("max_age: 7d", "username: a", "filter.password_file", "is missing"),
        ("max_age: 7d", "proxy: http://p.example/x", "filter.proxy", "without a path"),
        ("max_age: 7d", "proxy: http://a:b@p.example", "filter.proxy", "user name or password"),
        ("source: FILTER", "source: baseline", "filter.source", "neither"),
        ("max_age: 7d", "max_age: none", "filter.max_age", "not a duration"),
        ("max_age: 7d", "max_age: 0s", "filter.max_age", "not a sensible duration"),
        ("categories: [baseline]", "categories: []", "filter.categories", "at least one"),
        ("categories: [baseline]", "categories: [a/b]", "filter.categories[0]", "lower-case"),
        ("path: WWW", "path: ~/www", "volumes[0].path", "not a full path"),
        ("path: WWW", 'path: "/a\\0b"', "volumes[0].path", "NUL"),
        ("path: WWW", 'path: "/a\\ud800b"', "volumes[0].path", "no path can hold"),
        ("state: STATE", "state: FILTER", "state", "not a directory"),
        ("directory: STATE/quarantine", "directory: STATE", "quarantine.directory", "state dir"),
        ("directory: STATE/quarantine", "directory: WWW/", "quarantine.directory", "volumes[0]"),
        ("path: WWW", "path: STATE", "quarantine.directory", "never scanned"),
        ("max_rate: none", "max_rate: 0", "scan.max_rate", "not a sensible size"),
        ("max_rate: none", "max_rate: 99999999999999P", "scan.max_rate", "not a sensible size"),
        ("max_rate: none", "max_rate: yes", "scan.max_rate", "switch"),
        ("jobs: auto", "jobs: two", "scan.jobs", "auto or a number"),
        ("jobs: auto", "jobs: true", "scan.jobs", "auto or a number"),
        ("20%", "120%", "scan.pause_above_io_pressure", "up to 100%"),
        ("30 2 * * *", "30 24 * * *", "scan.schedule", "the hour (field 2)"),
        ("listen: none", "listen: example:1", "metrics.listen", "address and a port"),
        ("listen: none", "listen: 999.1.1.1:1", "metrics.listen", "address and a port"),
        ("textfile: none", "textfile: a.prom", "metrics.textfile", "not a full path"),
        ("textfile: none", "textfile: /x/a.txt", "metrics.textfile", "must end in .prom"),
        ("listen: none", "listen: 0.0.0.0:1", "metrics.listen", "an address of this machine"),
        ("listen: none", "listen: 10.0.0.1:1", "metrics.listen", "an address of this machine"),
        ("listen: none", 'listen: "[::]:1"', "metrics.listen", "an address of this machine"),
        ("listen: none", "token_file: WWW", "metrics.token_file", "not a regular file"),
        ("listen: none", "token_file: STATE/none", "metrics.token_file", "no such file"),
        ("notify: []", "notify: true", "notify", "must be a list"),
    ],
)
def test_one_wrong_thing_is_one_error(write, whole, files, old, new, place, words):
    for word, name in (
        ("FILTER", "baseline.filter"),
        ("WWW", "www"),
        ("STATE", "state"),
        ("KNOWN", "known.txt"),
    ):
        old, new = old.replace(word, files[name]), new.replace(word, files[name])
    assert whole.count(old) >= 1
    told = errors_of(write(whole.replace(old, new, 1)))
    assert list(told) == [place]
    line, text = told[place]
    assert words in text
    assert text.partition("; ")[2]  # and what to do about it
    parent = place.split(".")[0].split("[")[0]
    assert line >= next(i for i, one in enumerate(whole.splitlines(), 1) if one.startswith(parent))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://[::1]:8080/a/b", "http://localhost", "https://x:1"]
)
def test_urls_that_are_fine(write, whole, url):
    settings = loader.load(write(whole.replace("https://hcs.example/", url + "/")))
    assert settings.service.url == url


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *",
        "*/5 0-6,22 1 jan-mar mon",
        "0 0 31 12 7",
        "1,2 3/2 * * sun",
        "0 0 1 dec sat",
        "0 0 1 * 1-sat",
    ],
)
def test_schedules_that_are_fine(write, whole, cron):
    assert loader.load(write(whole.replace("30 2 * * *", cron))).scan.schedule == cron


@pytest.mark.parametrize(
    "cron",
    [
        "@daily",
        "*/0 * * * *",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "0 0 0 * *",
        "0 0 * foo *",
        "0 0 * * 8",
        "0 0 * dec-nov *",
        "0 0 * 2-jan *",
        "0 0 * * mon-sun",
        "- * * * *",
        "0 0 * * * *",
        ", * * * *",
        "٣ * * * *",
    ],
)
def test_schedules_that_are_not(write, whole, cron):
    assert list(errors_of(write(whole.replace("30 2 * * *", cron)))) == ["scan.schedule"]


def test_a_repository_needs_its_pinned_root(write, whole, files):
    text = whole.replace(files["baseline.filter"], "https://filters.example/")
    assert loader.load(write(text)).filter.source == "https://filters.example/"
    text = text.replace(files["root.json"], "none")
    assert list(errors_of(write(text))) == ["filter.root"]


def test_a_service_needs_a_filter_unless_it_is_local(write, whole, files):
    start, _, rest = whole.partition("filter:\n")
    text = start + rest[rest.index("scan:") :]
    assert list(errors_of(write(text))) == ["filter.source"]
    local = text.replace("kind: hashcheckservice", "kind: local").replace(
        "known: []", f"known: [{files['known.txt']}]"
    )
    assert loader.load(write(local)).filter is None
    alone = Settings.of(service={"kind": "local", "known": ["/list"]}).service
    assert (alone.url, alone.username) == ("", "")


def test_one_directory_is_one_volume(write, tmp_path, files):
    told = errors_of(write(f"volumes: [{{path: {files['www']}//}}, {{path: {files['www']}/.}}]"))
    assert told["volumes[1].path"][1].startswith("is the same directory as volumes[0].path")
    nested = f"volumes: [{{path: {tmp_path}}}, {{path: {files['www']}}}]"
    assert len(loader.load(write(nested)).volumes) == 2


def test_a_missing_volume_does_not_stand_in_the_way(write, whole, files):
    path = write(whole)
    os.rmdir(files["www"])
    os.unlink(files["password"])
    os.unlink(files["baseline.filter"])
    assert set(errors_of(path)) == {"service.password_file", "filter.source"}
    assert loader.load(path, check_files=False).volumes[0].path == files["www"]


def test_sections_without_content_are_the_defaults(write):
    settings = loader.load(write("volumes:\n  # - path: /srv/www\nscan:\nquarantine:\n"))
    assert settings.volumes == ()
    assert settings.quarantine.action == "report"


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"---\n", b"\xef\xbb\xbf", b"null\n"])
def test_an_empty_file_is_an_error(write, content):
    ((line, text),) = errors_of(write(content)).values()
    assert line == 1
    assert "config init" in text


@pytest.mark.parametrize("content", ["- a\n", "text\n", "3\n", "'{'\n"])
def test_the_top_must_be_a_section(write, content):
    ((line, text),) = errors_of(write(content)).values()
    assert line == 1
    assert "must be a section" in text


def test_no_yaml_says_the_line(write):
    assert errors_of(write("state: /a\nvolumes: [\n"))[""][0] == 3


def test_a_file_with_a_token_for_the_metrics(write, files):
    settings = loader.load(write(f"metrics: {{token_file: {files['password']}}}\n"))
    assert settings.metrics.token_file == files["password"]


def test_names_in_messages_cannot_forge_lines(write):
    told = errors_of(write('"a\\nhashscan: all is well\\e[2J": 1\n'))
    assert list(told) == ["a\\nhashscan: all is well\\x1b[2J"]


def test_a_hundred_errors_are_enough(write):
    with pytest.raises(ConfigError, match="more than 100 errors") as raised:
        loader.load(write("".join(f"k{i}: 1\n" for i in range(5000))))
    assert len(raised.value.findings) == 101
    assert "4900 more" in str(raised.value.findings[-1])
    with pytest.raises(ConfigError, match="used, 100 errors") as raised:
        loader.load(write("".join(f"k{i}: 1\n" for i in range(100))))
    assert len(raised.value.findings) == 100
    with pytest.raises(ConfigError, match="used, 1 error:"):
        loader.load(write("k: 1\n"))


def test_large_files_are_refused(write):
    assert "1 MiB" in errors_of(write(b"#" * ((1 << 20) + 1)))[""][1]
    assert "no settings" in errors_of(write(b"#" * (1 << 20)))[""][1]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("directory", "is not a regular file"),
        ("fifo", "is not a regular file"),
        ("socket", "no such device or address"),
        ("missing", "there is no such file"),
        ("loop", "too many levels of symbolic links"),
        ("device", "is not a regular file"),
        ("not a directory", "not a directory"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, kind, words):
    path = str(tmp_path / "config.yaml")
    if kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
    elif kind == "loop":
        os.symlink(path, path)
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "not a directory":
        (tmp_path / "config.yaml").touch()
        path += "/x"
    ((place, (_, text)),) = errors_of(path).items()
    assert place == ""
    assert text.startswith(words)


def test_a_path_that_cannot_be_one():
    for path in ("/a\0b", "/a\ud800"):
        with pytest.raises(ConfigError, match="cannot be a path"):
            loader.load(path)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root is at stake")
def test_root_refuses_a_file_that_everybody_may_write_to(write, whole):
    path = write(whole)
    os.chmod(path, 0o666)
    assert f"chmod o-w {path}" in errors_of(path)[""][1]


def test_a_password_never_travels_readable_to_a_repository(write, whole, files):
    clear = whole.replace(files["baseline.filter"], "http://filters.example")
    assert loader.load(write(clear)).filter.source == "http://filters.example"
    named = clear.replace("max_age: 7d", f"username: a\n  password_file: {files['password']}")
    with pytest.raises(ConfigError, match="travel readable") as raised:
        loader.load(write(named))
    assert "filter.username" in raised.value.findings[0].where
    loader.load(write(named.replace("http://", "https://")))


def test_a_configuration_that_cannot_be_read_is_named():
    """A regular file whose first byte is an error, as on failing storage: see proc(5)."""
    assert errors_of("/proc/self/mem") == {"": (0, "input/output error; ")}
