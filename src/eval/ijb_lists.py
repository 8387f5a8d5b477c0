"""The metadata files of IJB-B and IJB-C in the published layout.

ROOT/loose_crop/NAME.jpg
ROOT/meta/ijbc_face_tid_mid.txt          NAME.jpg template medium
ROOT/meta/ijbc_name_5pts_score.txt       NAME.jpg x1 y1 .. x5 y5 score
ROOT/meta/ijbc_template_pair_label.txt   template template 0|1
ROOT/meta/ijbc_1N_gallery_G1.csv, _G2.csv (IJB-B: _S1, _S2), ijbc_1N_probe_mixed.csv
                                         a header, then template,subject,...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
import warnings

import numpy as np

from ..limits import shown
from ..paths import inside
from ..text import finite_number, read_lines, whole_number

LARGEST_ID = (1 << 63) - 1  # of a template, medium or subject
LARGEST_COORDINATE = 1e6  # pixels
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


def read_faces(root: Path, target: str) -> FaceList:
    """Return the images of IJBB or IJBC.

    Raises ValueError for a malformed line, two lists that differ, or a name with a folder in it.
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
    for (line, owner, _), (other_line, point, _) in zip(owners, points, strict=True):
        if owner != point:
            raise ValueError(
                f"{owners_path} line {line} is {shown(owner)}, but {points_path.name} line "
                f"{other_line} is {shown(point)}; both must hold the same images in the same order"
            )
        if Path(owner).name != owner or owner == "..":
            raise ValueError(f"{owners_path} line {line}: {shown(owner)} is not a file name")
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
        # Fifteen million lines: numpy reads them ten times as fast as a loop that knows the line.
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy takes 1.5 for 1, and only warns
            rows = np.loadtxt(path, np.int64, comments=None, ndmin=2)
        is_sound = rows.shape[1] == 3 and np.isin(rows[:, 2], (0, 1)).all() and rows.min() >= 0
    except (ValueError, OverflowError, Warning, OSError):
        is_sound = False
    if not is_sound:
        rows = np.fromiter(_pairs_line_by_line(path), np.int64).reshape(-1, 3)
    if not len(rows):
        raise ValueError(f"{path}: holds no pair")
    return rows[:, 0], rows[:, 1], rows[:, 2] == 1


def _pairs_line_by_line(path: Path) -> Iterator[int]:
    """Yield the three numbers of each line.  Raises ValueError that names the line."""
    for line, text in read_lines(path, PAIRS):
        fields = text.split()
        try:
            if len(fields) != 3 or fields[2] not in ("0", "1"):
                raise ValueError(f"{shown(text)} is something else")
            numbers = [*map(_id, fields[:2]), int(fields[2])]
        except ValueError as error:
            raise ValueError(
                f"{path} line {line}: expected `template template 0|1`: {error}"
            ) from None
        yield from numbers


def read_search_list(root: Path, target: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (templates ascending, their subjects) of a 1:N list, such as "gallery_G1"."""
    path = root / "meta" / f"{target.lower()}_1N_{name}.csv"
    subjects: dict[int, int] = {}
    for place, (line, text) in enumerate(read_lines(path, "list of templates and subjects of IJB")):
        if place == 0 and not text.lstrip()[:1].isdigit():
            continue  # the header
        try:
            template, subject = map(_id, map(str.strip, text.split(",")[:2]))
        except ValueError as error:
            raise ValueError(
                f"{path} line {line}: expected a header, then template,subject,..: {error}"
            ) from None
        if subjects.setdefault(template, subject) != subject:
            raise ValueError(
                f"{path} line {line}: a template has two subjects: {template} is of {subject}, but "
                f"{subjects[template]} in an earlier line"
            )
    if not subjects:
        raise ValueError(f"{path}: names no template after its header")
    table = np.array(sorted(subjects.items()), np.int64)
    return table[:, 0], table[:, 1]


def _rows(
    path: Path, what: str, num_fields: int, numbers: Callable[[list[str]], list]
) -> list[tuple[int, str, list]]:
    """Return (line, name, numbers(the other fields)) of each line.  Raises ValueError."""
    rows = []
    for line, text in read_lines(path, what):
        fields = text.split()
        if len(fields) != num_fields:
            raise ValueError(f"{path} line {line}: {len(fields)} fields, expected {num_fields}")
        try:
            rows.append((line, fields[0], numbers(fields[1:])))
        except ValueError as error:
            raise ValueError(f"{path} line {line}: {error}") from None
    return rows


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
