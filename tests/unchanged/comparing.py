"""Compare two made folders: every file by what it is, every difference by name.

A difference is named FILE or FILE:PLACE, such as `train/y1/model-run.json:config.lr`, and
`step NAME` for a step; --allow takes patterns of these names.

Bytes must be equal but in text, tables and JSON, where numbers may differ by 1e-12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
import json
from pathlib import Path
import re
from typing import Any

from tests.unchanged.contents import different_parts
from tests.unchanged.making import ERRORS, MADE

TOLERANCE = 1e-12  # of a number, relative where it is above 1
SHOWN_OF_FILE, SHOWN = 3, 60  # differences in the table, unless all are asked for
WIDTH = 60  # characters of a value in the table

# Folders in the order in which they are made: what comes first is nearer to the cause.
ORDER = ("step ", "given/", "data/", "packs/", "train/", "surface/", "export/", "align/", "mega/")

# What a result does not depend on: file, place, and why.
IGNORED = (
    ("*-run.json", "versions.*", "the version of this package; the others stand in made.json"),
    ("*-run.json", "git", "the revision that is run"),
)
# Text that does not belong to the results: file, pattern, and why.
UNTOLD = (
    ("eval/*.html", r"<p>\d{4}-\d\d-\d\d · arcface_mxnet [\w.+-]+</p>", "day and version"),
    ("mega/*.html", r"<p>\d{4}-\d\d-\d\d · arcface_mxnet [\w.+-]+</p>", "day and version"),
)
JSON = ("*.json", "mega/*/otherFiles/*")
TEXTS = ("*.txt", "*.csv", "*.html")
EXACT = ("*-symbol.json",)  # of these the bytes count too, as of everything that is none of them

# A picture within a page is one word; so is what has letters and digits, such as a hash.
TOKEN = re.compile(
    r"base64,[A-Za-z0-9+/=]+"
    r"|(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])"
    r"|\w+|\s+|."
)


@dataclass(frozen=True)
class Difference:
    """One thing that differs.  before, after: shown in the table."""

    name: str
    before: str
    after: str


@dataclass
class Comparison:
    """What was compared, and what came of it.  notes: what the reader ought to know."""

    num_files: int = 0
    num_steps: int = 0
    differences: list[Difference] = field(default_factory=list)
    allowed: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return not self.differences

    def table(self, *, whole: bool = False) -> str:
        """Return everything as text for people; whole: with every difference."""
        lines = [f"note: {note}" for note in self.notes]
        for title, found in (("allowed", self.allowed), ("DIFFERENT", self.differences)):
            lines += [f"{title}:", *_rows(found, whole)] if found else []
        verdict = "all equal" if self.is_equal else f"{len(self.differences)} differences"
        allowed = f", {len(self.allowed)} allowed" if self.allowed else ""
        lines.append(f"{self.num_steps} steps, {self.num_files} files: {verdict}{allowed}")
        return "\n".join(lines)


def compare(before: Path, after: Path, allowed: Sequence[str] = ()) -> Comparison:
    """Return what differs between two made folders.

    allowed: patterns of differences that are meant.  Raises ValueError if a folder was not made,
    or not to its end, or the two were made by different versions of these scripts.
    """
    facts = [_facts(folder) for folder in (before, after)]
    if facts[0]["script"] != facts[1]["script"]:
        raise ValueError(
            f"{before} and {after} were made by different versions of tests/unchanged: make both "
            "anew with one"
        )
    result = Comparison(notes=list(_notes(*facts)))
    found = list(_steps(facts[0]["steps"], facts[1]["steps"]))
    result.num_steps = sum("skipped" not in said for said in facts[0]["steps"].values())
    files = [_files(folder) for folder in (before, after)]
    for name in sorted(files[0] | files[1]):
        there = [name in some for some in files]
        if not all(there):
            found.append(Difference(name, *("there" if one else "absent" for one in there)))
            continue
        result.num_files += 1
        found += _file(name, *((folder, fact["folder"]) for folder, fact in
                               zip((before, after), facts, strict=True)))  # fmt: skip
    if not result.num_files:
        raise ValueError(f"{before} and {after} have no file in common")
    used = set()
    for one in sorted(found, key=_place_in_order):
        fitting = [pattern for pattern in allowed if fnmatchcase(one.name, pattern)]
        used.update(fitting)
        (result.allowed if fitting else result.differences).append(one)
    result.notes += [f"--allow {pattern}: nothing of that name differs"
                     for pattern in allowed if pattern not in used]  # fmt: skip
    return result


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / MADE
    if not path.is_file():
        raise ValueError(f"{folder}: no {MADE}: not made, or not to its end")
    return json.loads(path.read_text(encoding="utf-8"))


def _notes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    yield f"before: {before['revision']}; after: {after['revision']}"
    for name in ("python", "processor", "packages"):
        if before[name] != after[name]:
            yield (
                f"{name}: {before[name]} before, {after[name]} after: floats may differ for that "
                "reason alone; make both on one machine with one set of packages"
            )
    skipped: dict[str, list[str]] = {}
    for name, said in before["steps"].items():
        skipped.setdefault(said.get("skipped", ""), []).append(name)
    for reason, names in skipped.items():
        if reason:
            yield f"not made, so not compared: {', '.join(names)} ({reason})"


def _steps(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    """Yield the steps that failed on either side: such a step proves nothing."""
    for name in before:
        shown = [said[name].get("fault") or said[name].get("skipped") or "done"
                 for said in (before, after)]  # fmt: skip
        failed = any(said[name].get("fault") for said in (before, after))
        if failed or shown[0] != shown[1]:
            yield Difference(f"step {name}", *shown)


def _files(folder: Path) -> set[str]:
    """Return all files below a folder that are results, by their path in it."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] not in (MADE, ERRORS, "models")
    }  # fmt: skip


