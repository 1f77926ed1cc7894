"""``hashscan allow`` as a command."""

import hashlib

from click.testing import CliRunner

from hashscan.cli.allow import command

LOGO = b"\x89PNG logo" * 40


def test_the_commands(tmp_path):
    (tmp_path / "wordpress" / "images").mkdir(parents=True)
    (tmp_path / "wordpress" / "images" / "logo.png").write_bytes(LOGO)
    (tmp_path / "wordpress" / "index.php").write_bytes(b"<?php // Silence is golden.")
    output = str(tmp_path / "allow.csv")
    done = CliRunner().invoke(command, ["build", str(tmp_path / "wordpress"), "-o", output])
    assert done.exception is None, done.exception
    assert "1 content of 1 file; left out: " in done.stdout
    assert "1 small" in done.stdout
    assert f"add {output} to 'allow' in the configuration" in done.stdout
    sha1 = hashlib.sha1(LOGO).hexdigest()
    done = CliRunner().invoke(command, ["show", sha1, "--list", output], standalone_mode=False)
    assert done.return_value == 0
    assert done.stdout.endswith("wordpress: images/logo.png\n")
    done = CliRunner().invoke(command, ["show", "0" * 40, "--list", output], standalone_mode=False)
    assert done.return_value == 1
    assert "in no list" in done.stderr
