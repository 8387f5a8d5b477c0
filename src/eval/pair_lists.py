"""The published lists of pairs: LFW, CFP, AgeDB-30, CALFW, CPLFW, and `path1 path2 0|1`.

Each reader takes the list and the folder of the images and returns pairs in the list's order,
whether the images exist or not.  A path that would leave the folder is an error; all bad lines are
told at once.  A new kind of list is one function with one line, @pair_list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
import logging
import math
from pathlib import Path, PurePosixPath
import re
from typing import Any

import numpy as np

from ..data.image_files import ENDINGS, is_left_behind
from ..data.list_faults import all_faults
from ..given import whole
from ..limits import shown
from ..paths import inside
from ..registry import Registry
from ..text import BLANKS, read_lines
from .folder_pairs import ListedPair, folder_pairs
from .mat_file import MatArray, read_mat
from .pair_columns import checked_names, padded
from .pair_sets import names_fault


@dataclass(frozen=True)
class PairList:
    """A kind of list.

    read(list_path, root, **its flags) returns its pairs.  list_name: its usual name in the folder
    of the data; "" for pairs that are drawn, whose list_path is None.  images: where its images
    lie in that folder.  factor: pyramid factor with which its published packer detected faces.
    flags: its own, options of add_argument by name.
    """

    read: Callable[..., list[ListedPair]]
    list_name: str
    images: str
    factor: float
    flags: dict[str, dict[str, Any]]


log = logging.getLogger(__name__)

PAIR_LISTS = Registry("list of pairs")
FIRST_COLUMNS = ("path1", "path2", "genuine")  # of a list with further columns
IMAGE_NUMBER = re.compile("[0-9]{1,9}")  # of LFW


def pair_list(
    key: str,
    list_name: str = "",
    *,
    images: str = "",
    factor: float = 0.709,
    flags: dict[str, dict[str, Any]] | None = None,
) -> Callable[[Callable], Callable]:
    """Return a decorator that enters a reader; the arguments are those of PairList."""

    def enter(read: Callable) -> Callable:
        PAIR_LISTS.register(key)(PairList(read, list_name, images, factor, flags or {}))
        return read

    return enter


@pair_list("lfw", "pairs.txt")
def read_lfw(list_path: Path, root: Path) -> list[ListedPair]:
    """Return the pairs of a pairs.txt of LFW: `name i j` genuine, `name i name j` impostor.

    The first line says how many folds and pairs there are.  Files: name/name_0001.jpg.
    """
    rows = list(_rows(list_path))
    if rows and len(rows[0][1]) < 3:
        said = rows.pop(0)[1]
        if all(IMAGE_NUMBER.fullmatch(text) for text in said):
            wanted = 2 * math.prod(map(int, said))
            if wanted != len(rows):
                log.warning(
                    "%s: its first line says %s pairs of each kind, %d lines; it has %d: cut off, "
                    "or a part of the list?", list_path, " x ".join(said), wanted, len(rows),
                )  # fmt: skip

    def pair(number: int, fields: list[str]) -> ListedPair:
        if len(fields) == 3:
            fields = [fields[0], fields[1], fields[0], fields[2]]
        if len(fields) != 4 or not all(IMAGE_NUMBER.fullmatch(text) for text in fields[1::2]):
            raise ValueError(f"{_place(list_path, number)}: expected `name i j` or `name i name j`")
        left, i, right, j = fields
        files = [f"{name}/{name}_{int(k):04d}.jpg" for name, k in ((left, i), (right, j))]
        paths = [_inside(root, name, list_path, number) for name in files]
        return ListedPair(*paths, left == right, left, right)

    return _pairs(rows, pair, list_path)


@pair_list("list", "pairs.txt")
def read_flagged(list_path: Path, root: Path) -> list[ListedPair]:
    """Return the pairs of lines `path1 path2 0|1`, split by TABs where there are any.

    With a first line `path1 path2 genuine NAME ..`, TABs between them, each line has a field, which
    may be empty, for each of these columns (pair_columns.py).
    """
    rows = list(_rows(list_path, empty=True))
    names: list[str] = []
    if rows and tuple(rows[0][1][:3]) == FIRST_COLUMNS:
        number, fields = rows.pop(0)
        names = checked_names(fields[3:], _place(list_path, number)) if fields[3:] else []

    def pair(number: int, fields: list[str]) -> ListedPair:
        place, wanted = _place(list_path, number), "`path1 path2 0|1`"
        if names:
            fields, wanted = padded(fields, 3 + len(names), place), "`path1 path2 0|1 ..`"
        if len(fields) != 3 + len(names) or fields[2] not in ("0", "1") or "" in fields[:2]:
            raise ValueError(f"{place}: expected {wanted}")
        left, right = (_inside(root, name, list_path, number) for name in fields[:2])
        columns = tuple(zip(names, fields[3:], strict=True))
        return ListedPair(left, right, fields[2] == "1", columns=columns)

    return _pairs(rows, pair, list_path)


@pair_list("calfw", "pairs_CALFW.txt")
@pair_list("cplfw", "pairs_CPLFW.txt")
def read_two_lines(list_path: Path, root: Path) -> list[ListedPair]:
    """Return the pairs of CALFW and CPLFW: two lines `file label` each, label 0 for impostors.

    Identities are the file names without their number.
    """
    rows = [(number, fields) for number, fields in _rows(list_path)]
    if len(rows) % 2:
        raise ValueError(f"{list_path}: {len(rows)} lines; two make a pair")

    def pair(number: int, lines: tuple[list[str], list[str]]) -> ListedPair:
        labels = [line[1] for line in lines if len(line) == 2 and IMAGE_NUMBER.fullmatch(line[1])]
        if len(labels) != 2 or (int(labels[0]) == 0) != (int(labels[1]) == 0):
            raise ValueError(
                f"{_place(list_path, number)}: expected two lines `file label` that agree"
            )
        names = [re.sub(r"_\d+$", "", PurePosixPath(name).stem) for name, _ in lines]
        files = [_inside(root, name, list_path, number) for name, _ in lines]
        return ListedPair(*files, int(labels[0]) != 0, *names)

    twos = zip(rows[0::2], rows[1::2], strict=True)
    return _pairs(((one[0], (one[1], other[1])) for one, other in twos), pair, list_path)


def read_cfp(list_path: Path, root: Path, *, profile: bool) -> list[ListedPair]:
    """Return the pairs of CFP: of a .mat table, or of the folder Protocol that CFP comes with.

    A row of the table is (path1, path2, fold, label), genuine where label > 0.  The folder has
    Pair_list_F.txt and Pair_list_P.txt, lines `number ../Data/Images/001/frontal/01.jpg`, and
    Split/FF or FP/01..10/same.txt and diff.txt, lines `number,number`; with profile the second
    number is of Pair_list_P.  Identity: the folder under Images/.
    """
    if list_path.is_dir():
        return _read_cfp_folder(list_path, root, "FP" if profile else "FF")

    def pair(number: int, row: list[object]) -> ListedPair:
        values = [_leaf(value) for value in row]
        if len(values) < 4 or not all(isinstance(value, str) for value in values[:2]):
            raise ValueError(f"{list_path} row {number}: expected path, path, fold, label")
        if not isinstance(values[3], int | float):
            raise ValueError(f"{list_path} row {number}: label {shown(values[3])} is no number")
        return _cfp_pair(values[0], values[1], values[3] > 0, root, list_path, number)

    return _pairs(enumerate(_mat_rows(list_path), start=1), pair, list_path)


pair_list("cfp_ff", "CFP_frontal_paris.mat", factor=0.9)(partial(read_cfp, profile=False))
pair_list("cfp_fp", "CFP_profile_paris.mat", factor=0.9)(partial(read_cfp, profile=True))


def _read_cfp_folder(protocol: Path, root: Path, split: str) -> list[ListedPair]:
    left, right = (_numbered(protocol / f"Pair_list_{kind}.txt") for kind in split)

    def pair(place: tuple[Path, int], fields: list[str]) -> ListedPair:
        numbers = "".join(fields).split(",")
        if len(numbers) != 2 or numbers[0] not in left or numbers[1] not in right:
            raise ValueError(f"{_place(*place)}: expected two numbers of the lists")
        names = left[numbers[0]], right[numbers[1]]
        return _cfp_pair(*names, place[0].stem == "same", root, *place)

    found = (protocol / "Split" / split).glob("*/*.txt")
    lists = sorted((path for path in found if not is_left_behind(path.name)), key=_same_first)
    rows = (((path, number), fields) for path in lists for number, fields in _rows(path))
    return _pairs(rows, pair, protocol / "Split" / split)


def _same_first(list_path: Path) -> tuple[str, bool]:
    return list_path.parent.name, list_path.stem != "same"


def _numbered(list_path: Path) -> dict[str, str]:
    """Return the path of each number, without the ../ that leads out of Protocol."""
    rows = list(_rows(list_path))
    return {fields[0]: fields[-1].replace("\\", "/").removeprefix("../") for _, fields in rows}


def _cfp_pair(
    left: str, right: str, is_genuine: bool, root: Path, list_path: Path, number: int
) -> ListedPair:
    paths = [_inside(root, name, list_path, number) for name in (left, right)]
    people = [_cfp_identity(name) for name in (left, right)]
    return ListedPair(*paths, is_genuine, *people)


@pair_list("agedb_30", "04_FINAL_protocol_30_years.mat", images="03_Protocol_Images", factor=0.85)
def read_agedb(list_path: Path, root: Path) -> list[ListedPair]:
    """Return the pairs of 04_FINAL_protocol_30_years.mat, fold after fold.

    "splits" holds a table of two rows per fold, a pair in each column.  Names begin with the
    person's number: `id_name_age_..`; equal numbers make a genuine pair.
    """
    splits = read_mat(list_path).get("splits")
    if not isinstance(splits, MatArray):
        raise ValueError(f"{list_path}: has no variable 'splits': not AgeDB's protocol")

    def rows() -> Iterator[tuple[int, tuple[object, object]]]:
        for number, split in enumerate(splits.items, start=1):
            if not isinstance(split, MatArray) or len(split.shape) != 2 or split.shape[0] != 2:
                raise ValueError(f"{list_path} split {number}: expected two rows of names")
            columns = split.shape[1]
            pairs = zip(split.items[:columns], split.items[columns:], strict=True)
            yield from ((number, pair) for pair in pairs)

    def pair(number: int, column: tuple[object, object]) -> ListedPair:
        names = [str(_leaf(value)) for value in column]
        files = [
            name if PurePosixPath(name).suffix.lower() in ENDINGS else name + ".jpg"
            for name in names
        ]
        people = [name.split("_")[0] for name in names]
        paths = [_inside(root, name, list_path, number) for name in files]
        return ListedPair(*paths, people[0] == people[1], *people)

    return _pairs(rows(), pair, list_path)


@pair_list(
    "folder",
    flags={
        "identities": {"default": "", "help": "only these, comma separated"},
        "num_genuine": {"type": whole(1), "help": "genuine pairs (default: all)"},
        "num_impostor": {"type": whole(1), "help": "impostor pairs (default: as many)"},
        "disjoint_folds": {"type": whole(), "default": 0, "metavar": "K",
                           "help": "K equal folds of different people (default: 0, mixed)"},
        "strict": {"action": "store_true",
                   "help": "anything in the folder but images of identities is an error (left out "
                   "and told otherwise)"},
        "seed": {"type": whole(), "default": 0, "help": "of the drawing (%(default)s)"},
    },
)  # fmt: skip
def draw_folder(
    list_path: None, root: Path, *, identities: str, seed: int, **options: Any
) -> list[ListedPair]:
    """Return folder_pairs() of a folder; there is no list."""
    names = [name.strip() for name in identities.split(",") if name.strip()]
    rng = np.random.default_rng(seed)
    return folder_pairs(root, rng, identities=names or None, **options)


def _rows(list_path: Path, *, empty: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of each line that is not empty; empty: with empty fields."""
    for number, line in read_lines(list_path, "list of pairs"):
        fields = line.split("\t") if "\t" in line else re.split(f"[{BLANKS}]+", line)
        texts = (field.strip(BLANKS) for field in fields)
        yield number, [text for text in texts if text or empty]


