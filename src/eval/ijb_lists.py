"""The metadata files of IJB-B and IJB-C in the published layout.

ROOT/loose_crop/NAME.jpg
ROOT/meta/ijbc_face_tid_mid.txt          NAME.jpg template medium
ROOT/meta/ijbc_name_5pts_score.txt       NAME.jpg x1 y1 .. x5 y5 score
ROOT/meta/ijbc_template_pair_label.txt   template template 0|1
ROOT/meta/ijbc_1N_gallery_G1.csv, _G2.csv (IJB-B: _S1, _S2), ijbc_1N_probe_mixed.csv
                                         a header, then template,subject,...
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..paths import inside

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
    owners = _rows(Path(f"{prefix}_face_tid_mid.txt"), 3)
    points = _rows(Path(f"{prefix}_name_5pts_score.txt"), 12)
    if len(owners) != len(points):
        raise ValueError(
            f"{prefix}_*: {len(owners)} images have templates, {len(points)} landmarks"
        )
    for number, (owner, point) in enumerate(zip(owners, points, strict=True), start=1):
        if owner[0] != point[0]:
            raise ValueError(
                f"{prefix}_*: line {number} is {owner[0]} in one, {point[0]} in the other"
            )
        if Path(owner[0]).name != owner[0] or owner[0] == "..":
            raise ValueError(
                f"{prefix}_face_tid_mid.txt line {number}: {owner[0]!r} is not a file name"
            )
    try:
        numbers = np.array([row[1:] for row in points], dtype=np.float32)
        ids = np.array([row[1:] for row in owners], dtype=np.int64)
    except ValueError as error:
        raise ValueError(f"{prefix}_*: {error}") from None
    return FaceList(
        paths=[inside(root / "loose_crop", row[0], str(prefix)) for row in owners],
        template_ids=ids[:, 0],
        media_ids=ids[:, 1],
        landmarks=numbers[:, :10].reshape(-1, 5, 2),
        detector_scores=numbers[:, 10],
    )


def read_template_pairs(root: Path, target: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (left template, right template, is_genuine) of the 1:1 protocol, (P,) each."""
    path = root / "meta" / f"{target.lower()}_template_pair_label.txt"
    _must_exist(path)
    try:
        rows = np.loadtxt(path, dtype=np.int32, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if rows.shape[1] != 3 or not np.isin(rows[:, 2], (0, 1)).all():
        raise ValueError(f"{path}: expected lines `template template 0|1`")
    return rows[:, 0], rows[:, 1], rows[:, 2] == 1


def read_search_list(root: Path, target: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (templates ascending, their subjects) of a 1:N list, such as "gallery_G1"."""
    path = root / "meta" / f"{target.lower()}_1N_{name}.csv"
    _must_exist(path)
    rows = [line.split(",")[:2] for line in path.read_text().splitlines()[1:] if line.strip()]
    try:
        table = np.unique(np.array(rows, dtype=np.int64).reshape(-1, 2), axis=0)
    except ValueError as error:
        raise ValueError(f"{path}: expected a header, then template,subject,..: {error}") from None
    if not len(table) or len(np.unique(table[:, 0])) != len(table):
        raise ValueError(f"{path}: is empty, or a template has two subjects")
    return table[:, 0], table[:, 1]


def _rows(path: Path, num_fields: int) -> list[list[str]]:
    _must_exist(path)
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if len(fields) != num_fields:
                raise ValueError(
                    f"{path} line {number}: {len(fields)} fields, expected {num_fields}"
                )
            rows.append(fields)
    return rows


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path.absolute()}: no such file of the IJB metadata")
