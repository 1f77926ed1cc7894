"""Earlier runs of the tests, killed ones too, do not fail this one."""

import os

import old_runs


def test_directories_of_any_depth_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    top = tmp_path / "pytest-of-me"
    for name in ("garbage-1", "pytest-8", "pytest-9", "pytest-10", "pytest-11", "pytest-12"):
        (top / name).mkdir(parents=True)
    here = os.getcwd()
    os.chdir(top / "pytest-8")
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
    for name, age in (("pytest-9", 60), ("pytest-10", 4 * 86400)):
        lock = top / name / ".lock"
        lock.touch()
        os.utime(lock, (lock.stat().st_mtime - age,) * 2)
    old_runs.remove()
    assert sorted(os.listdir(top)) == ["pytest-11", "pytest-12", "pytest-9"]
