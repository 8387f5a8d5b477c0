"""Figures of an identification experiment: CMC, ROC, intervals, DET, the worst probes.

Similarity is 1 - d/2 (d: squared L2 distance), the cosine for features of unit length.  FPR
and TPR are fractions; ranks count from 0 in arrays and from 1 in words, as the kit does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..embedding.vectors import cosines_of, squared_distances
from ..eval.intervals import Interval, bootstrap
from ..eval.scores import OperatingPoint, impostors_needed, is_supported
from .pairs import GenuinePairs
from .search import EXACT_ACCEPTS, EXACT_FPR, IdentificationResult

RANKS = (1, 5, 10, 20, 50, 100, 1000, 10000)
FPRS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
KEPT_STEP = 0.01  # the kit keeps a point where the curve rose by this much


@dataclass(frozen=True)
class CountedPoint:
    """The operating point of largest TPR (its tar) whose FPR (its far) does not exceed `allowed`.

    point: None where the negatives are too few for `allowed`; negatives_needed says how many it
    takes.  distance: its threshold as squared L2, accept at or below; None where none is known,
    and then the point accepts nothing.  exact: False if a threshold between two steps of the grid
    might do better.
    """

    allowed: float
    negatives_needed: int
    point: OperatingPoint | None = None
    distance: float | None = None
    exact: bool = True


def rank_rates(result: IdentificationResult, ranks: tuple[int, ...] = RANKS) -> dict[int, float]:
    """Return the share of ordered pairs whose mate is among the first k, by k (from 1)."""
    return {k: float(np.mean(result.closer < k)) for k in ranks if k <= result.num_distractors + 1}


def cmc(closer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, recall) at every rank that occurs, from rank 0 on."""
    ranks, counts = np.unique(np.append(closer, 0), return_counts=True)
    counts[0] -= 1  # the 0 put in so that the curve starts at rank 0
    return ranks, np.cumsum(counts) / len(closer)


