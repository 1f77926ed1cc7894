"""hashscan demo --quiet prints only failures."""

from hashscan.cli import Options
from hashscan.cli.demo import command
from hashscan.demo import story


def test_quiet_tells_nothing_but_failures(monkeypatch, capsys):
    def telling(directory, out, *, keep):
        print("a step", file=out)

    monkeypatch.setattr(story, "run", telling)
    for options, told in ((Options(), "a step\n"), (Options(verbosity=-1), "")):
        command.main([], standalone_mode=False, obj=options)
        assert capsys.readouterr() == (told, "")
