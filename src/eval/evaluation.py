"""Everything that is reported of one model on one pair set, out of its embeddings.

Four evaluations that people compare, all on unit vectors:

    FlipL2     plain + flipped embedding (or both joined), thresholds on squared L2, 0.01 apart
    FlipCos    the same embedding, thresholds on the cosine, 0.01 apart
    UnFlipL2   the plain embedding alone, as FlipL2
    UnFlipCos  the plain embedding alone, as FlipCos

squared L2 = 2 - 2 * cosine, so L2 and Cos order the pairs alike: ROC, EER and AUC are the same,
and accuracies differ only by where the thresholds of the grid lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..embedding.vectors import cosines_of, refuse_zeros
from .failures import NEVER_ACCEPTED, ErrorRates, Failures, error_rates
from .intervals import LEAST_PEOPLE, Interval, identity_bootstrap, wilson
from .pair_embeddings import PairEmbeddings
from .protocols import (
    ACCURACY_GRID,
    COSINE_GRID,
    VerificationResult,
    fold_numbers,
    unit_distances,
    verify_distances,
)
from .scores import (
    OperatingPoint,
    area_under_curve,
    equal_error_rate,
    impostors_needed,
    is_supported,
    may_pass,
    roc,
    tars_at_fars,
)

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FLIP_MODES = ("sum", "concat")


@dataclass(frozen=True)
class RateAtFar:
    """TAR at a FAR, or what it would need.  interval: Wilson's of the TAR, 95 %.

    point is None where the impostor pairs are too few; impostors_needed says how many it takes.
    by_identity: the interval when identities are resampled, where they are known and enough.
    """

    wanted_far: float
    point: OperatingPoint | None
    interval: Interval | None
    impostors_needed: int
    by_identity: Interval | None = None


@dataclass(frozen=True)
class Evaluation:
    """One model on one pair set.  Scores are cosines of the flip embedding.

    protocol: the k-fold result of each of the four evaluations, by name.
    xnorm: None where scores were given and no embeddings.
    accuracy_interval: Wilson's of the FlipL2 accuracy over all pairs, 95 %.
    shared_folds: identities that occur in several folds, None where names are unknown.
    plain_cosines: float64 (P,) of the plain embedding alone.
    failures: the faces that were not found, where they are left out or counted (failures.py):
    arrays are of the pairs that are left, or of all, and counted ones lie below every true cosine.
    """

    target: str
    protocol: dict[str, VerificationResult]
    xnorm: float | None
    auc: float
    eer: float
    rates: tuple[RateAtFar, ...]
    accuracy_interval: Interval
    cosines: np.ndarray = field(repr=False)
    is_genuine: np.ndarray = field(repr=False)
    shared_folds: int | None = None
    plain_cosines: np.ndarray | None = field(default=None, repr=False)
    failures: Failures | None = field(default=None, repr=False)

    @property
    def published(self) -> VerificationResult:
        """FlipL2, or the one there is, where scores were given and no embeddings."""
        return self.protocol.get("FlipL2") or next(iter(self.protocol.values()))

    @property
    def is_right(self) -> np.ndarray:
        """What the k-fold protocol decides rightly, bool (P,), by the threshold of each fold."""
        folds = self.published.per_fold
        thresholds = np.array([fold.threshold for fold in folds])
        accepted = self.cosines > thresholds[fold_numbers(self.is_genuine, len(folds))]
        return accepted == self.is_genuine

    @property
    def error_rates(self) -> tuple[ErrorRates, ...]:
        """Errors in the terms of ISO/IEC 19795-1 at each FAR that is supported; none where
        failures are neither left out nor counted."""
        if self.failures is None:
            return ()
        points = [rate.point for rate in self.rates if rate.point is not None]
        return tuple(error_rates(self.failures, self.cosines, p.threshold) for p in points)


def evaluate(
    target: str,
    embeddings: PairEmbeddings,
    *,
    folds: int = 10,
    flip_mode: str = "sum",
    identities: Sequence[str] = (),
    rng: np.random.Generator | None = None,
    failures: Failures | None = None,
) -> Evaluation:
    """Return the evaluation of a pair set's embeddings.

    identities: 2P names, where known; rng then draws the bootstrap (None: no bootstrap).
    failures: faces that were not found; embeddings and identities are of all pairs all the same.
    Raises ValueError as verify_pairs() does.
    """
    if failures is not None and failures.mode == "skip":
        embeddings = embeddings.part(failures.compared)
        of_images = np.repeat(failures.compared, 2)
        identities = np.asarray(identities)[of_images] if len(identities) else ()
    is_genuine = embeddings.is_genuine
    distances = {
        "Flip": _pair_distances(flip_embedding(embeddings, flip_mode)),
        "UnFlip": _pair_distances(embeddings.plain),
    }
    if failures is not None and failures.mode == "count":
        for of_pairs in distances.values():
            of_pairs[~failures.compared] = 2 - 2 * NEVER_ACCEPTED
    protocol = {
        f"{flip}{metric}": verify_distances(distances[flip], is_genuine, folds=folds, grid=grid)
        for flip in distances
        for metric, grid in (("L2", ACCURACY_GRID), ("Cos", COSINE_GRID))
    }
    cosines = cosines_of(distances["Flip"])
    genuine, impostor = cosines[is_genuine], cosines[~is_genuine]
    right = sum(round(fold.accuracy * fold.num_pairs) for fold in protocol["FlipL2"].per_fold)
    return Evaluation(
        target=target,
        protocol=protocol,
        xnorm=embeddings.xnorm,
        auc=area_under_curve(genuine, impostor),
        eer=equal_error_rate(roc(genuine, impostor)).far,
        rates=rates_at_fars(cosines, is_genuine, identities, rng),
        accuracy_interval=wilson(right, len(is_genuine)),
        cosines=cosines,
        is_genuine=is_genuine,
        shared_folds=shared_identities(identities, fold_numbers(is_genuine, folds)),
        plain_cosines=cosines_of(distances["UnFlip"]),
        failures=failures,
    )


def flip_embedding(embeddings: PairEmbeddings, flip_mode: str) -> np.ndarray:
    """Return both embeddings of each image as one: their sum (2P, D) or joined (2P, 2 D)."""
    if flip_mode not in FLIP_MODES:
        raise ValueError(f"flip mode {flip_mode!r}: known are {', '.join(FLIP_MODES)}")
    if flip_mode == "concat":
        return np.concatenate([embeddings.plain, embeddings.flipped], axis=1)
    return embeddings.flip_sum


def _pair_distances(vectors: np.ndarray) -> np.ndarray:
    refuse_zeros(vectors, "pair", 2)
    return unit_distances(vectors[0::2], vectors[1::2])


def rates_at_fars(
    cosines: np.ndarray,
    is_genuine: np.ndarray,
    identities: Sequence[str] = (),
    rng: np.random.Generator | None = None,
    fars: Sequence[float] = FARS,
) -> tuple[RateAtFar, ...]:
    """Return TAR at each FAR, with intervals, or the impostor pairs that it would need."""
    genuine, impostor = cosines[is_genuine], cosines[~is_genuine]
    supported = [far for far in fars if is_supported(far, impostor.size)]
    points = dict(zip(supported, tars_at_fars(genuine, impostor, supported), strict=True))
    rates = []
    for far in fars:
        point = points.get(far)
        interval = wilson(round(point.tar * genuine.size), genuine.size) if point else None
        by_identity = None
        if point and len(set(identities)) >= LEAST_PEOPLE and rng is not None:
            statistic = WeightedTar(cosines, is_genuine, far)
            by_identity = identity_bootstrap(statistic, identities[0::2], identities[1::2], rng)
        rates.append(RateAtFar(far, point, interval, impostors_needed(far), by_identity))
    return tuple(rates)


class WeightedTar:
    """TAR at a FAR of weighted pairs: called with weights (P,), NaN if a class has none.

    With equal weights it is tar_at_far().tar.
    """

    def __init__(self, cosines: np.ndarray, is_genuine: np.ndarray, far: float):
        self.order = np.argsort(-cosines, kind="stable")
        self.is_genuine = is_genuine[self.order]
        descending = cosines[self.order]
        # Pairs of one score are accepted together: only the last of them is a place to stop.
        self.last_of_score = np.append(descending[1:] != descending[:-1], True)
        self.far = far

    def __call__(self, weights: np.ndarray) -> float:
        weights = weights[self.order]
        impostor = np.cumsum(np.where(self.is_genuine, 0.0, weights))
        genuine = np.cumsum(np.where(self.is_genuine, weights, 0.0))
        if not impostor[-1] or not genuine[-1]:
            return float("nan")
        within = self.last_of_score & (impostor <= may_pass(self.far, impostor[-1]))
        places = np.flatnonzero(within)
        return float(genuine[places[-1]] / genuine[-1]) if places.size else 0.0


def shared_identities(identities: Sequence[str], fold_of_pair: np.ndarray) -> int | None:
    """Return how many identities occur in more than one fold; None where names are unknown."""
    if not len(identities):
        return None
    seen = set(zip(identities, np.repeat(fold_of_pair, 2).tolist(), strict=True))
    folds_of = Counter(name for name, _ in seen)
    return sum(count > 1 for count in folds_of.values())
