"""Names of checkpoints: PREFIX-symbol.json with PREFIX-0001.params, as published.

A checkpoint's number counts verifications (it is published as "epoch").  The number "last"
stands for PREFIX-last.params, which also holds what a resumed run needs.
"""

from __future__ import annotations

from pathlib import Path
import re

LAST = "last"


def split_checkpoint(checkpoint: str) -> tuple[str, int | str]:
    """Return (prefix, number) of "prefix,number".  Raises ValueError for anything else."""
    prefix, comma, number = checkpoint.rpartition(",")
    number = number.strip()
    if comma and prefix and number == LAST:
        return prefix, LAST
    if not (comma and prefix and number.isdecimal() and len(number) <= 18):
        raise ValueError(f"checkpoint {checkpoint!r}: give PREFIX,NUMBER, such as model/r50,1")
    return prefix, int(number)


def params_path(prefix: str, number: int | str) -> Path:
    """Return the path of a checkpoint's parameters, PREFIX-0001.params."""
    return Path(f"{prefix}-{number if number == LAST else f'{number:04d}'}.params")


def symbol_path(prefix: str) -> Path:
    """Return the path of the symbol that all checkpoints of a prefix share."""
    return Path(f"{prefix}-symbol.json")


def checkpoint_numbers(prefix: str) -> list[int]:
    """Return the numbers of all checkpoints of a prefix, ascending."""
    pattern = re.compile(re.escape(Path(prefix).name) + r"-([0-9]{4,18})\.params")
    folder = Path(prefix).parent
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))


def existing_params(checkpoint: str) -> Path:
    """Return the path of the parameters of "prefix,number".

    Raises ValueError if the text is malformed, FileNotFoundError with the path and the numbers
    that exist if there is no such file.
    """
    prefix, number = split_checkpoint(checkpoint)
    path = params_path(prefix, number)
    if not path.is_file():
        numbers = ", ".join(map(str, checkpoint_numbers(prefix))) or "none"
        raise FileNotFoundError(
            f"checkpoint {checkpoint!r}: no file {path.absolute()}; numbers there: {numbers}"
        )
    return path
