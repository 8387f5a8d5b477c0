"""The service killed while it enrols, deletes and is backed up."""

from tests.serve import killing


def test_what_was_told_holds_after_kills(capsys):
    assert killing.main(["3"]) == 0, capsys.readouterr().out
    assert "stored" in capsys.readouterr().out
