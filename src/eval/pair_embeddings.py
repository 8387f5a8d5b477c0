"""A pair set embedded by a network, and its scores as the published script reports them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tqdm import tqdm

from ..embedding.sources import Embeddings, Images
from .pair_sets import PairSet
from .protocols import VerificationResult, verify_pairs


class Embeds(Protocol):
    """What an Embedder offers to this module."""

    def plain_and_flipped(self, images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class PairEmbeddings:
    """Raw embeddings of a pair set: plain and flipped float32 (2P, D), is_genuine bool (P,)."""

    plain: np.ndarray
    flipped: np.ndarray
    is_genuine: np.ndarray

    def part(self, chosen: np.ndarray) -> PairEmbeddings:
        """Return the embeddings of the pairs that are chosen, bool (P,)."""
        rows = np.repeat(chosen, 2)
        return PairEmbeddings(self.plain[rows], self.flipped[rows], self.is_genuine[chosen])

    @property
    def xnorm(self) -> float:
        """Mean L2 norm of all raw embeddings of both passes, as published."""
        norms = [np.linalg.norm(part, axis=1) for part in (self.plain, self.flipped)]
        return float(np.mean(norms))

    @property
    def flip_sum(self) -> np.ndarray:
        """Sum of both embeddings of each image, float32 (2P, D): the published embedding."""
        return self.plain + self.flipped


@dataclass(frozen=True)
class PairSetScores:
    """What the published script reports of a pair set: Accuracy-Flip, its std, and XNorm."""

    accuracy: float
    std: float
    xnorm: float
    result: VerificationResult


def embed_pair_set(
    embed: Embeds,
    pair_set: PairSet,
    image_size: tuple[int, int] | None = None,
    *,
    progress: str = "",
) -> PairEmbeddings:
    """Return the embeddings of all images of a pair set, decoded while the network works.

    image_size: (height, width) that all images are scaled to; None demands one size.
    progress: what to call it in a progress bar; none without.
    Raises ValueError naming the pair if an image does not decode or has another size.
    """
    numbers, rows = pair_set.distinct()
    images = pair_set.decoded(image_size, numbers)
    if progress:
        # disable=None: no bar where stderr is not a terminal
        images = tqdm(images, progress, len(numbers), unit=" images", disable=None)
    plain, flipped = embed.plain_and_flipped(images)
    return PairEmbeddings(plain[rows], flipped[rows], pair_set.is_genuine)


def ready_pair_embeddings(embeddings: Embeddings, pair_set: PairSet, target: str) -> PairEmbeddings:
    """Return the embeddings of a pair set that are there already.

    They go by the names of the pair set, where it has any, or by the numbers of its 2P images.
    Raises ValueError if there are not so many, or none of an image, or one is useless.
    """
    count = len(pair_set.images)
    names = [list(map(str, range(count)))]
    if pair_set.paths:
        names.insert(0, list(pair_set.paths))
    images = Images(target, count, pair_set.decoded, names)
    blocks = [(plain, flipped) for _, plain, flipped in embeddings.blocks(images)]
    plain, flipped = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return PairEmbeddings(plain, flipped, pair_set.is_genuine)


def verification_scores(
    embed: Embeds,
    pair_set: PairSet,
    image_size: tuple[int, int] | None = None,
    *,
    folds: int = 10,
) -> PairSetScores:
    """Return the published figures of a pair set: k-fold accuracy of plain + flipped, XNorm.

    image_size: as for embed_pair_set().  Raises ValueError as that and verify_pairs() do.
    """
    return scores_of(embed_pair_set(embed, pair_set, image_size), folds=folds)


def scores_of(embeddings: PairEmbeddings, *, folds: int = 10) -> PairSetScores:
    """Return verification_scores() of what is embedded already."""
    both = embeddings.flip_sum
    result = verify_pairs(both[0::2], both[1::2], embeddings.is_genuine, folds=folds)
    return PairSetScores(result.accuracy, result.std, embeddings.xnorm, result)
