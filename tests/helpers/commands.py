"""The command line as a test types it: what it prints, or the one line that explains why not."""

from attnlib import cli


def ok(capsys, *argv):
    """What a command prints that does as it is told."""
    capsys.readouterr()
    assert cli.main(list(argv)) == 0
    return capsys.readouterr().out


def fails(capsys, *argv):
    """The one line of a command that cannot."""
    capsys.readouterr()
    assert cli.main(list(argv)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("attnlib") and err.count("\n") == 1 and out == ""
    return err