def roc(result: IdentificationResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (fpr, tpr, distance) at every threshold, from the strictest on."""
    genuine = np.sort(result.pairs.distance)
    tpr = genuine.searchsorted(result.thresholds, side="right") / len(genuine)
    return result.false_accepts / result.num_negatives, tpr, result.thresholds


def operating_point(result: IdentificationResult, allowed: float) -> CountedPoint:
    """Return the largest TPR at a threshold whose FPR is at most allowed, if that is supported."""
    needed = impostors_needed(allowed)
    if not is_supported(allowed, result.num_negatives):
        return CountedPoint(allowed, needed)
    fpr, tpr, distance = roc(result)
    count = int(np.searchsorted(fpr, allowed, side="right"))
    # The last genuine distance that was counted by itself may not be the last within `allowed`.
    counted = max(EXACT_ACCEPTS, int(EXACT_FPR * result.num_negatives))
    is_listed = allowed * result.num_negatives <= counted or result.num_exact == len(fpr)
    exact = count < result.num_exact or (count == result.num_exact and is_listed)
    if count == 0:
        return CountedPoint(allowed, needed, OperatingPoint(np.inf, 0.0, 0.0), None, exact)
    at = count - 1
    threshold = float(cosines_of(distance[at]))
    point = OperatingPoint(threshold, far=float(fpr[at]), tar=float(tpr[at]))
    return CountedPoint(allowed, needed, point, float(distance[at]), exact)


def decimate(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the points the kit keeps: the first, the last, and each that rose by 0.01."""
    kept = [0]
    for i in range(1, len(y) - 1):
        if y[i] - y[kept[-1]] >= KEPT_STEP:
            kept.append(i)
    if len(y) > 1:
        kept.append(len(y) - 1)
    return np.asarray(x)[kept].tolist(), np.asarray(y)[kept].tolist()


def kit_curves(
    result: IdentificationResult, probes: np.ndarray, names: list[str]
) -> dict[str, list[list[float]]]:
    """Return the arrays of the kit's cmc file, decimated as there.

    The ROC's negatives are all of them; the kit used 100 per distractor.  names: image names,
    which say what the traditional gallery holds (traditional_ranks).
    """
    fpr, tpr, _ = roc(result)
    clean = tpr[fpr == 0].max(initial=0)
    curves = {
        "cmc": _closed(*cmc(result.closer), result.num_distractors),
        "roc": decimate(np.concatenate([[0], fpr, [1]]), np.concatenate([[clean], tpr, [1]])),
        "traditional_cmc": _closed(
            *cmc(traditional_ranks(result, probes, names)),
            result.num_distractors + result.pairs.person.max(),
        ),
    }
    return {name: [list(x), list(y)] for name, (x, y) in curves.items()}


def traditional_ranks(
    result: IdentificationResult, probes: np.ndarray, names: list[str]
) -> np.ndarray:
    """Return ranks, (K,), in a gallery that also holds one image of every other person.

    That image is the first by name; the kit's own choice is not documented.
    """
    pairs = result.pairs
    ranks = result.closer.copy()
    order = sorted(range(len(names)), key=names.__getitem__)
    gallery = np.array([next(i for i in order if pairs.person[i] == k)
                        for k in range(pairs.person.max() + 1)])  # fmt: skip
    for p in range(len(probes)):
        others = gallery[pairs.person[gallery] != pairs.person[p]]
        if len(others):
            away = np.sort(squared_distances(probes[p : p + 1], probes[others]))
            mine = slice(pairs.start[p], pairs.start[p + 1])
            ranks[mine] += away.searchsorted(pairs.distance[mine])
    return ranks


def person_interval(
    pairs: GenuinePairs, hit: np.ndarray, *, seed: int = 727, draws: int = 1000
) -> Interval:
    """Return the 95 % bootstrap interval of the share of pairs that hit.

    People are drawn with replacement, with all their pairs: pairs of one person are not
    independent.  Distractors and thresholds stay.  hit: bool (K,).
    """
    person = pairs.person[pairs.probe]
    totals = np.bincount(person).astype(np.float64)
    hits = np.bincount(person, weights=hit)
    rng = np.random.default_rng(seed)
    return bootstrap(lambda drawn: drawn @ hits / (drawn @ totals), len(totals), rng, draws)


def open_set(result: IdentificationResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (fpir, fnir, distance), the DET curve of open-set identification at rank 1.

    FPIR: share of probes that find a distractor within the distance when their mate is not
    enrolled.  FNIR: share of ordered pairs whose mate is not found first, or not within it.
    """
    nearest = np.sort(result.best_distance)
    distance = np.unique(nearest)
    fpir = nearest.searchsorted(distance, side="right") / len(nearest)
    found = np.sort(result.pairs.distance[result.closer == 0])
    fnir = 1 - found.searchsorted(distance, side="right") / len(result.pairs)
    # Just below the nearest distractor of all: no false positive.
    strict = found.searchsorted(distance[0], side="left") / len(result.pairs)
    return np.append(0, fpir), np.append(1 - strict, fnir), np.append(distance[0], distance)


def miss_rate_at(result: IdentificationResult, fpir: float) -> float | None:
    """Return the FNIR at the largest threshold whose FPIR does not exceed fpir.

    None where the probes are too few for it (eval.scores.impostors_needed).
    """
    if not is_supported(fpir, len(result.best_distance)):
        return None
    rates, misses, _ = open_set(result)
    return float(misses[np.searchsorted(rates, fpir, side="right") - 1])


def worst_probes(result: IdentificationResult, count: int = 20) -> list[dict[str, float | int]]:
    """Return the probes that are beaten most often, the worst first.

    Each: probe row, the share of its mates with a distractor closer, the median rank of its
    mates (from 1), its nearest distractor, the nearest of the mates that it beat, that mate's rank
    (from 1) and both similarities.  Probes never beaten are not among them.
    """
    pairs = result.pairs
    beaten = np.add.reduceat(result.closer > 0, pairs.start[:-1]) / np.diff(pairs.start)
    depth = np.add.reduceat(np.log1p(result.closer), pairs.start[:-1]) / np.diff(pairs.start)
    order = np.lexsort((np.arange(len(beaten)), -depth, -beaten))[:count]
    # Mates stand by distance, so the beaten ones are the last of a probe.
    first = pairs.start[1:] - np.add.reduceat(result.closer > 0, pairs.start[:-1])
    return [
        {
            "probe": int(p),
            "beaten": float(beaten[p]),
            "median_rank": 1 + float(np.median(result.closer[pairs.start[p] : pairs.start[p + 1]])),
            "distractor": int(result.best_row[p]),
            "distractor_similarity": float(cosines_of(result.best_distance[p])),
            "mate": int(pairs.mate[first[p]]),
            "mate_rank": 1 + int(result.closer[first[p]]),
            "mate_similarity": float(cosines_of(pairs.distance[first[p]])),
        }
        for p in order
        if beaten[p] > 0
    ]


def _closed(ranks: np.ndarray, recall: np.ndarray, last: int) -> tuple[list, list]:
    """Return a decimated CMC that ends at the last possible rank with recall 1."""
    if ranks[-1] < last:
        ranks, recall = np.append(ranks, last), np.append(recall, 1.0)
    return decimate(ranks, recall)
