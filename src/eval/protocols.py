"""Verification 1:1 by k-fold cross validation, as published: arrays in, a result out.

Pairs are cut into contiguous folds.  On all folds but one the threshold of highest accuracy is
chosen from a fixed grid, on the one left out it is judged.  The published grid is squared L2
distance of unit vectors from 0 to 3.99 in steps of 0.01; a pair is accepted when its distance
lies below the threshold.  squared L2 = 2 - 2 * cosine, so results give both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..embedding.vectors import squared_distances, unit_rows

# The published grids, in squared L2 distance.
ACCURACY_GRID = np.arange(0, 4, 0.01)
FAR_GRID = np.arange(0, 4, 0.001)
PUBLISHED_FAR = 1e-3

# The same question asked in cosines: 1.00, 0.99 .. -1.00, from strict to lenient.
COSINE_GRID = 2.0 - 2.0 * np.linspace(1.0, -1.0, 201)

ROWS_AT_ONCE = 512  # they stay in the cache


@dataclass(frozen=True)
class Fold:
    """One fold: judged on its own pairs with the threshold that the other folds chose.

    threshold: cosine.  tar, far: fractions at the threshold that has FAR 1e-3 on the others.
    """

    accuracy: float
    threshold: float
    tar: float
    far: float
    num_pairs: int

    @property
    def squared_l2(self) -> float:
        return 2.0 - 2.0 * self.threshold


@dataclass(frozen=True)
class VerificationResult:
    """Means over folds; std is the population standard deviation of the accuracies.

    threshold: cosine, the mean of the folds' choices; squared_l2 is the same as a distance.
    tar, far: as published at FAR 1e-3, interpolated on the training folds.
    """

    accuracy: float
    std: float
    threshold: float
    tar: float
    far: float
    per_fold: tuple[Fold, ...]

    @property
    def squared_l2(self) -> float:
        return 2.0 - 2.0 * self.threshold


def verify_pairs(
    left: np.ndarray, right: np.ndarray, is_genuine: np.ndarray, *, folds: int = 10
) -> VerificationResult:
    """Return the published k-fold result of P pairs of embeddings.

    left, right: float (P, D), any length; they are normalised here.  is_genuine: bool (P,).
    folds=1 chooses and judges on all pairs.
    Raises ValueError if shapes differ, a value is not finite, there are fewer pairs than folds,
    or a fold lacks genuine or impostor pairs.
    """
    return verify_distances(unit_distances(left, right), is_genuine, folds=folds)


def verify_distances(
    distances: np.ndarray,
    is_genuine: np.ndarray,
    *,
    folds: int = 10,
    grid: np.ndarray = ACCURACY_GRID,
) -> VerificationResult:
    """Return the k-fold result of squared L2 distances (P,) of unit vectors.

    grid: thresholds to choose from, squared L2, ascending; the first best one is taken.
    Raises ValueError as verify_pairs() does.
    """
    is_genuine = np.asarray(is_genuine, dtype=bool)
    distances = np.asarray(distances, dtype=np.float64)
    if distances.shape != is_genuine.shape:
        raise ValueError(f"{distances.size} distances but {is_genuine.size} genuine flags")
    if not np.isfinite(distances).all():
        pair = int(np.flatnonzero(~np.isfinite(distances))[0])
        raise ValueError(f"distance of pair {pair} is not finite")
    fold_of_pair = fold_numbers(is_genuine, folds)
    chosen = accuracy_per_fold(distances, is_genuine, fold_of_pair, folds, grid)
    rates = _rates_per_fold(distances, is_genuine, fold_of_pair, folds)
    sizes = np.bincount(fold_of_pair, minlength=folds)
    per_fold = tuple(
        Fold(float(accuracy), float(1.0 - threshold / 2.0), float(tar), float(far), int(size))
        for (accuracy, threshold), (tar, far), size in zip(chosen, rates, sizes, strict=True)
    )
    return result_of(per_fold)


def result_of(per_fold: Sequence[Fold]) -> VerificationResult:
    """Return the means over folds."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(fold, name) for fold in per_fold]))

    means = {name: mean(name) for name in ("accuracy", "threshold", "tar", "far")}
    std = float(np.std([fold.accuracy for fold in per_fold]))
    return VerificationResult(**means, std=std, per_fold=tuple(per_fold))


