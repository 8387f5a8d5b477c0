"""Genuine and impostor scores: ROC, operating points, error rates.

A score is a similarity: higher is nearer, and a pair is accepted when its score >= threshold.
FAR and TAR are fractions of the impostor and of the genuine scores that are accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np

LARGEST = 1e300  # number of negatives; of the smallest fractions the reciprocal is infinite


@dataclass(frozen=True)
class RocCurve:
    """Every operating point, thresholds descending: float64 (K,) each.

    The first threshold is infinite (nothing accepted), the last one accepts everything.
    """

    thresholds: np.ndarray
    far: np.ndarray
    tar: np.ndarray


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does: accept when similarity >= threshold."""

    threshold: float
    far: float
    tar: float


def sorted_scores(name: str, scores: np.ndarray) -> np.ndarray:
    """Return the scores as float64 (N,), ascending.

    Raises ValueError if there are none, if they are not one-dimensional or not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f"{name} scores have shape {scores.shape}; expected one dimension")
    if not scores.size:
        raise ValueError(f"no {name} scores: both genuine and impostor pairs are needed")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(f"{name} score {row} is {scores[row]}; all scores must be finite")
    return np.sort(scores)


def roc(genuine: np.ndarray, impostor: np.ndarray) -> RocCurve:
    """Return the exact ROC: one point for every distinct score, ties taken together.

    genuine, impostor: float (G,), (I,) similarities.
    Raises ValueError if either is empty or holds a value that is not finite.
    """
    genuine = sorted_scores("genuine", genuine)
    impostor = sorted_scores("impostor", impostor)
    distinct = np.unique(np.concatenate([genuine, impostor]))[::-1]
    thresholds = np.concatenate([[np.inf], distinct])
    return RocCurve(
        thresholds,
        far=_share_accepted(impostor, thresholds),
        tar=_share_accepted(genuine, thresholds),
    )


def _share_accepted(ascending: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    refused = np.searchsorted(ascending, thresholds, side="left")
    return (ascending.size - refused) / ascending.size


def area_under_curve(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Return the area under the ROC: the chance that a genuine score beats an impostor score.

    A tie counts half.  Raises ValueError as roc() does.
    """
    genuine = sorted_scores("genuine", genuine)
    impostor = sorted_scores("impostor", impostor)
    below = np.searchsorted(impostor, genuine, side="left")
    not_above = np.searchsorted(impostor, genuine, side="right")
    return float((below + not_above).sum() / (2.0 * genuine.size * impostor.size))


def equal_error_rate(curve: RocCurve) -> OperatingPoint:
    """Return where FAR equals 1 - TAR, on the straight line between the two nearest points.

    The equal error rate is the far of the point returned.
    """
    gap = curve.far - (1.0 - curve.tar)  # rises from -1 to 1 along the curve
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    rate = float(curve.far[before] + share * (curve.far[after] - curve.far[before]))
    return OperatingPoint(float(curve.thresholds[after]), far=rate, tar=1.0 - rate)


def tar_at_far(genuine: np.ndarray, impostor: np.ndarray, far: float) -> OperatingPoint:
    """Return the operating point of largest TAR whose FAR does not exceed far.

    genuine, impostor: float (G,), (I,) similarities.  far: fraction 0..1; 0 accepts no impostor.
    The threshold is the lowest score that may be accepted.
    Raises ValueError if either is empty, and if far is above 0 but below 1/I: so few impostors
    cannot support it.
    """
    return tars_at_fars(genuine, impostor, [far])[0]


def tars_at_fars(
    genuine: np.ndarray, impostor: np.ndarray, fars: Sequence[float]
) -> list[OperatingPoint]:
    """Return tar_at_far() for each of several FARs, sorting the scores once."""
    genuine = sorted_scores("genuine", genuine)
    impostor = sorted_scores("impostor", impostor)
    return [_operating_point(genuine, impostor, far) for far in fars]


def impostors_needed(far: float) -> int:
    """Return the smallest number of negatives that can support a FAR: so many that one may pass,
    and for a FAR of 0 one that may not.

    This is the one rule for every rate of false alarms, whatever its negatives are: impostor
    pairs (FAR), probe x distractor pairs (FPR) or probes whose person is not enrolled (FPIR).
    """
    return math.ceil(round(min(1.0 / far, LARGEST), 6)) if far else 1


def may_pass(far: float, count: float) -> int:
    """Return how many of `count` negatives a FAR lets through at most.

    far * count in floating point may fall just short of the whole number meant.
    """
    return math.floor(round(far * count, 6))


def is_supported(far: float, count: int) -> bool:
    """Tell whether `count` negatives can support a FAR."""
    return count >= impostors_needed(far)


def _operating_point(genuine: np.ndarray, impostor: np.ndarray, far: float) -> OperatingPoint:
    if not 0.0 <= far <= 1.0:
        raise ValueError(f"FAR {far}: must be a fraction from 0 to 1")
    if not is_supported(far, impostor.size):
        raise ValueError(
            f"FAR {far:g} needs at least {impostors_needed(far):,} impostor pairs; "
            f"there are {impostor.size:,}, which support {1 / impostor.size:.1e} and above"
        )
    threshold = _lowest_threshold(genuine, impostor, may_pass(far, impostor.size))
    return OperatingPoint(
        threshold=threshold,
        far=float(_share_accepted(impostor, np.array(threshold))),
        tar=float(_share_accepted(genuine, np.array(threshold))),
    )


def _lowest_threshold(genuine: np.ndarray, impostor: np.ndarray, may_accept: int) -> float:
    """Return the lowest score above the impostor that must be refused."""
    if may_accept >= impostor.size:
        return float(min(genuine[0], impostor[0]))
    refused = impostor[impostor.size - 1 - may_accept]
    above = [
        scores[first]
        for scores in (genuine, impostor)
        if (first := np.searchsorted(scores, refused, side="right")) < scores.size
    ]
    return float(min(above)) if above else float(np.nextafter(refused, np.inf))


def best_accuracy(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float]:
    """Return (accuracy, threshold) of the threshold that classifies most scores right.

    It is chosen on the very scores it is judged by: an upper bound, not an estimate.
    Of several best ones the highest threshold is taken.
    """
    curve = roc(genuine, impostor)
    num_genuine, num_impostor = len(genuine), len(impostor)
    right = curve.tar * num_genuine + (1.0 - curve.far) * num_impostor
    best = int(np.argmax(np.round(right)))
    return float(right[best] / (num_genuine + num_impostor)), float(curve.thresholds[best])
