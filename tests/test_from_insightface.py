"""docs/from-insightface.md names commands, subcommands and flags that exist."""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
import re

from arcface_mxnet.align.align_faces import build_parser
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/from-insightface.md").read_text()
SCRIPTS = {entry.name: entry for entry in entry_points(group="console_scripts")}
ROWS = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, re.M)
SPANS = [
    (published, span)
    for published, here in ROWS
    for span in re.findall(r"`([^`]+)`", here)
    if span.startswith("arcface-")
]


def flags_of(parser):
    """Return all flags of a parser, and its subcommands."""
    known = {option for action in parser._actions for option in action.option_strings}
    commands = {}
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        commands |= action.choices
    return known, commands


def test_every_table_has_rows():
    assert len(ROWS) >= 35 and len(SPANS) >= 40
    assert all(
        re.search(r"`|fetched|the same|as they are", here) for _, here in ROWS if here != "here"
    )


@pytest.mark.parametrize(("published", "span"), SPANS, ids=[span[:40] for _, span in SPANS])
def test_what_stands_there_exists(published, span):
    program, *words = span.split()
    assert program in SCRIPTS, f"{published}: no command {program}"
    known, commands = flags_of(import_module(SCRIPTS[program].module).build_parser())
    if commands and words and not words[0].startswith("-"):
        command = words.pop(0)
        assert command in commands, f"{published}: {program} has no {command}"
        known |= flags_of(commands[command])[0]
    for word in words:
        if word.startswith("-"):
            assert word in known, f"{published}: {program} has no {word}"


def test_flags_of_sees_what_is_absent():
    known, _ = flags_of(build_parser())
    assert "--detector" in known and "--detectors" not in known
