"""What a refused command says."""

from __future__ import annotations

from tests.end_to_end.commands import Done


def refused(run: Done, *words: str) -> None:
    """Assert that a command ended in a message with these words, and in no traceback."""
    assert run.code == 2, run.said
    assert all(word in run.err for word in words), run.err
    assert "Traceback" not in run.err
