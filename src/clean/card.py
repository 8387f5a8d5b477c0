"""The data card: what a dataset holds, measured, as JSON.

counts        images, identities, bytes, and how evenly images are spread
per_identity  how many identities have 1, 2, 3-5, ... images
images        quantiles of size, brightness, contrast and sharpness
pose          none: records hold no landmarks
duplicates    equal bytes; with vectors also nearly equal images
overlap       with vectors: how near the identities are to those of other datasets
provenance    to be filled in by hand; a card written again keeps what was
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import datetime
from pathlib import Path

import numpy as np

from .. import __version__
from ..data.dataset import FaceDataset
from ..limits import shown
from ..text import read_json
from .balance import balance
from .duplicates import earlier_duplicates, leading_directions, projections
from .faces import Faces
from .inputs import Reference
from .measures import Measures, equal_images, measure
from .people import most_similar
from .spread import sums

FORMAT = 1
STEPS = (1, 2, 3, 6, 11, 21, 51, 101, 201, 501)  # first numbers of images of a row
QUANTILES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
NEARLY = 0.95  # cosine of nearly equal images, as arcface-clean takes it
SHOWN = 20  # groups of equal images that are listed
PROVENANCE = {
    "name": "what the dataset is called, and its version",
    "collected_by": "who collected it, when, and from where",
    "purpose": "what it was collected for, and what it must not be used for",
    "consent": "whether the people shown agreed, and how they can be taken out",
    "licence": "under which it may be used, and where that is written",
    "citation": "what to cite",
    "processing": "detector, alignment, cleaning, and the commands",
    "demographics": "who is shown, as far as it is known and may be said",
    "contact": "who answers questions",
}
LARGEST_CARD = 1 << 26  # bytes
NO_POSE = "not measured: records hold no landmarks"


@dataclass(frozen=True)
class Sample:
    """Images that were decoded.  keys, identities: int64 (n,).  is_all: whether they are all."""

    keys: np.ndarray
    identities: np.ndarray
    is_all: bool
    seed: int
    measures: Measures


def drawn(
    dataset: FaceDataset, most: int, seed: int, *, num_threads: int, progress: bool
) -> tuple[np.ndarray, np.ndarray, Sample]:
    """Return all keys and identities, and a sample of at most so many images, measured."""
    keys = np.asarray(dataset.image_keys)
    identities = dataset.identities(keys)
    chosen = np.arange(len(keys))
    if len(keys) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(keys), most, replace=False))
    measures = measure(dataset, keys[chosen], num_threads=num_threads, progress=progress)
    sample = Sample(keys[chosen], identities[chosen], len(chosen) == len(keys), seed, measures)
    return keys, identities, sample


def card(
    dataset: FaceDataset, keys: np.ndarray, identities: np.ndarray, sample: Sample,
    faces: Faces | None, references: Sequence[Reference], provenance: dict[str, str],
) -> dict:  # fmt: skip
    """Return the card as JSON.  faces: the images with vectors, or None."""
    counts = np.unique(identities, return_counts=True)[1]
    size = dataset.records.rec_path.stat().st_size
    return {
        "format": FORMAT,
        "written_by": f"arcface_mxnet {__version__}",
        "date": datetime.date.today().isoformat(),
        "fingerprint": dataset.fingerprint(),
        "counts": balance(counts) | {"classes": dataset.num_classes, "bytes": size},
        "per_identity": _steps(counts),
        "sample": {"images": len(sample.keys), "is_all": sample.is_all, "seed": sample.seed},
        "images": _images(sample.measures),
        "undecodable": {str(key): text for key, text in
                        list(sample.measures.faults.items())[:SHOWN]},
        "num_undecodable": len(sample.measures.faults),
        "pose": NO_POSE,
        "duplicates": _equal(sample) | _nearly(faces),
        "overlap": _overlap(faces, references),
        "provenance": provenance,
    }  # fmt: skip


def known_provenance(path: Path) -> dict[str, str]:
    """Return the fields to be filled in, with what an earlier card at path says of them.

    Raises ValueError for a file that is no card.
    """
    fields = dict.fromkeys(PROVENANCE, "")
    if not path.is_file():
        return fields
    known = read_json(path, "data card", limit=LARGEST_CARD)
    said = known.get("provenance") if isinstance(known, dict) else None
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()):
        raise ValueError(
            f"{path}: not a data card: its provenance is {shown(said)}, not an object of texts; "
            "correct it or remove the file"
        )
    return fields | said


def _steps(counts: np.ndarray) -> list[dict]:
    """Return how many identities have so many images, rows without any left out."""
    rows = []
    for first, after in zip(STEPS, (*STEPS[1:], None), strict=True):
        inside = (counts >= first) & (counts < (after or np.inf))
        if inside.any():
            last = None if after is None else after - 1
            rows.append({"from": first, "to": last, "identities": int(inside.sum()),
                         "images": int(counts[inside].sum())})  # fmt: skip
    return rows


def _images(measures: Measures) -> dict:
    out: dict = {"quantiles_at": list(QUANTILES)}
    for name in ("bytes", "brightness", "contrast", "sharpness"):
        values = measures.column(name)
        out[name] = (
            [round(float(v), 2) for v in np.quantile(values, QUANTILES)] if len(values) else []
        )
    sizes = np.stack([measures.column("height"), measures.column("width")], axis=1)
    shapes, counts = np.unique(sizes.astype(np.int64), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SHOWN]
    out["sizes"] = [
        {"height": int(shapes[i, 0]), "width": int(shapes[i, 1]), "images": int(counts[i])}
        for i in order
    ]
    grey = measures.column("is_grey")
    out["grey_share"] = round(float(grey.mean()), 4) if len(grey) else None
    return out


def _equal(sample: Sample) -> dict:
    groups = equal_images(sample.measures.digests, sample.keys, sample.identities)
    return {
        "equal_groups": len(groups),
        "equal_images": sum(len(keys) - 1 for keys, _ in groups),
        "equal_between_identities": sum(len(set(people)) > 1 for _, people in groups),
        "equal": [{"keys": keys[:SHOWN], "identities": people[:SHOWN]}
                  for keys, people in groups[:SHOWN]],
    }  # fmt: skip


def _nearly(faces: Faces | None) -> dict:
    if faces is None:
        return {"nearly_equal": None}
    projected = projections(faces, leading_directions(faces))
    found = earlier_duplicates(faces, projected, 0, len(faces), NEARLY)
    inside, between = (found.places >= 0).sum(axis=0).tolist()
    return {"nearly_equal": {"cosine": NEARLY, "of_one_identity": inside,
                             "between_identities": between}}  # fmt: skip


def _overlap(faces: Faces | None, references: Sequence[Reference]) -> list[dict]:
    if faces is None:
        return []
    total = sums(faces)
    centres = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    out = []
    for reference in references:
        _, cosines = most_similar(centres, [reference.centres])
        levels = {f"{level:.1f}": int((cosines >= level).sum()) for level in (0.3, 0.4, 0.5, 0.6)}
        out.append({"against": reference.name, "identities_at_cosine": levels,
                    "highest": round(float(cosines.max()), 4)})  # fmt: skip
    return out
