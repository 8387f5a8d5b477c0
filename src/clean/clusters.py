"""Within one identity: which images are its person, which are others, by DBSCAN.

Source: DBSCAN(eps, min_samples=2) on unit vectors with Euclidean distance, the largest cluster is
the person, as the published dataset_clean.py; scikit-learn's implementation.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import DBSCAN

MOST = 4000  # images of an identity that are clustered; their distances take 64 MB
MIN_SAMPLES = 2  # as published
PERSON, ALONE = 0, -1  # what a label means; 1, 2, ... are other people
NOBODY = np.iinfo(np.int32).min  # no two images of the identity agree


def cosine_of(eps: float) -> float:
    """Return the cosine of two unit vectors at Euclidean distance eps."""
    return 1 - eps * eps / 2


def clusters(cosines: np.ndarray, link: float) -> np.ndarray:
    """Return the cluster of each image, int (n,): 0 for the largest, -1 for images alone.

    cosines: float (n, n).  link: cosine from which on two images are neighbours.
    """
    if (cosines >= link).all():
        return np.zeros(len(cosines), np.int64)
    distances = np.maximum(1 - cosines, 0)  # monotonous in the Euclidean distance
    np.fill_diagonal(distances, 0)
    search = DBSCAN(eps=max(1 - link, 1e-9), min_samples=MIN_SAMPLES, metric="precomputed")
    return by_size(search.fit_predict(distances))


def by_size(labels: np.ndarray) -> np.ndarray:
    """Return labels renumbered so that 0 is the most frequent one; the first among equals."""
    counts = np.bincount(labels[labels >= 0]) if (labels >= 0).any() else np.zeros(0, int)
    place = np.empty(len(counts), np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.where(labels < 0, ALONE, place[labels] if len(place) else ALONE)


def people_of(
    rows: np.ndarray, link: float, own: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who is on the images of one identity.

    rows: unit float32 (n, D).
    Returns labels int32 (n,): PERSON for the identity's own images, 1, 2, ... for other people of
    two images and more, ALONE for single ones, all NOBODY where no two images agree;
    the average cosine of each image with the person's images, itself left out, float32 (n,), NaN
    where there is none; and the mean of the person's rows, float32 (D,).
    """
    count = len(rows)
    if count == 1:
        return np.zeros(1, np.int32), np.full(1, np.nan, np.float32), rows[0]
    some = np.arange(count) if count <= MOST else np.sort(rng.choice(count, MOST, replace=False))
    cosines = rows[some] @ rows[some].T
    labels = np.full(count, ALONE, np.int64)
    labels[some] = clusters(cosines, link)
    if not (labels == PERSON).any():
        _around_the_middle(labels, some, cosines, own)
    labels = _joined(rows, labels, own)
    mean, average = _averages(rows, labels == PERSON)
    if (labels != PERSON).sum() == count - 1:
        return np.full(count, NOBODY, np.int32), average, mean
    return labels.astype(np.int32), average, mean


def _around_the_middle(
    labels: np.ndarray, some: np.ndarray, cosines: np.ndarray, own: float
) -> None:
    """Where no two images are linked: take the one that is nearest to all for the person's."""
    middle = int(np.argmax(cosines.sum(axis=1)))
    labels[some[cosines[middle] >= own]] = PERSON
    labels[some[middle]] = PERSON


def _joined(rows: np.ndarray, labels: np.ndarray, own: float) -> np.ndarray:
    """Add to the person the clusters and single images that are near its images on average;
    one step after the other, the nearest first, since each moves the mean."""
    labels = labels.copy()
    while True:
        others = np.unique(labels[labels > PERSON])
        mean = rows[labels == PERSON].mean(axis=0)
        near = rows @ mean
        candidates = [(float(near[labels == one].mean()), labels == one) for one in others]
        single = np.flatnonzero(labels == ALONE)
        if len(single):
            best = single[near[single] >= own]
            candidates += [(float(near[best].min()), _flags(len(rows), best))] if len(best) else []
        score, chosen = max(candidates, key=lambda pair: pair[0], default=(-2.0, None))
        if score < own:
            break
        labels[chosen] = PERSON
    _, numbered = np.unique(np.append(labels[labels > PERSON], 0), return_inverse=True)
    labels[labels > PERSON] = numbered[:-1]
    return labels


def _flags(count: int, places: np.ndarray) -> np.ndarray:
    flags = np.zeros(count, bool)
    flags[places] = True
    return flags


def _averages(rows: np.ndarray, is_person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = rows[is_person].sum(axis=0, dtype=np.float64)
    count = int(is_person.sum())
    others = count - is_person.astype(np.int64)
    average = np.full(len(rows), np.nan, np.float32)
    some = others > 0
    average[some] = (rows[some] @ total - is_person[some]) / others[some]
    return (total / count).astype(np.float32), average
