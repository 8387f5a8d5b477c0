"""Verify on the pair sets of the dataset folder while training, and say when to save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
import logging

import numpy as np

from ..embedding.image_embedder import ImageEmbedder
from ..eval.pair_containers import find_pair_set
from ..eval.pair_embeddings import PairEmbeddings, embed_pair_set, scores_of
from ..eval.pair_sets import PairSet, read_pair_set
from ..eval.protocols import fold_numbers
from .machines import Machines

logger = logging.getLogger(__name__)

FOLDS = 10


@dataclass(frozen=True)
class TargetResult:
    """One target at one verification: accuracy (mean of the folds) and std as fractions.

    xnorm: mean L2 norm of the embeddings before normalisation, plain and flipped.
    """

    target: str
    accuracy: float
    std: float
    xnorm: float


def find_targets(data_dirs: Sequence[str], targets: Sequence[str]) -> dict[str, PairSet]:
    """Return the pair sets TARGET.bin found, in the order of targets; name those absent.

    Raises ValueError at once for a pair set that could not be judged later.
    """
    found = {}
    for target in targets:
        paths = [find_pair_set(folder, target) for folder in data_dirs]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            logger.info("verification on %s is left out: no file %s", target, paths[0])
            continue
        found[target] = read_pair_set(path)
        try:
            fold_numbers(found[target].is_genuine, FOLDS)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return found


def validate(
    embedder: ImageEmbedder,
    pair_sets: Mapping[str, PairSet],
    image_shape: tuple[int, int],
    machines: Machines,
) -> list[TargetResult]:
    """Return the published result of each pair set: plain + flipped, 10 folds.

    The processes of a job that torchrun started embed each its part of the images, all at the same
    time; all return the result.
    """
    results = []
    for target, pair_set in pair_sets.items():
        embeddings = embedded_together(embedder, pair_set, image_shape, machines)
        scores = scores_of(embeddings, folds=FOLDS)
        results.append(TargetResult(target, scores.accuracy, scores.std, scores.xnorm))
    return results


def embedded_together(
    embedder: ImageEmbedder, pair_set: PairSet, image_shape: tuple[int, int], machines: Machines
) -> PairEmbeddings:
    """Return the embeddings of a pair set, of which each machine has made its part."""
    if not machines.validates_together:
        return embed_pair_set(embedder, pair_set, image_shape)
    numbers, rows = pair_set.distinct()
    begin, end = (len(numbers) * (machines.rank + i) // machines.count for i in (0, 1))
    mine = numbers[begin:end]
    # Without a part of its own a machine embeds one image, to know how long they are.
    images = pair_set.decoded(image_shape, mine if len(mine) else numbers[:1])
    parts = np.stack(embedder.plain_and_flipped(images), axis=1)[: len(mine)]  # (n, 2, D)
    whole = np.concatenate(machines.gather(parts))[rows]
    return PairEmbeddings(whole[:, 0], whole[:, 1], pair_set.is_genuine)


@dataclass
class Best:
    """What has been reached so far; decides whether a result is worth a checkpoint.

    As published (its later rule): good is when the last target beats its best, or equals it
    with a sum over all targets that is no worse.  There the sum was remembered on ties alone;
    here it is that of the best result.
    """

    accuracy: float = -1.0
    total: float = -1.0

    def take(self, results: Sequence[TargetResult]) -> bool:
        """Return whether these results are good, and remember them if so."""
        if not results:
            return False
        last, total = results[-1].accuracy, sum(result.accuracy for result in results)
        good = last > self.accuracy or (last == self.accuracy and total >= self.total)
        if good:
            self.accuracy, self.total = last, total
        return good

    def record(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return asdict(self)


def number_to_save(ckpt: int, is_good: bool, verifications: int) -> int | None:
    """Return the number of the checkpoint to write after a verification, or None.

    ckpt: 0 never, 1 if good, 2 always, 3 if good but over number 1.
    verifications: how many there have been, this one included.
    """
    if ckpt == 2 or (ckpt == 1 and is_good):
        return verifications
    return 1 if ckpt == 3 and is_good else None
