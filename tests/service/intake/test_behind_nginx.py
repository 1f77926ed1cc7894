"""The web server's configuration in docs/notices.md, by a real nginx and a real curl."""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from web_servers import free_port, program, running

from hashscan.service.intake.serve import IntakeOptions, data_of, serve
from hashscan.service.intake.tokens import add_token
from hashscan.state import State

DOCS = Path(__file__).parents[3] / "docs" / "notices.md"


@pytest.fixture
def intake(tmp_path):
    """The port of an nginx in front of an intake, a token, and what ends the intake."""
    from serving import serving

    os.chmod(tmp_path, 0o700)
    (location,) = re.findall(r"```nginx\n(location .*?)```", DOCS.read_text(), re.DOTALL)
    (nothing,) = re.findall(r"location @nothing {.*?}", DOCS.read_text())
    location += f"{nothing} location /nothing/ {{ proxy_pass http://unix:/none; "
    location += "error_page 502 504 = @nothing; }"
    path, port = str(tmp_path / "socket"), free_port()
    location = location.replace("/run/hashscan-notices/socket", path)
    assert path in location
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{name}_temp_path {tmp_path}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port};\n{location}\n}} }}\n"
    )
    state = State(str(tmp_path / "state"))
    token = add_token(data_of(state), "hotline")
    command = [program("nginx"), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    with running(command, port), contextlib.ExitStack() as stack:
        options = IntakeOptions(path=path, behind_proxy=True)
        stack.enter_context(serving(serve, state, (), options))
        yield port, token, stack.close


def curl(port, token, *arguments, given=""):
    """Status and JSON; ``given``: its standard input."""
    done = subprocess.run(
        [program("curl"), "-sS", "--noproxy", "*", "-w", "\n%{http_code}",
         "-H", f"Authorization: Bearer {token}", *arguments],
        capture_output=True, text=True, timeout=60, input=given,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else body


def test_reports_and_links(intake):
    port, token, end = intake
    url = f"http://127.0.0.1:{port}/api/v1"
    lines = "\n".join(f"http://a.example/{number}" for number in range(5000))
    for expect in ("Expect: 100-continue", "Expect:"):
        status, answer = curl(
            port, token, "-H", expect, "-d", "ip=192.0.2.7", "--data-urlencode", f"urls={lines}",
            f"{url}/reports",
        )  # fmt: skip
        assert (status, answer["data"]["items"]) == (201, 5000)
    status, answer = curl(
        port, token, "-H", "Accept: application/json", "-G",
        "--data-urlencode", "url=http://a.example/1", f"{url}/online",
    )  # fmt: skip
    assert (status, answer["data"]["state"]) == (202, "unknown")
    # the client does not say what its address is
    found = [
        curl(port, "x", "-H", f"X-Forwarded-For: 192.0.2.{n}", "-d", "", f"{url}/reports")[0]
        for n in range(7)
    ]
    assert found == [401] * 5 + [429] * 2
    # errors of nginx are JSON with a message, too: SCART takes anything else for success
    large = "urls=" + "x" * (3 << 20)
    for data in ("@-", "urls=http://a/"):
        status, answer = curl(port, token, "-d", data, f"{url}/reports", given=large)
        assert (status, answer["errors"]) == (503, {})
        assert "not taken" in answer["message"]
        end()
    assert curl(port, token, f"http://127.0.0.1:{port}/nothing/") == (204, "")
