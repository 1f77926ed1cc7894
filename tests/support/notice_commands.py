"""``hashscan notice`` in this process, with a state directory of its own."""

from click.testing import CliRunner

from hashscan.cli.notice import command


def runner(directory):
    """Return a function that runs the words of a command, with a state below ``directory``."""

    class Options:
        config_path = str(directory / "config.yaml")
        verbosity = 0

    (directory / "config.yaml").write_text(f"state: {directory}/state\n")

    def call(*words):
        return CliRunner().invoke(command, words, obj=Options())

    return call
