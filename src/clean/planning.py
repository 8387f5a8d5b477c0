"""The plan: every check over a dataset's vectors, in steps that are kept on the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from tqdm import tqdm

from . import decisions
from .clusters import PERSON, clusters, cosine_of, people_of
from .decisions import Decisions
from .duplicates import earlier_duplicates, leading_directions, projections
from .faces import Faces
from .inputs import Reference
from .people import earlier_people, groups, most_similar, nearest_others
from .spread import Thresholds, centre_cosines, derived_thresholds, own_cosines, sums
from .stages import Stages

IMAGES_A_PART = 1 << 16  # that are done between two writings
MODES = {
    "people": "clusters by thresholds derived from the vectors; flips, splits and far images",
    "centre": "as published (1): keep images with a cosine to their centre of at least --threshold",
    "dbscan": "as published (2): the largest cluster of DBSCAN, eps = --threshold, is kept",
}
CHECKS = ("images", "merge", "duplicates")


@dataclass(frozen=True)
class Options:
    """How to plan.  threshold: of the published modes.  link, own, merge: instead of what is
    derived.  duplicate: cosine of nearly equal images.  overlap: cosine to a reference, as
    published (param2).  least, most: images of an identity, 0 for any."""

    mode: str = "people"
    checks: Sequence[str] = CHECKS
    threshold: float = 0.6
    link: float | None = None
    own: float | None = None
    merge: float | None = None
    duplicate: float = 0.95
    overlap: float = 0.4
    least: int = 0
    most: int = 0
    moves_flips: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Planned:
    """labels, average, means: of clusters.people_of() for all identities.  spread: average cosine
    of each image with its identity's others as labelled.  overlaps: by reference, the most
    similar row and cosine of each person."""

    decisions: Decisions
    thresholds: Thresholds
    labels: np.ndarray
    average: np.ndarray
    means: np.ndarray
    spread: np.ndarray
    overlaps: dict[str, tuple[np.ndarray, np.ndarray]]


def plan(
    faces: Faces, options: Options, stages: Stages, first_new: int,
    references: Sequence[Reference] = (), *, progress: bool = False,
) -> Planned:  # fmt: skip
    """Return what is to be done with the images.

    first_new: the number of the first identity that a split makes.  Memory is the centres of the
    identities, 64 values for each image and some blocks.  Raises ValueError where thresholds can
    not be derived, or a vector has no direction.
    """
    rng = np.random.default_rng(options.seed)
    first = stages.part("spread", 0, lambda: _spread(faces))
    thresholds = _thresholds(faces, first, options, rng)
    parts = _by_part(faces, stages, options, thresholds, progress)
    labels, average, means = (np.concatenate([part[name] for part in parts])
                              for name in ("labels", "average", "means"))  # fmt: skip
    found = decisions.undecided(len(faces))
    overlaps = {}
    for reference in references:
        overlaps[reference.name] = _overlap(first["sums"], reference)
        decisions.decide_overlap(found, faces, *overlaps[reference.name], options.overlap)
    if "images" in options.checks:
        _decide_images(found, faces, labels, average, means, thresholds, first_new, options)
    if "merge" in options.checks:
        part = stages.part("merge", 0, lambda: _merges(means, thresholds.merge, progress))
        decisions.decide_merges(found, faces, groups(part["earlier"]), part["earlier"],
                                part["cosines"])  # fmt: skip
    if "duplicates" in options.checks:
        places, cosines = _duplicates(faces, stages, options.duplicate, progress)
        decisions.decide_duplicates(found, faces, places, cosines, average, options.duplicate)
    decisions.decide_balance(found, faces, average, options.least, options.most)
    return Planned(found, thresholds, labels, average, means, first["own"], overlaps)


def _spread(faces: Faces) -> dict[str, np.ndarray]:
    total = sums(faces)
    return {"sums": total, "own": own_cosines(faces, total)}


def _thresholds(
    faces: Faces, first: dict[str, np.ndarray], options: Options, rng: np.random.Generator
) -> Thresholds:
    given = {name: getattr(options, name) for name in ("link", "own", "merge")}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) == 3:
        return Thresholds(**given, strangers=np.nan, deviation=np.nan, genuine=np.nan)
    return replace(derived_thresholds(faces, first["sums"], first["own"], rng), **given)


def _by_part(
    faces: Faces, stages: Stages, options: Options, thresholds: Thresholds, progress: bool
) -> list[dict[str, np.ndarray]]:  # fmt: skip
    """Return who is on the images, in parts of whole identities."""
    ends = np.searchsorted(faces.starts, np.arange(0, len(faces), IMAGES_A_PART)[1:], "left")
    bounds = np.unique(np.concatenate([[0], ends, [len(faces.counts)]]))
    out = []
    with tqdm(total=len(faces), unit=" images", desc="identities", disable=not progress) as bar:
        for number, (begin, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
            out.append(stages.part("people", number, lambda b=begin, e=end: _people(
                faces, b, e, options, thresholds, bar.update)))  # fmt: skip
    return out


def _people(
    faces: Faces, begin: int, end: int, options: Options, thresholds: Thresholds,
    tell: Callable[[int], object],
) -> dict[str, np.ndarray]:  # fmt: skip
    labels, averages = [], []
    means = np.empty((end - begin, faces.dim), np.float32)
    for person in range(begin, end):
        rows = faces.unit(np.arange(faces.starts[person], faces.starts[person + 1]))
        rng = np.random.default_rng((options.seed, person))
        who, average, mean = people_of(rows, thresholds.link, thresholds.own, rng)
        if options.mode == "dbscan" and len(rows) > 1:
            who = clusters(rows @ rows.T, cosine_of(options.threshold)).astype(np.int32)
            who[who != PERSON] = decisions.ALONE
        labels.append(who)
        averages.append(average)
        means[person - begin] = mean
        tell(len(rows))
    return {
        "labels": np.concatenate(labels), "average": np.concatenate(averages), "means": means
    }  # fmt: skip


def _decide_images(
    found: Decisions, faces: Faces, labels: np.ndarray, average: np.ndarray, means: np.ndarray,
    thresholds: Thresholds, first_new: int, options: Options,
) -> None:  # fmt: skip
    if options.mode != "people":
        if options.mode == "centre":
            scores = centre_cosines(faces, sums(faces))
            places = np.flatnonzero(found.free() & (scores < options.threshold))
        else:
            scores, places = average, np.flatnonzero(found.free() & (labels != PERSON))
        found.decide(places, decisions.DROP, "far", score=scores[places])
        return
    places = np.flatnonzero(labels != PERSON)
    nearest, cosines = np.full(len(faces), -1), np.full(len(faces), -2, np.float32)
    for at in range(0, len(places), IMAGES_A_PART):
        some = places[at : at + IMAGES_A_PART]
        nearest[some], cosines[some] = nearest_others(
            faces.unit(some), means, faces.people[some]
        )  # fmt: skip
    decisions.decide_images(
        found, faces, labels, average, nearest, cosines, thresholds.merge, first_new,
        moves_flips=options.moves_flips,
    )  # fmt: skip


def _overlap(total: np.ndarray, reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    blocks = (reference.centres[at : at + 2048] for at in range(0, len(reference.centres), 2048))
    if reference.centres.shape[1] != total.shape[1]:
        raise ValueError(
            f"--against {reference.name}: vectors of {reference.centres.shape[1]} values, the "
            f"dataset's have {total.shape[1]}: they are of different networks"
        )
    return most_similar(total / lengths, blocks)


def _merges(means: np.ndarray, least: float, progress: bool) -> dict[str, np.ndarray]:
    with tqdm(total=len(means), unit=" identities", desc="merge", disable=not progress) as bar:
        earlier, cosines = earlier_people(means, least, bar.update)
    return {"earlier": earlier, "cosines": cosines}


def _duplicates(
    faces: Faces, stages: Stages, least: float, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    projected: list[np.ndarray] = []

    def part(begin: int, bar: tqdm) -> dict[str, np.ndarray]:
        if not projected:
            projected.append(projections(faces, leading_directions(faces)))
        end = min(begin + IMAGES_A_PART, len(faces))
        found = earlier_duplicates(faces, projected[0], begin, end, least, tell=bar.update)
        return {"places": found.places, "cosines": found.cosines}

    out = []
    with tqdm(total=len(faces), unit=" images", desc="duplicates", disable=not progress) as bar:
        for number, begin in enumerate(range(0, len(faces), IMAGES_A_PART)):
            out.append(stages.part("duplicates", number, lambda b=begin, bar=bar: part(b, bar)))
    return (np.concatenate([one["places"] for one in out]),
            np.concatenate([one["cosines"] for one in out]))  # fmt: skip


def facts_of_options(options: Options) -> dict:
    """Return what of the options the steps depend on, JSON.  What is decided from them afterwards
    (--overlap, --least, --most, --flips) may change without computing anything anew."""
    facts = asdict(options)
    for name in ("overlap", "least", "most", "moves_flips", "checks"):
        facts.pop(name)
    return facts
