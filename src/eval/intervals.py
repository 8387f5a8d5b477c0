"""How sure a rate is: Wilson's interval for counts, a bootstrap where pairs share identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95
REPLICATES = 500
LEAST_PEOPLE = 5  # of fewer the draws differ too little: of two all with impostor pairs are one

Interval = tuple[float, float]


def wilson(successes: float, trials: float, confidence: float = CONFIDENCE) -> Interval:
    """Return the score interval of a rate as fractions (low, high).

    Right for independent trials; holds its level for rates near 0 and 1 too.
    Raises ValueError if there are no trials or the counts make no sense.
    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes of {trials} trials")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(
        rate * (1 - rate) / trials + z * z / (4 * trials * trials)
    )  # fmt: skip
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def rank_interval(
    impostor: np.ndarray, far: float, confidence: float = CONFIDENCE
) -> tuple[float | None, float | None]:
    """Return the interval (low, high) of the threshold that has that FAR, by the scores' ranks.

    impostor: float (I,), ascending.  far: fraction above 0.  Of I independent impostors a binomial
    number lies above the true threshold, so it lies between two of the scores, whatever their
    distribution.  An end is None where the scores are too few to bound it.
    """
    from scipy.stats import binom  # here: the import takes half a second

    fewest, most = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], impostor.size, far)
    descending = impostor[::-1]
    low = float(descending[int(most)]) if most < impostor.size else None
    high = float(descending[int(fewest) - 1]) if fewest >= 1 else None
    return low, high


def identity_bootstrap(
    statistic: Callable[[np.ndarray], float],
    left_identity: Sequence[str],
    right_identity: Sequence[str],
    rng: np.random.Generator,
    *,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile interval (low, high) of a statistic when identities are resampled.

    statistic(weights) gets a weight per pair, float (P,): how often the pair occurs when its
    identities are drawn with replacement (once for a genuine pair, both for an impostor pair).
    It may return NaN for a draw without one class; such draws are left out.
    Pairs of one person are not independent; this interval is as wide as that makes it, and wider
    than need be for impostor pairs whose people occur in few others.
    Source: Owen 2007, "The pigeonhole bootstrap".
    """
    people = People(left_identity, right_identity)
    return bootstrap(
        lambda drawn: statistic(people.weights(drawn)), people.count, rng, replicates, confidence
    )


class People:
    """Who is in which pair: from how often each person is drawn to how often each pair occurs.

    left, right: P names each.  count: how many people there are.
    """

    def __init__(self, left: Sequence[str], right: Sequence[str]):
        names, codes = np.unique(
            np.concatenate([np.asarray(left), np.asarray(right)]), return_inverse=True
        )
        self.count = len(names)
        self._left, self._right = np.split(codes, 2)
        self._same = self._left == self._right

    def weights(self, drawn: np.ndarray) -> np.ndarray:
        """Return the weight of each pair, float64 (P,).  drawn: int (count,)."""
        both = drawn[self._left] * drawn[self._right]
        return np.where(self._same, drawn[self._left], both).astype(np.float64)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    count: int,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile interval (low, high) of a statistic when people are resampled.

    statistic(drawn) gets how often each of `count` people was drawn, with replacement, int
    (count,).  It may return NaN for a draw that says nothing; such draws are left out.
    """
    low, high = bootstraps(lambda drawn: [statistic(drawn)], count, rng, replicates, confidence)[0]
    return low, high


def bootstraps(
    statistics: Callable[[np.ndarray], Sequence[float]],
    count: int,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> list[Interval]:
    """Return bootstrap() of several statistics, all of the same draws.

    An interval is (NaN, NaN) where no draw said anything.
    """
    draws = (
        np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(replicates)
    )
    values = np.array([statistics(drawn) for drawn in draws], np.float64)  # (replicates, K)
    tail = 100 * (1 - confidence) / 2
    intervals = []
    for column in values.T:
        said = column[~np.isnan(column)]
        low, high = np.percentile(said, [tail, 100 - tail]) if said.size else (np.nan, np.nan)
        intervals.append((float(low), float(high)))
    return intervals
