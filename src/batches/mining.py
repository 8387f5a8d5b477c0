"""Triplets from a bag of embeddings, on the device that holds them.

Source of the semi-hard rule: FaceNet, arXiv 1503.03832, section 3.2, with the published
bounds: d(a, p) < d(a, n) < d(a, p) + alpha, both strict, d the squared Euclidean distance
of unit vectors (0..4).  "hardest" and "random" choose among all negatives that violate the
margin, d(a, n) < d(a, p) + alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

MODES = ("semi-hard", "hardest", "random")
BLOCK = 1_500_000  # distances held at once: 6 MB, a few times over; larger ones leave the caches
FAR = 1e9  # stands for the distance to the anchor's own identity


@dataclass(frozen=True)
class Mined:
    """What mining found.

    triplets: int64 (T, 3), rows of anchor, positive and negative.  num_pairs: anchor-positive
    pairs considered.  d_ap, d_an: float32 (T,), squared distances of the triplets.
    """

    triplets: np.ndarray
    num_pairs: int
    d_ap: np.ndarray
    d_an: np.ndarray


def select_semi_hard(
    embeddings: Any,
    identities: np.ndarray,
    alpha: float,
    max_ap: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return rows of anchor, positive and semi-hard negative, int64 (T, 3).

    embeddings: (N, D), normalised here; an NDArray or a tensor is worked on where it is, numpy on
    the CPU.  identities: (N,).  Each unordered pair of one identity comes up once, its earlier
    image as the anchor, and gets one of its candidates, each equally likely; a pair without
    candidates gives no triplet, nor one with d(a, p) > max_ap, if that is above 0.
    Raises ValueError if the lengths differ or embeddings are not finite.
    """
    return mine(embeddings, identities, alpha, max_ap, rng).triplets


def mine(
    embeddings: Any,
    identities: np.ndarray,
    alpha: float,
    max_ap: float,
    rng: np.random.Generator,
    mode: str = "semi-hard",
) -> Mined:
    """Return the triplets of a mode of MODES and what is to be said of them; see
    select_semi_hard.  Memory: a few blocks of BLOCK distances, never N x N."""
    if mode not in MODES:
        raise ValueError(f"--triplet-mining {mode!r}: known are {', '.join(MODES)}")
    identities = np.asarray(identities)
    if embeddings.ndim != 2 or len(embeddings) != len(identities):
        raise ValueError(
            f"embeddings {embeddings.shape} and identities {identities.shape} do not fit: give "
            "(N, D) and (N,)"
        )
    pairs = identity_pairs(identities)
    if len(pairs) == 0:
        return Mined(np.zeros((0, 3), np.int64), 0, *np.zeros((2, 0), np.float32))
    bag = bag_of(embeddings, identities)
    picks = rng.random(len(pairs))  # the r-th candidate of a pair: r = floor(pick * candidates)
    step = max(BLOCK // len(identities), 1)
    found = [
        bag.negatives(pairs[begin : begin + step], picks[begin : begin + step], alpha, mode)
        for begin in range(0, len(pairs), step)
    ]
    negatives, counts, d_ap, d_an = (np.concatenate(parts) for parts in zip(*found, strict=True))
    keep = counts > 0
    if max_ap > 0:
        keep &= d_ap <= max_ap
    triplets = np.concatenate([pairs, negatives[:, None]], axis=1)[keep]
    return Mined(triplets, len(pairs), d_ap[keep], d_an[keep])


def identity_pairs(identities: np.ndarray) -> np.ndarray:
    """Return the rows (earlier, later) of every two images of one identity, int64 (P, 2),
    ascending.  Images of an identity need not stand together."""
    order = np.argsort(identities, kind="stable")
    grouped = identities[order]
    found = [np.zeros((0, 2), np.int64)]
    for distance in range(1, len(identities)):  # as many rounds as the largest identity has images
        same = np.flatnonzero(grouped[distance:] == grouped[:-distance])
        if len(same) == 0:
            break
        found.append(np.stack([order[same], order[same + distance]], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


class Bag(Protocol):
    """Unit embeddings and identities on one device."""

    def negatives(
        self, pairs: np.ndarray, picks: np.ndarray, alpha: float, mode: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return for each pair the negative's row, the number of candidates, d_ap and d_an.

        pairs: int64 (P, 2).  picks: (P,) in [0, 1), which share of the candidates comes before
        the one that is taken.  Rows and d_an mean nothing where there is no candidate.
        """


def bag_of(embeddings: Any, identities: np.ndarray) -> Bag:
    """Return the bag of what holds the embeddings: torch a tensor, MXNet all else where it is.

    Raises ValueError for embeddings that are not finite.
    """
    is_tensor = type(embeddings).__module__.split(".")[0] == "torch"
    if is_tensor or (isinstance(embeddings, np.ndarray) and not find_spec("mxnet")):
        from .tensor_bag import TensorBag

        return TensorBag(embeddings, identities)
    from .mxnet_bag import MxnetBag

    return MxnetBag(embeddings, identities)
