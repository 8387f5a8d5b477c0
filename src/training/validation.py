"""Verify on the pair sets of the dataset folder while training, and say when to save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
import logging

from ..embedding.image_embedder import ImageEmbedder
from ..eval.pair_containers import find_pair_set
from ..eval.pair_embeddings import verification_scores
from ..eval.pair_sets import PairSet, read_pair_set
from ..eval.protocols import fold_numbers

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
    embedder: ImageEmbedder, pair_sets: Mapping[str, PairSet], image_shape: tuple[int, int]
) -> list[TargetResult]:
    """Return the published result of each pair set: plain + flipped, 10 folds."""
    results = []
    for target, pair_set in pair_sets.items():
        scores = verification_scores(embedder, pair_set, image_shape, folds=FOLDS)
        results.append(TargetResult(target, scores.accuracy, scores.std, scores.xnorm))
    return results


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
