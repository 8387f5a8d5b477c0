"""How sure a rate is: Wilson's interval for counts, a bootstrap where pairs share identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95
REPLICATES = 500

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
    Pairs of one person are not independent; this interval is as wide as that makes it.
    """
    names, codes = np.unique(
        np.concatenate([np.asarray(left_identity), np.asarray(right_identity)]),
        return_inverse=True,
    )
    left, right = np.split(codes, 2)
    same = left == right

    def of_pairs(drawn: np.ndarray) -> float:
        weights = np.where(same, drawn[left], drawn[left] * drawn[right])
        return statistic(weights.astype(np.float64))

    return bootstrap(of_pairs, len(names), rng, replicates, confidence)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    num_people: int,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile interval (low, high) of a statistic when people are resampled.

    statistic(drawn) gets how often each person was drawn, with replacement, int (num_people,).
    It may return NaN for a draw that says nothing; such draws are left out.
    """
    values = np.empty(replicates)
    for replicate in range(replicates):
        people = rng.integers(num_people, size=num_people)
        values[replicate] = statistic(np.bincount(people, minlength=num_people))
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
