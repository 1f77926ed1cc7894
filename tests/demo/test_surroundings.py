"""The story's password and configuration."""

import os

import pytest

from hashscan.config.loader import load
from hashscan.config.password import read_password
from hashscan.demo.surroundings import (
    CONFIGURATION,
    PASSWORD,
    write_configuration,
    write_password,
)


def test_the_agent_reads_both(tmp_path):
    directory = tmp_path / 'a "b"\\: #'
    (directory / "repository" / "metadata").mkdir(parents=True)
    (directory / "repository" / "metadata" / "1.root.json").write_text("{}")
    volume = directory / "volume"
    volume.mkdir()
    write_password(str(directory))
    write_configuration(str(directory), str(volume), "http://127.0.0.1:8080")
    settings = load(str(directory / CONFIGURATION))
    assert [one.path for one in settings.volumes] == [str(volume)]
    assert settings.state == f"{directory}/state"
    assert settings.service.url == "http://127.0.0.1:8080"
    assert settings.filter.source == "http://127.0.0.1:8080/repository/"
    assert settings.quarantine.action == "report", "a demonstration moves no file unasked"
    assert len(read_password(settings.service)) == 24


def test_a_password_is_its_owners_and_never_replaced(tmp_path):
    write_password(str(tmp_path))
    path = tmp_path / PASSWORD
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    with pytest.raises(FileExistsError):
        write_password(str(tmp_path))
    assert path.read_text() == before


def test_no_configuration_is_written_through_a_link(tmp_path):
    os.symlink("elsewhere", tmp_path / CONFIGURATION)
    with pytest.raises(FileExistsError):
        write_configuration(str(tmp_path), str(tmp_path), "http://x")
    assert os.listdir(tmp_path) == [CONFIGURATION]
