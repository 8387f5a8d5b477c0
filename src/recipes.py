"""Recipes: experiments written down as text that can be copied into a shell.

A recipe is a TOML file:

    title = "LResNet100E-IR with ArcFace"
    source = "the published README, 2018"       # where the command and the numbers come from
    commands = [\"\"\"arcface-train --network r100 ...\"\"\"]
    small = [\"\"\"arcface-train --network y1 ...\"\"\"]    # the same in small, on the ORL faces

    [published]                                  # what its authors report, in percent
    lfw = 99.77
    [measured]                                   # what this project measured, and how
    lfw = 99.70
    how = "arcface-verify --model ..."
    [small_measured]                             # written by `make recipes`, which runs `small`
    accuracy_1 = 91.11

{seed} in a small command stands for the seed of a run.
"""

from __future__ import annotations

from pathlib import Path
import shlex

from easydict import EasyDict

from .limits import shown
from .text import read_toml

REQUIRED = ("title", "source", "commands")
FIGURES = ("published", "measured", "small_measured")
OPTIONAL = ("small", *FIGURES)


def load_recipe(path: str | Path) -> EasyDict:
    """Return a recipe with the attributes title, source, commands, small, and a table
    for each of FIGURES.

    Raises FileNotFoundError, or ValueError for text that is no recipe.
    """
    content = read_toml(path, "recipe")
    missing = [name for name in REQUIRED if not content.get(name)]
    if missing:
        raise ValueError(f"{path}: a recipe needs {', '.join(missing)}")
    unknown = sorted(set(content) - {*REQUIRED, *OPTIONAL})
    if unknown:
        known = ", ".join((*REQUIRED, *OPTIONAL))
        raise ValueError(f"{path}: {shown(unknown[0])} is nothing of a recipe, which has {known}")
    for name in ("title", "source"):
        if not isinstance(content[name], str):
            raise ValueError(f"{path}: {name} must be text, is {shown(content[name])}")
    _check_commands(path, "commands", content["commands"])
    _check_commands(path, "small", content.get("small", []))
    for name in FIGURES:
        _check_figures(path, name, content.get(name, {}))
    return EasyDict({"small": [], **{name: {} for name in FIGURES}, **content})


def command_lines(recipe: EasyDict) -> list[list[str]]:
    """Return each command of a recipe as a list of arguments, the program first."""
    return [shlex.split(command, comments=True) for command in recipe.commands]


def small_lines(recipe: EasyDict, seed: int) -> list[list[str]]:
    """Return each command of a recipe's small form, with a seed, as command_lines()."""
    return [
        shlex.split(command.replace("{seed}", str(seed)), comments=True) for command in recipe.small
    ]


def _check_commands(path: str | Path, name: str, commands: object) -> None:
    if not isinstance(commands, list) or not all(isinstance(one, str) for one in commands):
        raise ValueError(f'{path}: {name} must be a list of texts: {name} = ["""..."""]')
    one = {"commands": "command"}.get(name, f"command of {name}")
    for number, command in enumerate(commands, start=1):
        try:
            words = shlex.split(command, comments=True)
        except ValueError as error:
            raise ValueError(f"{path}: {one} {number} is no command line: {error}") from None
        if not words:
            raise ValueError(f"{path}: {one} {number} is empty")


def _check_figures(path: str | Path, name: str, figures: object) -> None:
    is_table = isinstance(figures, dict)
    if not is_table or not all(isinstance(one, str | int | float) for one in figures.values()):
        raise ValueError(f"{path}: [{name}] must be a table of numbers and texts")
    bad = [key for key in figures if key in dir(dict)]
    if bad:  # each becomes an attribute
        raise ValueError(f"{path}: [{name}]: {shown(bad[0])} is no name of a figure")