def _file(name: str, before: tuple[Path, str], after: tuple[Path, str]) -> list[Difference]:
    """Return what differs in one file; each side is a folder and where it was made."""
    contents = [(folder / name).read_bytes() for folder, _ in (before, after)]
    if contents[0] == contents[1]:
        return []
    texts = [_text(data, made) for data, (_, made) in zip(contents, (before, after), strict=True)]
    if _fits(name, JSON):
        found = _json(name, *texts)
    elif _fits(name, TEXTS):
        found = _texts(name, *(_told(name, text) for text in texts))
    else:
        found = [Difference(f"{name}:{place}" if place else name, *sides)
                 for place, *sides in different_parts(name, *contents)]  # fmt: skip
    if not found and _fits(name, EXACT):
        found = [Difference(name, "the same JSON", "written in other bytes")]
    return found


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _text(data: bytes, made_in: str) -> str:
    return data.decode("utf-8", errors="backslashreplace").replace(made_in, "FOLDER")


def _told(name: str, text: str) -> str:
    for pattern, untold, _ in UNTOLD:
        if fnmatchcase(name, pattern):
            text = re.sub(untold, "", text)
    return text


def _json(name: str, before: str, after: str) -> list[Difference]:
    try:
        trees = json.loads(before), json.loads(after)
    except ValueError:
        return _texts(name, before, after)
    return [
        Difference(f"{name}:{place}", *sides)
        for place, *sides in _tree("", *trees)
        if not _is_ignored(name, place)
    ]


def _is_ignored(name: str, place: str) -> bool:
    return any(fnmatchcase(name, file) and fnmatchcase(place, where) for file, where, _ in IGNORED)


def _tree(place: str, before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    """Yield (place, before, after) of everything that differs in two JSON values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            inner = f"{place}.{key}" if place else key
            if key in before and key in after:
                yield from _tree(inner, before[key], after[key])
            else:
                yield inner, *(_shown(some[key]) if key in some else "absent"
                               for some in (before, after))  # fmt: skip
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from _tree(f"{place}[{number}]", left, right)
    elif not _same(before, after):
        yield place, _shown(before), _shown(after)


def _same(before: Any, after: Any) -> bool:
    """Whether two leaves are equal: numbers to the tolerance, everything else exactly."""
    numbers = [isinstance(one, int | float) and not isinstance(one, bool)
               for one in (before, after)]  # fmt: skip
    if all(numbers):
        return before == after or _near(float(before), float(after))
    return type(before) is type(after) and before == after


def _near(before: float, after: float) -> bool:
    if before != before or after != after:
        return before != before and after != after  # NaN on both sides
    return abs(before - after) <= TOLERANCE * max(1.0, abs(before), abs(after))


def _texts(name: str, before: str, after: str) -> list[Difference]:
    """Return the lines that differ; their numbers to the tolerance."""
    lines = before.splitlines(), after.splitlines()
    if len(lines[0]) != len(lines[1]):
        return [Difference(f"{name}:lines", *(f"{len(some)} lines" for some in lines))]
    return [
        Difference(f"{name}:line {number}", *_part(left, right))
        for number, (left, right) in enumerate(zip(*lines, strict=True), start=1)
        if left != right and not _same_line(left, right)
    ]


def _same_line(before: str, after: str) -> bool:
    words = TOKEN.findall(before), TOKEN.findall(after)
    return len(words[0]) == len(words[1]) and all(
        left == right or _same_number(left, right) for left, right in zip(*words, strict=True)
    )


def _same_number(before: str, after: str) -> bool:
    try:
        return _near(float(before), float(after))
    except ValueError:
        return False


def _part(before: str, after: str) -> tuple[str, str]:
    """Return both lines from a little before where they part."""
    start = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    start = max(0, start - WIDTH // 3)
    return before[start : start + WIDTH], after[start : start + WIDTH]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _place_in_order(one: Difference) -> int:
    return next((n for n, start in enumerate(ORDER) if one.name.startswith(start)), len(ORDER))


def _rows(found: Sequence[Difference], whole: bool) -> list[str]:
    """Return a line for each difference, the first of each file and the first of all."""
    shown = list(found)
    if not whole:
        of_file = Counter[str]()
        shown = [one for one in found if _counted(of_file, one) <= SHOWN_OF_FILE][:SHOWN]
    width = max(len(one.name) for one in shown)
    rows = [
        f"  {one.name:{width}}  {_short(one.before):{WIDTH}}  {_short(one.after)}".rstrip()
        for one in shown
    ]
    left = len(found) - len(shown)
    return [*rows, f"  and {left} more: --all lists them"] if left else rows


def _counted(of_file: Counter[str], one: Difference) -> int:
    """Return how many of this file there were, this one included."""
    name = one.name.partition(":")[0]
    of_file[name] += 1
    return of_file[name]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
