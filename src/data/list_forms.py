"""One line of a list of images, in the forms that people have; fields are separated by TAB.

    published   1 or 0 (aligned) | image path | identity [| x1 y1 x2 y2 | ten landmark numbers]
    im2rec      index | label | image path, as MXNet's tools/im2rec.py writes it: aligned images

The box is four whole numbers; the landmarks are x of the five points, then y of them.
"""

from __future__ import annotations

from dataclasses import dataclass
import re

import numpy as np

from ..text import finite_number, whole_number

PUBLISHED, IM2REC = "published", "im2rec"
MAX_IDENTITY = (1 << 24) - 1  # of the float32 that a record keeps it in

_ZEROS = re.compile(r"(?<=[0-9])\.0*$")  # im2rec writes 3.000000
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class ListedImage:
    """What a line says.  form: PUBLISHED or IM2REC; landmarks: (5, 2), x and y."""

    form: str
    name: str
    identity: int
    is_aligned: bool = True
    landmarks: np.ndarray | None = None


def parse_line(line: str) -> ListedImage:
    """Return what a line of a list says.  Raises ValueError that says what is wrong with it."""
    fields = line.rstrip("\r\n").split("\t")
    while len(fields) > 1 and not fields[-1].strip():
        fields.pop()  # TABs at the end
    if len(fields) >= 3 and _is_im2rec(fields):
        if len(fields) > 3:
            raise ValueError(
                f"is of im2rec's form (index, label, path) with {len(fields) - 2} labels; an "
                "identity is one label"
            )
        try:
            return ListedImage(IM2REC, _name(fields[2]), _identity(fields[1]))
        except ValueError as error:
            raise ValueError(f"of im2rec's form (index, label, path): {error}") from None
    if len(fields) not in (3, 7, 17):
        raise ValueError(
            f"has {len(fields)} fields separated by TAB; 3, with a box 7, with landmarks 17 are "
            "allowed: aligned, path, identity, 4 box numbers, 10 landmark numbers"
            + _foreign(line, fields)
        )
    if fields[0].strip() not in ("0", "1"):
        raise ValueError(f"begins with {fields[0]!r}; 1 means aligned, 0 not")
    name = _name(fields[1])
    try:
        identity = _identity(fields[2])
        numbers = np.array([finite_number(field.strip()) for field in fields[3:]])
    except ValueError as error:
        raise ValueError(
            f"needs numbers after the path; an identity must be from 0 to {MAX_IDENTITY}: {error}"
        ) from None
    landmarks = numbers[4:].reshape(2, 5).T if len(fields) == 17 else None
    return ListedImage(PUBLISHED, name, identity, fields[0].strip() == "1", landmarks)


def _is_im2rec(fields: list[str]) -> bool:
    """Tell im2rec's lines: numbers, then a path; in a published line the path is the second."""
    numbers = [_is_number(field) for field in fields]
    return all(numbers[:-1]) and not numbers[-1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _identity(text: str) -> int:
    return whole_number(_ZEROS.sub("", text.strip()), 0, MAX_IDENTITY)


def _name(field: str) -> str:
    if not field.strip() or "\0" in field:
        raise ValueError("has no path")
    if _WINDOWS.match(field.strip()):
        raise ValueError(
            f"path {field.strip()!r} begins with a drive of Windows; write paths relative to the "
            "list's folder or to --root"
        )
    return field


def _foreign(line: str, fields: list[str]) -> str:
    """Return what another form a line seems to be of, and what to do."""
    if len(fields) == 1:
        for character, name in ((",", "commas"), (";", "semicolons"), (" ", "spaces")):
            if character in line.strip():
                return f"; this line has {name}: put one TAB between its fields instead"
    if len(fields) == 2 and sum(map(_is_number, fields)) == 1:
        at = 1 + _is_number(fields[0])
        return f"; this line has a path ({fields[at - 1]!r}) and a number: write 1, path, identity"
    return ""
