"""What the quickstart measured: figures of each network, differences of two, curves of runs.

Figures are rates on pairs of people, and both their intervals and those of differences draw people
again, with all their pairs (arcface_mxnet.eval.comparison, as arcface-compare does).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
import json
from pathlib import Path
import time

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.image_embedder import ImageEmbedder
from arcface_mxnet.embedding.vectors import cosines_of
from arcface_mxnet.eval.comparison import Estimate, difference
from arcface_mxnet.eval.evaluation import WeightedTar
from arcface_mxnet.eval.intervals import People, bootstraps
from arcface_mxnet.eval.pair_embeddings import embed_pair_set
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.eval.protocols import fold_numbers, unit_distances, verify_distances
from arcface_mxnet.eval.scored_pairs import ScoredPairs
from arcface_mxnet.eval.scores import area_under_curve
import numpy as np

FAR = 1e-2
SEED = 0  # of the bootstrap
REPLICATES = 2000
TIMED = 60  # crops


@dataclass(frozen=True)
class Figures:
    """One network on one pair set: 10-fold accuracy and TAR at FAR 1e-2 with their 95 % intervals
    over people, and the area under the curve."""

    accuracy: Estimate
    tar: Estimate
    auc: float


@dataclass(frozen=True)
class Claim:
    """One network minus another on the same pairs, with 95 % intervals over people."""

    accuracy: Estimate
    tar: Estimate
    auc: Estimate

    @property
    def verdict(self) -> str:
        """What the interval of the accuracy allows to say: "better", "worse" or "undecided"."""
        if self.accuracy.low > 0:
            return "better"
        return "worse" if self.accuracy.high < 0 else "undecided"


def figures(scored: ScoredPairs) -> Figures:
    """Return the figures of one network."""
    people, right = People(scored.left, scored.right), scored.is_right.astype(np.float64)
    tar = WeightedTar(scored.cosines, scored.is_genuine, FAR)

    def statistics(weights: np.ndarray) -> list[float]:
        total = weights.sum()
        return [weights @ right / total if total else float("nan"), tar(weights)]

    intervals = bootstraps(
        lambda drawn: statistics(people.weights(drawn)), people.count,
        np.random.default_rng(SEED), REPLICATES,
    )  # fmt: skip
    values = statistics(np.ones(right.size))
    auc = area_under_curve(scored.cosines[scored.is_genuine], scored.cosines[~scored.is_genuine])
    return Figures(
        *(Estimate(float(v), *ends) for v, ends in zip(values, intervals, strict=True)), auc
    )


def claim(first: ScoredPairs, second: ScoredPairs) -> Claim:
    """Return first minus second.  Raises ValueError if their pairs are not the same."""
    found = difference(first, second, [FAR], np.random.default_rng(SEED), REPLICATES)
    people, areas = People(first.left, first.right), [WeightedArea(one) for one in (first, second)]

    def apart(weights: np.ndarray) -> float:
        return areas[0](weights) - areas[1](weights)

    low, high = bootstraps(
        lambda drawn: [apart(people.weights(drawn))], people.count,
        np.random.default_rng(SEED), REPLICATES,
    )[0]  # fmt: skip
    area = Estimate(apart(np.ones(first.is_genuine.size)), low, high)
    return Claim(found.accuracy, found.tar[FAR], area)


class WeightedArea:
    """The area under the curve of weighted pairs: called with weights (P,), NaN if a class has
    none.  Equal scores are taken in the order of the pairs."""

    def __init__(self, scored: ScoredPairs):
        self.order = np.argsort(scored.cosines, kind="stable")
        self.is_genuine = scored.is_genuine[self.order]

    def __call__(self, weights: np.ndarray) -> float:
        weights = weights[self.order]
        genuine = np.where(self.is_genuine, weights, 0.0)
        below = np.cumsum(weights - genuine)  # of impostors, for each pair
        if not genuine.any() or not below[-1]:
            return float("nan")
        return float(genuine @ below / genuine.sum() / below[-1])


def scored_pixels(pairs: PairSet, like: ScoredPairs) -> ScoredPairs:
    """Return the scores of the grey values themselves, their cosine."""
    return _scored("raw pixels", pixel_cosines(pairs), like)


def scored_network(name: str, embedder: ImageEmbedder, pairs: PairSet, like: ScoredPairs):
    """Return the scores of a network that has no checkpoint."""
    return _scored(name, embedding_cosines(embedder, pairs), like)


def pixel_cosines(pairs: PairSet) -> np.ndarray:
    """Return the cosine of the grey values of each pair."""
    pixels = np.stack([image.mean(axis=2).ravel() for image in pairs.decoded()])
    return cosines_of(unit_distances(pixels[0::2], pixels[1::2]))


def embedding_cosines(embedder: ImageEmbedder, pairs: PairSet) -> np.ndarray:
    """Return the cosine of plain + flipped embeddings of each pair."""
    both = embed_pair_set(embedder, pairs).flip_sum
    return cosines_of(unit_distances(both[0::2], both[1::2]))


def _scored(name: str, cosines: np.ndarray, like: ScoredPairs) -> ScoredPairs:
    """Return scores of the pairs of another network."""
    flags = like.is_genuine
    folds = verify_distances(2 - 2 * cosines, flags, folds=10).per_fold
    thresholds = np.array([fold.threshold for fold in folds])[fold_numbers(flags, len(folds))]
    facts = {**like.facts, "model": name, "alias": name}
    return ScoredPairs(
        facts, cosines, flags, (cosines > thresholds) == flags, like.left, like.right
    )


def curve(prefix: Path, metric: str) -> tuple[list[int], list[float]]:
    """Return the steps and values of a metric of a run; validations are TARGET/accuracy."""
    with Path(f"{prefix}-metrics.csv").open(encoding="utf-8") as file:
        points = [row for row in csv.DictReader(file) if row["metric"] == metric]
    return [int(point["step"]) for point in points], [float(point["value"]) for point in points]


def milliseconds(model: str, pairs: PairSet) -> float:
    """Return the time of one crop's embedding, one crop at a time, by the engine that embeds."""
    embedder = Embedder(model, batch_size=1)
    crops = [image for _, image in zip(range(TIMED), pairs.decoded(), strict=False)]
    embedder(np.stack(crops[:5]))
    began = time.perf_counter()
    embedder(np.stack(crops))
    return 1000 * (time.perf_counter() - began) / len(crops)


def write_figures(path: Path, found: dict[str, dict[str, Figures]]) -> None:
    """Write the figures, by pair set and network, as JSON."""
    plain = {
        target: {
            name: {"accuracy": one.accuracy.__dict__, "tar": one.tar.__dict__, "auc": one.auc}
            for name, one in rows.items()
        }
        for target, rows in found.items()
    }
    path.write_text(json.dumps(plain, indent=1), encoding="utf-8")