def _place(list_path: Path, number: int) -> str:
    return f"{list_path} line {number}"


def _inside(root: Path, name: str, list_path: Path, number: int) -> Path:
    """Return root/name; some lists part folders with `\\`.  Raises ValueError if it leaves root."""
    return inside(root, name.replace("\\", "/"), _place(list_path, number))


def _pairs(
    rows: Iterable[tuple[Any, Any]], pair: Callable[..., ListedPair], source: Path
) -> list[ListedPair]:
    """Return pair(place, row) of all rows.

    Raises ValueError that counts the bad rows and names the first of them, or if there is no pair.
    """
    pairs, faults = [], []
    first: dict[frozenset[Path], tuple[bool, Any]] = {}  # of two files: what is said, and where
    for place, row in rows:
        try:
            one = pair(place, row)
            said, where = first.setdefault(
                frozenset((one.left, one.right)), (one.is_genuine or one.left == one.right, place)
            )
            if said != one.is_genuine:
                raise ValueError(_contradiction(one, place, where, source))
            pairs.append(one)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError(all_faults(f"{source}: {len(faults)} bad entries:", faults))
    if not pairs:
        raise ValueError(f"{source}: holds no pairs")
    _compare_names(pairs, source)
    return pairs


def _contradiction(pair: ListedPair, place: Any, first: Any, source: Path) -> str:
    here, there = (
        _place(*(one if isinstance(one, tuple) else (source, one))) for one in (place, first)
    )
    if pair.left == pair.right:
        return f"{here}: {pair.left} and itself are said to be two people"
    return (
        f"{here}: {pair.left} and {pair.right} are said to be "
        f"{'one person' if pair.is_genuine else 'two people'}, against {there}"
    )


