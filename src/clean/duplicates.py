"""Images whose vectors are nearly equal, among all of a dataset, exactly and in bounded memory.

Two unit vectors with a cosine of at least t lie at most sqrt(2 - 2 t) apart, and so do their
projections onto any subspace.  So blocks are compared in the leading principal directions, and
only what is near there is compared whole: nothing is missed, and a quarter of the products or
less are computed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .faces import AT_ONCE, Faces

DIRECTIONS = 64
BLOCK = 2048
MOST_CANDIDATES = 1 / 64  # of a block; with more its whole product is cheaper
SLACK = 1e-4  # of a squared distance, for the rounding of float32
NONE = -1


def leading_directions(faces: Faces, count: int = DIRECTIONS) -> np.ndarray:
    """Return orthonormal directions of largest variance, float32 (D, min(count, D))."""
    gram = np.zeros((faces.dim, faces.dim))
    mean = np.zeros(faces.dim)
    for _, rows in faces.blocks():
        gram += rows.T @ rows
        mean += rows.sum(axis=0, dtype=np.float64)
    covariance = gram / len(faces) - np.outer(mean, mean) / len(faces) ** 2
    return np.linalg.eigh(covariance)[1][:, ::-1][:, :count].astype(np.float32)


def projections(faces: Faces, directions: np.ndarray) -> np.ndarray:
    """Return all rows along the directions, float32 (N, P)."""
    out = np.empty((len(faces), directions.shape[1]), np.float32)
    for places, rows in faces.blocks():
        np.matmul(rows, directions, out=out[places])
    return out


class Earlier:
    """For each image of a stretch the most similar earlier one of the same identity and of another
    one, if that is at least `least` similar.

    places: int64 (n, 2), NONE for none.  cosines: float32 (n, 2).  Column 0: same identity.
    """

    def __init__(self, begin: int, end: int):
        self.begin = begin
        self.places = np.full((end - begin, 2), NONE, np.int64)
        self.cosines = np.full((end - begin, 2), -2, np.float32)

    def take(self, later: np.ndarray, earlier: np.ndarray, cosines: np.ndarray, column: int):
        """Take down pairs; of several of one image the most similar stays."""
        order = np.lexsort((-earlier, cosines))
        rows = later[order] - self.begin
        better = cosines[order] > self.cosines[rows, column]
        rows, order = rows[better], order[better]
        self.cosines[rows, column] = cosines[order]  # the last of equal rows stays
        self.places[rows, column] = earlier[order]


def earlier_duplicates(
    faces: Faces,
    projected: np.ndarray,
    begin: int,
    end: int,
    least: float,
    *,
    tell: Callable[[int], object] = lambda count: None,
) -> Earlier:
    """Return the duplicates of places begin..end among all earlier places.

    tell(n) is called when n more images are done.
    """
    found = Earlier(begin, end)
    allowed = 2 - 2 * least + SLACK
    squares = np.einsum("ij,ij->i", projected, projected)
    for first in range(begin, end, BLOCK):
        past = min(first + BLOCK, end)
        mine = projected[first:past] * 2
        bound = squares[first:past, None] - allowed
        for other in range(0, past, BLOCK):
            stop = min(other + BLOCK, past)
            near = mine @ projected[other:stop].T
            near -= squares[other:stop]
            candidates = np.flatnonzero((near >= bound).ravel())
            later, earlier = np.divmod(candidates, stop - other)
            later, earlier = later + first, earlier + other
            keep = earlier < later
            _compare(faces, later[keep], earlier[keep], least, found, (stop - other) * len(mine))
        tell(past - first)
    return found


def _compare(
    faces: Faces, later: np.ndarray, earlier: np.ndarray, least: float, found: Earlier, size: int
) -> None:
    if len(later) > size * MOST_CANDIDATES:
        left, right = np.unique(later), np.unique(earlier)
        with_rows = faces.unit(left) @ faces.unit(right).T
        cosines = with_rows[np.searchsorted(left, later), np.searchsorted(right, earlier)]
        _take(faces, later, earlier, cosines, least, found)
        return
    for at in range(0, len(later), AT_ONCE):
        left, right = later[at : at + AT_ONCE], earlier[at : at + AT_ONCE]
        cosines = np.einsum("ij,ij->i", faces.unit(left), faces.unit(right))
        _take(faces, left, right, cosines, least, found)


def _take(
    faces: Faces, later: np.ndarray, earlier: np.ndarray, cosines: np.ndarray, least: float,
    found: Earlier,
) -> None:  # fmt: skip
    is_same = faces.people[later] == faces.people[earlier]
    for column, flags in enumerate((is_same, ~is_same)):
        chosen = flags & (cosines >= least)
        found.take(later[chosen], earlier[chosen], cosines[chosen], column)
