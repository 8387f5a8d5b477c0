"""How close an identity's images are to each other, and what that says about thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from .faces import Faces

SAMPLE = 20_000  # pairs that are drawn
# Between the cosine of strangers (0) and of one person (1): below HALF an image is not its
# identity's, from SAME on two identities are one.  Chosen on synthetic people and ORL.
HALF, SAME = 0.5, 0.6
LINK = 4.0  # deviations above the mean of strangers, from which two images are one person's
LEAST_PEOPLE = 2


@dataclass(frozen=True)
class Thresholds:
    """Cosines.  link: two images above it are one person's.  own: the average cosine of an image
    with its identity's others, below which it is not of it.  merge: the average cosine between
    the images of two identities from which on they are one.
    strangers, deviation, genuine: what they were derived from."""

    link: float
    own: float
    merge: float
    strangers: float
    deviation: float
    genuine: float


def sums(faces: Faces) -> np.ndarray:
    """Return the sum of the unit rows of each person, float32 (K, D)."""
    total = np.zeros((len(faces.counts), faces.dim), np.float32)
    for places, rows in faces.blocks():
        people = faces.people[places]
        first = np.flatnonzero(np.diff(people, prepend=-1))
        total[people[first]] += np.add.reduceat(rows, first, axis=0, dtype=np.float64)
    return total


def own_cosines(faces: Faces, total: np.ndarray) -> np.ndarray:
    """Return the average cosine of each image with the others of its identity, float32 (N,), NaN
    where there is no other."""
    out = np.full(len(faces), np.nan, np.float32)
    for places, rows in faces.blocks():
        people = faces.people[places]
        others = faces.counts[people] - 1
        with_all = np.einsum("ij,ij->i", rows, total[people])
        some = others > 0
        out[places][some] = (with_all[some] - 1) / others[some]
    return out


def centre_cosines(faces: Faces, total: np.ndarray) -> np.ndarray:
    """Return the cosine of each image with the centre of its identity, float32 (N,); the centre
    is the mean of all its unit rows, the image's own too, as published."""
    out = np.empty(len(faces), np.float32)
    lengths = np.maximum(np.linalg.norm(total, axis=1), 1e-12)
    for places, rows in faces.blocks():
        people = faces.people[places]
        out[places] = np.einsum("ij,ij->i", rows, total[people]) / lengths[people]
    return out


def derived_thresholds(
    faces: Faces, total: np.ndarray, own: np.ndarray, rng: np.random.Generator
) -> Thresholds:
    """Return thresholds for these vectors, whatever network made them.

    Strangers are drawn pairs of images of different identities, one person the median of `own`.
    Labels that are wrong move both little.  Raises ValueError where the data cannot tell them.
    """
    known = own[~np.isnan(own)]
    if len(faces.counts) < LEAST_PEOPLE or not len(known):
        raise ValueError(
            f"{len(faces.counts)} identities, {len(known)} images with another of the same: too "
            "few to derive thresholds from; give --link, --own and --merge"
        )
    genuine = float(np.median(known))
    pairs = rng.integers(0, len(faces), (2, SAMPLE))
    pairs = pairs[:, faces.people[pairs[0]] != faces.people[pairs[1]]]
    cosines = np.einsum("ij,ij->i", faces.unit(pairs[0]), faces.unit(pairs[1]))
    strangers, deviation = float(np.mean(cosines)), float(np.std(cosines))
    if genuine <= strangers + deviation:
        raise ValueError(
            f"images of one identity have a cosine of {genuine:.3f}, those of different ones "
            f"{strangers:.3f}, deviation {deviation:.3f}: these vectors do not tell people apart; "
            "take those of another network, or give --link, --own and --merge"
        )
    means = total / faces.counts[:, None]
    some = rng.integers(0, len(means), (2, SAMPLE))
    some = some[:, some[0] != some[1]]
    between = np.einsum("ij,ij->i", means[some[0]], means[some[1]])
    # Of all pairs of identities none is to reach it by chance.
    num_pairs = len(means) * (len(means) - 1) / 2
    by_chance = float(between.mean() + norm.isf(0.5 / num_pairs) * between.std())
    gap = genuine - strangers
    return Thresholds(
        link=strangers + LINK * deviation,
        own=strangers + HALF * gap,
        merge=min(max(strangers + SAME * gap, by_chance), genuine),
        strangers=strangers,
        deviation=deviation,
        genuine=genuine,
    )