def _compare_names(pairs: list[ListedPair], source: Path) -> None:
    """Log pairs of an image with itself.  Raises ValueError if names contradict the flags."""
    names = [name for pair in pairs for name in (pair.left_identity, pair.right_identity)]
    if any(names) and (fault := names_fault(names, [pair.is_genuine for pair in pairs])):
        raise ValueError(f"{source}: {fault.partition(';')[0]}: is a line missing in it?")
    if itself := [pair for pair in pairs if pair.left == pair.right]:
        log.warning(
            "%s: %d pairs are of an image with itself, such as %s; they tell nothing",
            source, len(itself), itself[0].left,
        )  # fmt: skip


def _mat_rows(list_path: Path) -> list[list[object]]:
    """Return the rows of the one table in a .mat file."""
    tables = list(read_mat(list_path).values())
    if len(tables) != 1 or not isinstance(tables[0], MatArray):
        raise ValueError(f"{list_path}: holds {len(tables)} variables; one table is expected")
    table = tables[0]
    if table.fields:  # a struct array: its fields are the columns
        return table.items
    if len(table.shape) != 2:
        raise ValueError(f"{list_path}: its table has {len(table.shape)} dimensions")
    rows, columns = table.shape
    return [table.items[row * columns : (row + 1) * columns] for row in range(rows)]


def _leaf(value: object) -> object:
    """Return the text or number inside MATLAB's nested cells and structs."""
    return value.leaf() if isinstance(value, MatArray) else value


def _cfp_identity(name: str) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return parts[-3] if len(parts) >= 3 else ""
