"""The metadata files of IJB-B and IJB-C in the published layout.

ROOT/loose_crop/NAME.jpg
ROOT/meta/ijbc_face_tid_mid.txt          NAME.jpg template medium
ROOT/meta/ijbc_name_5pts_score.txt       NAME.jpg x1 y1 .. x5 y5 score
ROOT/meta/ijbc_template_pair_label.txt   template template 0|1
ROOT/meta/ijbc_1N_gallery_G1.csv, _G2.csv (IJB-B: _S1, _S2), ijbc_1N_probe_mixed.csv
                                         a header, then template,subject,...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
import warnings

import numpy as np

from ..data.list_faults import all_faults
from ..limits import check_count, shown
from ..paths import inside
from ..text import finite_number, read_lines, whole_number

LARGEST_ID = (1 << 63) - 1  # of a template, medium or subject
LARGEST_COORDINATE = 1e6  # pixels
LARGEST_PAIRS = 1 << 30  # bytes that numpy reads; IJB-C has 250 MB
PAIRS = "list of pairs of templates of IJB"
GALLERIES = {"IJBB": ("S1", "S2"), "IJBC": ("G1", "G2")}


@dataclass(frozen=True)
class FaceList:
    """The N images: paths, template and medium int (N,), landmarks float32 (N, 5, 2) in pixels
    of the loose crop, detector_scores float32 (N,)."""

    paths: list[Path]
    template_ids: np.ndarray
    media_ids: np.ndarray
    landmarks: np.ndarray
    detector_scores: np.ndarray

    def chosen(self, rows: np.ndarray) -> FaceList:
        """Return the faces of some rows."""
        arrays = self.template_ids, self.media_ids, self.landmarks, self.detector_scores
        return FaceList([self.paths[row] for row in rows], *(array[rows] for array in arrays))


def read_faces(root: Path, target: str) -> FaceList:
    """Return the images of IJBB or IJBC.

    Raises ValueError that counts and names malformed lines, lines in which the two lists differ
    and names with a folder in them.
    """
    prefix = root / "meta" / target.lower()
    owners_path = Path(f"{prefix}_face_tid_mid.txt")
    points_path = Path(f"{prefix}_name_5pts_score.txt")
    owners = _rows(owners_path, "list of templates of IJB", 3, _two_ids)
    points = _rows(points_path, "list of landmarks of IJB", 12, _finite_numbers)
    if len(owners) != len(points):
        raise ValueError(
            f"{owners_path}, {points_path.name}: {len(owners)} images have templates, "
            f"{len(points)} landmarks"
        )
    faults = []
    for (line, owner, _), (other_line, point, _) in zip(owners, points, strict=True):
        if owner != point:
            faults.append(
                f"line {line} is {shown(owner)}, but {points_path.name} line {other_line} is "
                f"{shown(point)}; both must hold the same images in the same order"
            )
        elif Path(owner).name != owner or owner == "..":
            faults.append(f"line {line}: {shown(owner)} is not a file name")
    if faults:
        raise ValueError(all_faults(f"{owners_path}: {len(faults)} bad lines:", faults))
    numbers = np.array([values for _, _, values in points], np.float32).reshape(-1, 11)
    ids = np.array([values for _, _, values in owners], np.int64).reshape(-1, 2)
    return FaceList(
        paths=[
            inside(root / "loose_crop", name, f"{owners_path} line {line}")
            for line, name, _ in owners
        ],
        template_ids=ids[:, 0],
        media_ids=ids[:, 1],
        landmarks=numbers[:, :10].reshape(-1, 5, 2),
        detector_scores=numbers[:, 10],
    )


def read_template_pairs(root: Path, target: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (left template, right template, is_genuine) of the 1:1 protocol, int64 (P,) twice and
    bool (P,)."""
    path = root / "meta" / f"{target.lower()}_template_pair_label.txt"
    try:
        if not path.is_file():
            raise FileNotFoundError(path)  # told below
        check_count(path.stat().st_size, LARGEST_PAIRS, f"{path}: a list", "bytes")
        # Fifteen million lines: numpy reads them ten times as fast as a loop that knows the line.
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy takes 1.5 for 1, and only warns
            rows = np.loadtxt(path, np.int64, comments=None, ndmin=2)
        is_sound = rows.shape[1] == 3 and np.isin(rows[:, 2], (0, 1)).all() and rows.min() >= 0
    except (ValueError, OverflowError, Warning, OSError):
        is_sound = False
    if not is_sound:
        rows = np.array(_each_line(path, PAIRS, _pair_of), np.int64).reshape(-1, 3)
    if not len(rows):
        raise ValueError(f"{path}: holds no pair")
    left, right, is_genuine = rows[:, 0], rows[:, 1], rows[:, 2] == 1
    _refuse_two_labels(path, left, right, is_genuine)
    return left, right, is_genuine


