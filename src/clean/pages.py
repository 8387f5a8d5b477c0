"""Pages of crops to look at before a plan is applied: what is done, beside what spoke for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.dataset import FaceDataset
from ..data.images import CROP_PIXELS, decode_bgr
from ..report.page import Section, write_page
from ..report.pictures import jpeg, picture
from ..report.svg import element, text
from .decisions import ACTIONS, MOVE, NAMES, REASONS
from .faces import Faces
from .planning import Planned

SHOWN = 60  # entries of a reason
LOWEST_FIRST = ("flip", "split", "far", "nobody", "many", "few")


def write_pages(
    folder: Path, dataset: FaceDataset, faces: Faces, planned: Planned, names: dict[int, str]
) -> list[Path]:
    """Write folder/REASON.html for each reason that occurs, and return the paths.

    At most SHOWN entries a page, those first that a person should look at first: the least certain.
    """
    written = []
    decided = planned.decisions
    for path in folder.glob("*.html"):
        if path.stem in NAMES:
            path.unlink()  # of an earlier plan
    for number, reason in enumerate(NAMES):
        places = np.flatnonzero(decided.reason == number)
        if not len(places):
            continue
        scores = np.nan_to_num(decided.score[places], nan=-1.0)
        order = np.argsort(-scores if reason in LOWEST_FIRST else scores, kind="stable")
        shown = places[order[:SHOWN]]
        boxes = [_box(dataset, faces, planned, names, int(place)) for place in shown]
        note = f"{len(places):,} images, {len(shown)} shown: the least certain first"
        path = folder / f"{reason}.html"
        write_page(
            path, f"Plan: {reason}", [text(REASONS[reason])],
            [Section(reason, note, element("div", *boxes, class_="errors"))],
        )  # fmt: skip
        written.append(path)
    return written


def _box(
    dataset: FaceDataset, faces: Faces, planned: Planned, names: dict[int, str], place: int
) -> str:
    decided = planned.decisions
    identity = int(faces.identities[place])
    action = ACTIONS[decided.action[place]]
    if decided.action[place] == MOVE:
        action += f" to {_called(int(decided.target[place]), names)}"
    score = decided.score[place]
    words = f"{action}: record {faces.keys[place]} of {_called(identity, names)}"
    words += "" if np.isnan(score) else f", score {score:.3f}"
    pictures = [_face(dataset, int(faces.keys[place]), ["this image"])]
    for near, what in _compared(faces, planned, place):
        pictures.append(_face(dataset, int(faces.keys[near]), [what, f"record {faces.keys[near]}"]))
    return element(
        "div", element("p", text(words)), element("div", *pictures, class_="faces"), class_="error"
    )


def _compared(faces: Faces, planned: Planned, place: int) -> list[tuple[int, str]]:
    """Return images of the own identity, and of what the reason is about."""
    decided = planned.decisions
    person = int(faces.people[place])
    out = [(one, "its identity") for one in _typical(faces, planned, person, place)]
    reason, other = NAMES[decided.reason[place]], int(decided.other[place])
    if reason.startswith("duplicate"):
        found = np.flatnonzero(faces.keys == other)
        out = [(int(one), "nearly equal") for one in found] + out[:1]
    elif reason in ("flip", "merge") and other >= 0:
        there = int(np.searchsorted(faces.numbers, other))
        if there < len(faces.numbers) and faces.numbers[there] == other:
            out = out[:1] + [(one, "the other") for one in _typical(faces, planned, there, place)]
            out = out[:2]
    return out[:2]


def _typical(faces: Faces, planned: Planned, person: int, without: int) -> list[int]:
    """Return the two images of a person that are most like its others."""
    places = np.arange(faces.starts[person], faces.starts[person + 1])
    places = places[places != without]
    average = np.nan_to_num(planned.average[places], nan=-1.0)
    return places[np.argsort(-average, kind="stable")[:2]].tolist()


def _face(dataset: FaceDataset, key: int, lines: list[str]) -> str:
    try:
        name = f"record {key}"
        bgr = decode_bgr(dataset.records.read(key).payload, name, max_pixels=CROP_PIXELS)
    except ValueError:
        return picture("", [*lines, "does not decode"])
    return picture(jpeg(bgr, name), lines)


def _called(identity: int, names: dict[int, str]) -> str:
    return f"{identity} ({names[identity]})" if identity in names else str(identity)
