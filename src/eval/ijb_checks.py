"""The lists of an IJB benchmark against each other and the images, before the first is embedded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data.image_files import image_fault
from ..data.list_faults import all_faults, is_of_other_data, missing_message
from .ijb_lists import GALLERIES, FaceList, read_search_list, read_template_pairs
from .templates import rows_of

Searched = tuple[np.ndarray, np.ndarray]  # templates ascending, their subjects


@dataclass(frozen=True)
class ProtocolLists:
    """pairs: (left, right, is_genuine) of 1:1; probes, galleries: of 1:N; None, (): not asked."""

    pairs: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    probes: Searched | None = None
    galleries: tuple[Searched, ...] = ()


def read_protocols(
    root: Path, target: str, protocols: list[str], template_ids: np.ndarray
) -> ProtocolLists:
    """Return the lists of "1:1" and "1:N".

    template_ids: those that have images.  Raises ValueError that names every faulty list and
    every list with templates beyond them; FileNotFoundError if one is absent.
    """
    faults: list[str] = []
    known = np.unique(template_ids)

    def checked(lists: tuple, noun: str, templates: int) -> tuple:
        for ids in lists[:templates]:
            try:
                rows_of(ids, known, noun)
            except ValueError as error:
                faults.append(str(error))
        return lists

    def search_list(name: str, noun: str) -> Searched | None:
        try:
            return checked(read_search_list(root, target, name), noun, 1)
        except ValueError as error:
            faults.append(str(error))
            return None

    pairs, probes, galleries = None, None, ()
    if "1:1" in protocols:
        try:
            pairs = checked(read_template_pairs(root, target), "template", 2)
        except ValueError as error:
            faults.append(str(error))
    if "1:N" in protocols:
        probes = search_list("probe_mixed", "probe template")
        names = GALLERIES[target]
        galleries = tuple(search_list(f"gallery_{one}", "gallery template") for one in names)
        faults += _two_subjects(root, [one for one in (probes, *galleries) if one])
    if faults:
        raise ValueError("\n".join(dict.fromkeys(faults)))
    return ProtocolLists(pairs, probes, galleries)


def _two_subjects(root: Path, lists: list[Searched]) -> list[str]:
    """Return what is wrong with templates to which two lists give two subjects."""
    if not lists:
        return []
    templates, subjects = (np.concatenate(columns) for columns in zip(*lists, strict=True))
    order = np.argsort(templates, kind="stable")
    templates, subjects = templates[order], subjects[order]
    at = np.flatnonzero((templates[1:] == templates[:-1]) & (subjects[1:] != subjects[:-1]))
    if not len(at):
        return []
    i = at[0]
    return [
        f"{root / 'meta'}: template {templates[i]} is of subject {subjects[i]} in one list of 1:N, "
        f"and of {subjects[i + 1]} in another; {len(at)} such"
    ]


def present_faces(
    faces: FaceList, source: Path, *, skip: bool, num_done: int = 0
) -> tuple[FaceList, int]:
    """Return the faces whose images are there, and how many others there are.

    source: the list, for messages.  num_done: the first that need no image any more.
    Raises ValueError that counts the images that are missing or none and names the first of them;
    with skip only if almost all are, or a template would be without images, which the protocol
    has no score for.
    """
    faults = {}
    num_faces = len(faces.paths)
    for row in tqdm(range(num_done, num_faces), "check", unit=" images", disable=None):
        fault = image_fault(faces.paths[row])
        if fault:
            faults[row] = fault
    if not faults:
        return faces, 0
    lines = [f"no image file {faces.paths[row]}: {fault}" for row, fault in faults.items()]
    root = faces.paths[0].parent
    cure = "bring them, or give --skip-missing to leave them out of their templates"
    message = missing_message(
        source, root, [faces.paths[row] for row in faults], num_faces, lines, cure
    )
    if not skip or is_of_other_data(num_faces - len(faults), num_faces):
        raise ValueError(message)
    is_there = np.ones(num_faces, dtype=bool)
    is_there[list(faults)] = False
    empty = np.setdiff1d(faces.template_ids, faces.template_ids[is_there])
    if len(empty):
        of_empty = [
            line for row, line in zip(faults, lines, strict=True)
            if faces.template_ids[row] in empty
        ]  # fmt: skip
        raise ValueError(all_faults(
            f"{source}: {len(empty)} templates, such as {empty[0]}, have no image left; the "
            "protocol has no score for them, so bring these:", of_empty,
        ))  # fmt: skip
    return faces.chosen(np.flatnonzero(is_there)), len(faults)
