"""Two models on the same pairs: differences with intervals, McNemar's test, rates by group.

Both models saw the same pairs, so what counts is the difference on each of them: an interval of the
difference is much narrower than the two intervals of the rates suggest.  People are drawn again
with all their pairs, the same people for both models; where names are unknown, pairs are, and the
interval is then too narrow for pairs that share people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .evaluation import RateAtFar, WeightedTar, rates_at_fars
from .intervals import LEAST_PEOPLE, People, bootstraps, wilson
from .scored_pairs import FOLDS, ScoredPairs
from .scores import is_supported, tar_at_far

REPLICATES = 1000
NO_VALUE = "(none)"  # the group of pairs whose field is empty


@dataclass(frozen=True)
class Estimate:
    """A rate or a difference of rates, as fractions, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """One model on one pair set: k-fold accuracy, and TAR at each FAR or what it needs.

    Intervals are Wilson's.
    """

    accuracy: Estimate
    rates: tuple[RateAtFar, ...]


@dataclass(frozen=True)
class McNemar:
    """Pairs that one model alone decides rightly, and the exact two-sided probability of so
    uneven a split if both were equally good.  It takes pairs for independent."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Difference:
    """First minus second model on the same pairs.

    tar: by FAR, None where the impostor pairs are too few.  resampled: "people" or "pairs".
    """

    accuracy: Estimate
    tar: dict[float, Estimate | None]
    mcnemar: McNemar
    resampled: str


@dataclass(frozen=True)
class GroupRates:
    """A group of pairs at one threshold, with Wilson's intervals.

    fnmr, fmr: None where it has no genuine, or no impostor pair.
    """

    group: str
    num_genuine: int
    num_impostor: int
    accuracy: Estimate
    fnmr: Estimate | None
    fmr: Estimate | None


def figures_of(scored: ScoredPairs, fars: Sequence[float]) -> Figures:
    """Return the figures of one model."""
    accuracy = share(scored.is_right)
    return Figures(accuracy, rates_at_fars(scored.cosines, scored.is_genuine, fars=fars))


def share(flags: np.ndarray) -> Estimate:
    """Return the share of flags that are set, with Wilson's interval.  flags: bool (n,), n > 0."""
    return Estimate(float(flags.mean()), *wilson(int(flags.sum()), flags.size))


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> McNemar:
    """Return McNemar's exact test of two models' decisions, bool (P,) each.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages"; exact: the binomial distribution of the pairs that differ.
    """
    from scipy.stats import binomtest  # here: the import takes half a second

    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    differ = only_first + only_second
    p = float(binomtest(only_first, differ, 0.5).pvalue) if differ else 1.0
    return McNemar(only_first, only_second, p)


def difference(
    first: ScoredPairs,
    second: ScoredPairs,
    fars: Sequence[float],
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Difference:
    """Return first minus second.

    The accuracies are k-fold ones, with the thresholds that the folds chose; TAR takes the
    threshold of its FAR anew in every draw.
    Raises ValueError if the two were not scored on the same pairs.
    """
    check_same_pairs(first, second)
    flags = first.is_genuine
    supported = [far for far in fars if is_supported(far, int((~flags).sum()))]
    gain = first.is_right.astype(np.float64) - second.is_right
    tars = [[WeightedTar(one.cosines, flags, far) for one in (first, second)] for far in supported]

    def statistics(weights: np.ndarray) -> list[float]:
        total = weights.sum()
        accuracy = float(weights @ gain / total) if total else float("nan")
        return [accuracy, *(one(weights) - other(weights) for one, other in tars)]

    people = People(first.left, first.right) if first.left.size else None
    people = people if people and people.count >= LEAST_PEOPLE else None
    count = people.count if people else len(flags)
    intervals = bootstraps(
        lambda drawn: statistics(people.weights(drawn) if people else drawn.astype(np.float64)),
        count,
        rng,
        replicates,
    )
    values = statistics(np.ones(len(flags)))
    found = [Estimate(value, *ends) for value, ends in zip(values, intervals, strict=True)]
    of_far = dict(zip(supported, found[1:], strict=True))
    return Difference(
        found[0],
        {far: of_far.get(far) for far in fars},
        mcnemar(first.is_right, second.is_right),
        "people" if people else "pairs",
    )


def check_same_pairs(first: ScoredPairs, second: ScoredPairs) -> None:
    """Raise ValueError unless both were scored on the same pairs in the same way."""
    for name, words in (("pack_sha256", "pair sets"), ("failures", "--failures")):
        if first.facts[name] != second.facts[name]:
            raise ValueError(
                f"{first.facts['target']}: {first.facts['model']} ({first.path}) and "
                f"{second.facts['model']} ({second.path}) are of different {words}: "
                f"{first.facts[name]} and {second.facts[name]}; verify both on the same"
            )
    folds = {one.facts.get(FOLDS, "") for one in (first, second)} - {""}
    if len(folds) > 1:
        raise ValueError(
            f"{first.facts['target']}: {first.path} and {second.path} have accuracies over "
            f"{' and '.join(sorted(folds, key=len))} folds; verify both with the same --nfolds"
        )
    if not np.array_equal(first.is_genuine, second.is_genuine):
        raise ValueError(
            f"{first.path} and {second.path}: the pairs of {first.facts['target']} are not the "
            "same; verify both on the same"
        )


def rates_by_group(scored: ScoredPairs, column: str, far: float) -> list[GroupRates]:
    """Return the rates of each group of pairs at the one threshold that has that FAR on all pairs.

    column: of the pair set; pairs without a value are the group "(none)".
    Raises ValueError if there is no such column, or as tar_at_far() does.
    """
    if column not in scored.columns:
        there = ", ".join(scored.columns) or "none"
        raise ValueError(
            f"--group {column}: {scored.path} has no such column of {scored.facts['target']}; "
            f"columns there: {there}; they come from NAME.columns.tsv beside the pair set"
        )
    flags, values = scored.is_genuine, np.asarray(scored.columns[column])
    point = tar_at_far(scored.cosines[flags], scored.cosines[~flags], far)
    accepted = scored.cosines >= point.threshold

    def rate(errors: np.ndarray) -> Estimate | None:
        return share(errors) if errors.size else None

    found = []
    for value in np.unique(values):
        here = values == value
        found.append(GroupRates(
            str(value) or NO_VALUE,
            int((here & flags).sum()),
            int((here & ~flags).sum()),
            share(scored.is_right[here]),
            fnmr=rate(~accepted[here & flags]),
            fmr=rate(accepted[here & ~flags]),
        ))  # fmt: skip
    return found
