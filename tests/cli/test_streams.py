"""The standard streams: a result is written whole or is an error, a message may be dropped."""

import io
import os
import threading

import pytest

from hashscan.cli.streams import _Messages, _Results, _text
from hashscan.errors import ExitCode, OutputError


@pytest.fixture
def pipe():
    """The ends of a pipe; a test may close each of them itself."""
    ends = {name: os.fdopen(fd, "rb" if name == "read" else "wb", 0) for name, fd in zip(
        ("read", "write"), os.pipe(), strict=True
    )}  # fmt: skip
    yield ends["read"], ends["write"]
    for end in ends.values():
        end.close()


def results(file):
    return _Results(file.fileno(), "wb", closefd=False)


def test_a_full_disk_is_an_error_of_the_output():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OutputError) as error:
        results(full).write(b"x\n")
    assert error.value.why == "standard output cannot be written: No space left on device"
    assert error.value.exit_code == ExitCode.INTERRUPTED


def test_a_reader_that_has_gone(pipe):
    read, write = pipe
    read.close()
    with pytest.raises(OutputError, match="its reader has gone"):
        results(write).write(b"x\n")


def test_a_stream_that_is_closed(pipe):
    out = results(pipe[0])  # a read-only descriptor fails as a closed one does
    with pytest.raises(OutputError, match="it is closed; to have no output, send it to /dev/null"):
        out.write(b"x\n")


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_all(pipe):
    read, write = pipe
    os.set_blocking(write.fileno(), False)
    content = os.urandom(1 << 20)
    found = []
    reader = threading.Thread(target=lambda: found.append(read.read()))
    out = results(write)
    reader.start()
    assert out.write(content) == len(content)
    write.close()
    reader.join()
    assert b"".join(found) == content


def test_a_line_that_was_cut_off_is_ended_before_the_next_one(tmp_path):
    class Short(_Results):
        fails = True

        def _some(self, rest):
            written = super()._some(rest[:3] if self.fails else rest)
            if self.fails and bytes(rest[:3]) != b"one":
                raise OSError(28, "No space left on device")
            return written

    with open(tmp_path / "out", "wb", buffering=0) as file:
        out = Short(file.fileno(), "wb", closefd=False)
        with pytest.raises(OutputError):
            out.write(b"one two\n")
        out.fails = False
        assert out.write(b"three\n") == 6
        out.write(b"four\n")
    assert (tmp_path / "out").read_bytes() == b"one tw\nthree\nfour\n"


def test_a_message_that_cannot_be_written_is_dropped():
    with open("/dev/full", "wb", buffering=0) as full:
        assert _Messages(full.fileno(), "wb", closefd=False).write(b"abc") == 3


def test_no_name_ends_a_command_because_of_the_encoding(tmp_path):
    with open(tmp_path / "out", "wb", buffering=0) as file:
        before = io.TextIOWrapper(io.BytesIO(), "ascii")
        out = _text(results(file), before)
        out.write("é \udcff\n")
        assert (tmp_path / "out").read_bytes() == b"\\xe9 \\udcff\n", "nothing is buffered"
        out.detach()
