"""The photos of FaceScrub and of the MegaFace distractors, and what the data sets know of each.

FaceScrub's boxes stand in facescrub_actors.txt and facescrub_actresses.txt, tables with columns
name, face_id, image_id and bbox; those of MegaFace, with three landmarks, in FILE.jpg.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.folders import find_images
from ..data.list_faults import all_faults, is_of_other_data, two_of_each
from ..errors import reason_of
from ..limits import shown
from ..text import finite_number, read_json, read_lines
from .align_attempts import Hint
from .lists import read_probe_list

LANDMARK_KEYS = ("1", "0", "2")  # left eye, right eye, nose, as published
LARGEST_NOTE = 1 << 20  # bytes
FARTHEST = 1e6  # pixels
CROP_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")  # as published, a crop keeps its name


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo, the crop to be made of it (relative), its label, and what is known of it, or in
    words why that cannot be read."""

    path: Path
    crop: str
    label: int
    hint: Hint | str


def facescrub_photos(folder: Path, number: str, *, skip: bool = False) -> Iterator[Photo]:
    """Yield the photos of the uncropped list, with the box of the actor lists.

    number: the column that numbers the files.  Raises FileNotFoundError, and ValueError for lists
    of another form, and unless skip for bad lines and photos without a box, all of them at once.
    """
    probe_list = read_probe_list(folder / "facescrub_uncropped_features_list.json")
    boxes: dict[tuple[str, str], np.ndarray] = {}
    faults: list[str] = []
    for part in ("actors", "actresses"):
        boxes |= _read_boxes(folder / f"facescrub_{part}.txt", number, faults)
    labels = {name: label for label, name in enumerate(sorted(set(probe_list.ids)))}
    keys = [_name_and_number(path) for path in probe_list.paths]
    absent = [path for path, key in zip(probe_list.paths, keys, strict=True) if key not in boxes]
    if is_of_other_data(len(keys) - len(absent), len(keys)):
        known = ("_".join(key) for key in boxes)
        sides = two_of_each(absent, known, ("photos", "boxes"))
        faults.append(f"is {number} the column that numbers the files (--number)? {sides}")
        skip = False
    faults += [f"the actor lists have no box for {path}" for path in absent]
    if faults and not skip:
        raise ValueError(all_faults(
            f"{folder}: {len(absent)} of {len(keys)} photos have no box:", faults,
            "mend the lists, or give --skip-missing to go on without these photos",
        ))  # fmt: skip
    for path, one, key in zip(probe_list.paths, probe_list.ids, keys, strict=True):
        hint = Hint(boxes[key]) if key in boxes else "the actor lists have no box for it"
        crop = Path(path).with_suffix(".png").as_posix().replace(" ", "_")
        yield Photo(folder / "facescrub" / path, crop, labels[one], hint)


def _name_and_number(path: str) -> tuple[str, str]:
    """Return who is on a file PERSON_NUMBER.jpg, with _ for blanks, and the number."""
    person, _, number = Path(path).stem.rpartition("_")
    return person.replace(" ", "_"), number


def _read_boxes(path: Path, number: str, faults: list[str]) -> dict[tuple[str, str], np.ndarray]:
    """Return the boxes (4,) x1, y1, x2, y2 of an actor list by (name with _, number).

    What is wrong with a line is added to faults.  Raises ValueError for another table.
    """
    rows = read_lines(path, "list of actors")
    head = next(rows, (1, ""))[1].split("\t")
    if not {"name", number, "bbox"} <= set(head):
        raise ValueError(f"{path}: first line names no columns name, {number}, bbox")
    boxes = {}
    for line_number, line in rows:
        row = dict(zip(head, line.split("\t"), strict=False))
        try:
            x1, y1, x2, y2 = (finite_number(value.strip()) for value in row["bbox"].split(","))
            boxes[row["name"].replace(" ", "_"), row[number]] = np.array([x1, y1, x2, y2])
        except (KeyError, ValueError):
            faults.append(
                f"{path} line {line_number}: wanted {', '.join(head)}, bbox as x1,y1,x2,y2"
            )
    return boxes


def megaface_photos(folder: Path) -> Iterator[Photo]:
    """Yield the photos below a folder, in order; what is known of each lies in a file beside it."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of distractors")
    paths = [path for path in find_images(folder, besides=(".json",))
             if not path.name.endswith(".jpg.jpg")]  # fmt: skip
    for label, path in enumerate(paths):
        crop = path.relative_to(folder)
        if crop.suffix.lower() not in CROP_ENDINGS:
            crop = crop.with_name(crop.name + ".jpg")
        yield Photo(path, crop.as_posix(), label, _hint_beside(path))


def _hint_beside(path: Path) -> Hint | str:
    """Return what FILE.jpg.json says, or what is wrong with it; an absent file, or two of three
    landmarks, say nothing."""
    note = path.with_name(path.name + ".json")
    if not note.is_file():
        return Hint()
    try:
        content = read_json(note, "note beside a photo", limit=LARGEST_NOTE)
        box, points = content.get("bounding_box"), content.get("landmarks")
        corner = box and _finite(box["x"], box["y"])
        sides = box and _finite(box["width"], box["height"])
        points = points if points and set(LANDMARK_KEYS) <= set(points) else None
        landmarks = points and np.stack(
            [_finite(points[key]["x"], points[key]["y"]) for key in LANDMARK_KEYS]
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else reason_of(error)
        return f"{note}: not the box and landmarks of a photo: {reason}"
    return Hint(np.concatenate([corner, corner + sides]) if box else None,
                landmarks if points else None)  # fmt: skip


def _finite(x: object, y: object) -> np.ndarray:
    """Return two numbers of JSON, float64 (2,).  Raises ValueError if they are something else."""
    if not all(type(value) in (int, float) and abs(value) <= FARTHEST for value in (x, y)):
        raise ValueError(f"{shown(x)} and {shown(y)} are no pixels")
    return np.array([x, y], float)
