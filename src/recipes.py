"""Recipes: experiments written down as text that can be copied into a shell.

A recipe is a TOML file:

    title = "LResNet100E-IR with ArcFace"
    source = "the published README, 2018"       # where the command and the numbers come from
    commands = [\"\"\"arcface-train --network r100 ...\"\"\"]

    [published]                                  # what its authors report, in percent
    lfw = 99.77
    [measured]                                   # what this project measured, and how
    lfw = 99.70
    how = "arcface-verify --model ..."
"""

from __future__ import annotations

from pathlib import Path
import shlex

from easydict import EasyDict

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

REQUIRED = ("title", "source", "commands")


def load_recipe(path: str | Path) -> EasyDict:
    """Return a recipe with the attributes title, source, commands, published, measured.

    Raises FileNotFoundError, or ValueError for text that is no recipe.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no recipe {path.absolute()}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from None
    missing = [name for name in REQUIRED if not content.get(name)]
    if missing:
        raise ValueError(f"{path}: a recipe needs {', '.join(missing)}")
    return EasyDict({"published": {}, "measured": {}, **content})


def command_lines(recipe: EasyDict) -> list[list[str]]:
    """Return each command of a recipe as a list of arguments, the program first."""
    return [shlex.split(command, comments=True) for command in recipe.commands]