def fold_numbers(is_genuine: np.ndarray, folds: int) -> np.ndarray:
    """Return the fold of every pair, int (P,): contiguous, the first P % folds one longer.

    Raises ValueError if there are fewer pairs than folds or a fold has one class only.
    """
    is_genuine = np.asarray(is_genuine, dtype=bool)
    if folds < 1:
        raise ValueError(f"{folds} folds: at least 1 is needed")
    if is_genuine.size < max(folds, 2):
        raise ValueError(
            f"{is_genuine.size} pair(s) cannot be cut into {folds} fold(s); "
            "use fewer folds (--nfolds) or more pairs"
        )
    if is_genuine.all() or not is_genuine.any():
        only = "genuine" if is_genuine.all() else "impostor"
        raise ValueError(
            f"all {is_genuine.size} pairs are {only}: both genuine and impostor pairs are needed"
        )
    parts = np.array_split(is_genuine, folds)
    start = 0
    for number, part in enumerate(parts, start=1):
        if part.all() or not part.any():
            only = "genuine" if part.all() else "impostor"
            raise ValueError(
                f"fold {number} of {folds} (pairs {start} to {start + part.size - 1}) has only "
                f"{only} pairs; use fewer folds (--nfolds 1) or mix the order of the pairs"
            )
        start += part.size
    return np.repeat(np.arange(folds), [part.size for part in parts])


def unit_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the squared L2 distance of each pair after normalising, float64 (P,), 0..4.

    left, right: float (P, D).  Raises ValueError if shapes differ or a value is not finite.
    """
    left, right = np.asarray(left), np.asarray(right)
    if left.shape != right.shape or left.ndim != 2:
        raise ValueError(
            f"left embeddings are {left.shape}, right ones {right.shape}; both must be (P, D)"
        )
    distances = np.empty(len(left))
    for start in range(0, len(left), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        units = (unit_rows(side[rows], np.float64) for side in (left, right))
        distances[rows] = squared_distances(*units)
    if not np.isfinite(distances).all():
        pair = int(np.flatnonzero(~np.isfinite(distances))[0])
        raise ValueError(f"the embeddings of pair {pair} hold a value that is not finite (NaN)")
    return distances


def _accepted(
    distances: np.ndarray, fold_of_pair: np.ndarray, folds: int, grid: np.ndarray
) -> np.ndarray:
    """Return how many pairs of each fold lie below each threshold, int (folds, T)."""
    first_accepting = np.searchsorted(grid, distances, side="right")  # first t with dist < t
    width = len(grid) + 1
    counts = np.bincount(fold_of_pair * width + first_accepting, minlength=folds * width)
    return counts.reshape(folds, width)[:, :-1].cumsum(axis=1)


def _others(counts: np.ndarray) -> np.ndarray:
    """Return what all folds but this one add up to; a single fold stands for itself."""
    return counts if len(counts) == 1 else counts.sum(axis=0) - counts


def accuracy_per_fold(
    distances: np.ndarray,
    is_genuine: np.ndarray,
    fold_of_pair: np.ndarray,
    folds: int,
    grid: np.ndarray,
) -> list[tuple[float, float]]:
    """Return (accuracy, threshold) of each fold: a distance below the threshold is accepted.

    distances, grid: in whatever unit, finite; the grid ascending.  fold_of_pair: fold_numbers().
    """
    genuine = _accepted(distances[is_genuine], fold_of_pair[is_genuine], folds, grid)
    impostor = _accepted(distances[~is_genuine], fold_of_pair[~is_genuine], folds, grid)
    impostors = np.bincount(fold_of_pair[~is_genuine], minlength=folds)[:, None]
    sizes = np.bincount(fold_of_pair, minlength=folds)
    right = genuine + (impostors - impostor)  # (folds, T)
    best = np.argmax(_others(right), axis=1)  # the first maximum, as published
    return [(right[fold, column] / sizes[fold], grid[column]) for fold, column in enumerate(best)]


def _rates_per_fold(
    distances: np.ndarray, is_genuine: np.ndarray, fold_of_pair: np.ndarray, folds: int
) -> list[tuple[float, float]]:
    """Return (TAR, FAR) of each fold at FAR 1e-3 of the others.

    As published: the threshold is interpolated linearly between grid points, and is 0 if the
    FAR is never reached.
    """
    impostor = _accepted(distances[~is_genuine], fold_of_pair[~is_genuine], folds, FAR_GRID)
    impostors = np.bincount(fold_of_pair[~is_genuine], minlength=folds)[:, None]
    train_far = _others(impostor) / _others(impostors)
    rates = []
    for fold in range(folds):
        reached = train_far[fold].max() >= PUBLISHED_FAR
        threshold = np.interp(PUBLISHED_FAR, train_far[fold], FAR_GRID) if reached else 0.0
        here = fold_of_pair == fold
        accepted = distances < threshold
        rates.append((accepted[here & is_genuine].mean(), accepted[here & ~is_genuine].mean()))
    return rates
