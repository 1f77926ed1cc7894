"""A configuration whose files exist, and a way to write and load variants of it."""

import os

import pytest


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("CREDENTIALS_DIRECTORY", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def files(tmp_path):
    """Names to full paths of things that a configuration may name."""
    for name in ("www", "home", "state"):
        (tmp_path / name).mkdir()
    for name in ("password", "baseline.filter", "root.json", "known.txt"):
        (tmp_path / name).write_bytes(os.urandom(8).hex().encode() + b"\n")
        (tmp_path / name).chmod(0o600)
    return {path.name: str(path) for path in tmp_path.iterdir()}


@pytest.fixture
def write(tmp_path):
    """Write a configuration file, 0600, and give its path."""

    def _write(text):
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)
        return str(path)

    return _write


@pytest.fixture
def whole(files):
    """Every key of the design's example, with files that exist."""
    return f"""\
state: {files["state"]}
volumes:
  - path: {files["www"]}
    watch: true
    exclude: ["*/cache/*"]
    one_file_system: true
service:
  kind: hashcheckservice
  url: https://hcs.example/
  username: example
  password_file: {files["password"]}
  timeout: 10s
  test: false
  known: []
filter:
  source: {files["baseline.filter"]}
  root: {files["root.json"]}
  categories: [baseline]
  refresh: 1h
  max_age: 7d
scan:
  schedule: "30 2 * * *"
  jobs: auto
  max_rate: none
  max_file_size: none
  pause_above_io_pressure: 20%
quarantine:
  action: quarantine
  directory: {files["state"]}/quarantine
  retention: none
notify: []
metrics: {{listen: none, textfile: none}}
"""
