"""The metrics of this moment: from the status to the text and its file."""

import os
import threading
import time

import pytest
from promtool import samples

from hashscan.errors import ExitCode, MachineError
from hashscan.jobs.complaint_reasons import Reason
from hashscan.jobs.status import status_of
from hashscan.jobs.status_complaints import Complaint
from hashscan.metrics.collect import (
    collect,
    page,
    page_without_configuration,
    snapshot_of,
    write_textfile,
)
from hashscan.metrics.processes import Usage


def test_a_reader_never_sees_half_a_textfile(tmp_path):
    path = str(tmp_path / "h.prom")
    texts = [b"a" * 100_000, b"b" * 100_000]
    write_textfile(path, texts[0])
    over = threading.Event()
    seen = set()

    def read():
        while not over.is_set():
            with open(path, "rb") as file:
                seen.add(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        write_textfile(path, texts[number % 2])
    over.set()
    reader.join()
    assert seen <= set(texts)


def test_the_verdict_is_that_of_status(place):
    place.scanned()
    values = samples(page(collect(place.settings)).decode())
    assert (values["healthy"], values["status_exit_code"]) == (1, 0)
    assert not [name for name, value in values.items() if name.startswith("complaints{") and value]
    place.candidate(1.0, "https://hcs/v1: answered 401, it refuses the credentials; check")
    values = samples(page(collect(place.settings)).decode())
    assert (values["healthy"], values["status_exit_code"]) == (0, place.run().returncode)
    assert values['complaints{reason="service-refuses"}'] == 1
    place.known.unlink()
    values = samples(page(collect(place.settings)).decode())
    assert values["status_exit_code"] == place.run().returncode == 5
    assert values['complaints{reason="filter"}'] == 1


def test_a_status_without_a_daemon_has_no_processes(place):
    place.scanned()
    status = status_of(place.settings)
    began = time.monotonic()
    snapshot = snapshot_of(place.settings, status, [], began)
    assert (snapshot.daemon, snapshot.children) == (Usage(), Usage())
    wrong = [
        Complaint(ExitCode.SERVICE, Reason.PENDING, "x"),
        Complaint(ExitCode.FILTER, Reason.FILTER, "y"),
    ]
    snapshot = snapshot_of(place.settings, status, iter(wrong), began)
    assert (snapshot.exit_code, snapshot.reasons) == (6, [Reason.PENDING, Reason.FILTER])


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda path: None, "create its directory, or correct the path"),
        (lambda path: (path.parent.mkdir(), path.mkdir()), "Is a directory"),
    ],
    ids=["no-directory", "a-directory"],
)
def test_a_textfile_that_cannot_be_written_is_named_with_its_fix(break_it, words, tmp_path):
    path = tmp_path / "below" / "h.prom"
    break_it(path)
    with pytest.raises(MachineError) as error:
        write_textfile(str(path), b"x")
    assert str(error.value).startswith(f"{path}: the metrics cannot be written: ")
    assert words in str(error.value)


def test_another_user_may_read_the_textfile(tmp_path):
    path = tmp_path / "h.prom"
    write_textfile(str(path), b"x")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"x", 0o644)
    assert os.listdir(tmp_path) == ["h.prom"]


def test_a_broken_configuration_is_a_verdict():
    values = samples(page_without_configuration().decode())
    assert values["healthy"] == 0
    assert values["status_exit_code"] == ExitCode.USAGE
    assert values['complaints{reason="configuration"}'] == 1
    assert time.time() - values["collected_timestamp_seconds"] < 60
    assert "daemon_running" not in values