def _refuse_two_labels(
    path: Path, left: np.ndarray, right: np.ndarray, is_genuine: np.ndarray
) -> None:
    """Raise ValueError if two templates, or one and itself, are one person and two."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    if high.max() >= 1 << 31:  # numbers, as small as they are many
        ids, numbers = np.unique(np.concatenate([low, high]), return_inverse=True)
        low, high = np.split(numbers, 2)
    else:
        ids = None
    said = np.unique(low << 32 | high << 1 | is_genuine)
    pairs = said >> 1
    wrong = pairs[1:][pairs[1:] == pairs[:-1]]
    itself = said[(said & 1 == 0) & (said >> 32 == pairs & (1 << 31) - 1)] >> 1
    for found, words in (
        (wrong, "are one person in one line and two in another"),
        (itself, "are one template, and said to be two people"),
    ):
        if len(found):
            two = [int(found[0] >> 31), int(found[0] & (1 << 31) - 1)]
            two = two if ids is None else ids[two].tolist()
            raise ValueError(f"{path}: templates {two[0]} and {two[1]} {words}; {len(found)} such")


def read_search_list(root: Path, target: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (templates ascending, their subjects) of a 1:N list, such as "gallery_G1"."""
    path = root / "meta" / f"{target.lower()}_1N_{name}.csv"
    subjects: dict[int, int] = {}
    lines: dict[int, int] = {}

    def row(place: int, line: int, text: str) -> None:
        if place == 0 and not text.lstrip()[:1].isdigit():
            return  # the header
        try:
            template, subject = map(_id, map(str.strip, text.split(",")[:2]))
        except ValueError as error:
            raise ValueError(f"expected a header, then template,subject,..: {error}") from None
        if subjects.setdefault(template, subject) != subject:
            raise ValueError(
                f"a template has two subjects: {template} is of {subject}, but of "
                f"{subjects[template]} in line {lines[template]}"
            )
        lines.setdefault(template, line)

    _each_line(path, "list of templates and subjects of IJB", row)
    if not subjects:
        raise ValueError(f"{path}: names no template after its header")
    table = np.array(sorted(subjects.items()), np.int64)
    return table[:, 0], table[:, 1]


def _each_line(path: Path, what: str, row: Callable[[int, int, str], Any]) -> list:
    """Return row(place among the lines, line number, text) of each line.

    Raises ValueError that counts the lines for which row() does, and names the first of them.
    """
    rows, faults = [], []
    for place, (line, text) in enumerate(read_lines(path, what)):
        try:
            rows.append(row(place, line, text))
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    if faults:
        raise ValueError(all_faults(f"{path}: {len(faults)} bad lines:", faults))
    return rows


def _pair_of(_place: int, _line: int, text: str) -> list[int]:
    fields = text.split()
    try:
        if len(fields) != 3 or fields[2] not in ("0", "1"):
            raise ValueError(f"{shown(text)} is something else")
        return [*map(_id, fields[:2]), int(fields[2])]
    except ValueError as error:
        raise ValueError(f"expected `template template 0|1`: {error}") from None


def _rows(
    path: Path, what: str, num_fields: int, numbers: Callable[[list[str]], list]
) -> list[tuple[int, str, list]]:
    """Return (line, name, numbers(the other fields)) of each line.  Raises ValueError."""

    def row(_place: int, line: int, text: str) -> tuple[int, str, list]:
        fields = text.split()
        if len(fields) != num_fields:
            raise ValueError(f"{len(fields)} fields, expected {num_fields}")
        return line, fields[0], numbers(fields[1:])

    return _each_line(path, what, row)


def _two_ids(fields: list[str]) -> list[int]:
    return [_id(field) for field in fields]


def _id(field: str) -> int:
    return whole_number(field, 0, LARGEST_ID)


def _finite_numbers(fields: list[str]) -> list[float]:
    """Return landmarks and score.  Raises ValueError for those that no float32 holds."""
    found = [finite_number(field) for field in fields]
    if max(map(abs, found)) > LARGEST_COORDINATE:
        raise ValueError(f"a coordinate or score is beyond {LARGEST_COORDINATE:g}")
    return found
