"""A classifier that starts where the identities already lie: weight imprinting.

A pretrained network separates new identities before it has seen them, while a classifier drawn
at random pulls it apart until it has learned where they are; on a few hundred images that costs
more than fine-tuning gains.  Source: Qi, Brown, Lowe, "Low-Shot Learning with Imprinted
Weights", CVPR 2018, arXiv 1712.07136, eq. 4.
"""

from __future__ import annotations

import logging

import mxnet as mx
import numpy as np
from tqdm import tqdm

from ..data.dataset import FaceDataset
from ..embedding.embedder import ParameterEmbedder
from ..embedding.image_embedder import ImageEmbedder
from ..embedding.vectors import unit_rows

logger = logging.getLogger(__name__)

CLASSIFIER = "fc7_weight"  # (identities, D)
IMAGES_PER_IDENTITY = 10  # the mean of more moves little, and takes its time
IMAGES_AT_ONCE = 4096


def imprint(
    symbol: mx.sym.Symbol,
    arg_params: dict[str, mx.nd.NDArray],
    aux_params: dict[str, mx.nd.NDArray],
    ctx: list[mx.Context],
    dataset: FaceDataset,
    batch_size: int,
) -> None:
    """Replace the rows of "fc7_weight" (C, D) in arg_params by the identities' directions.

    symbol: a training symbol.  batch_size: images per forward pass, all of ctx together.
    Identities without images keep the row that was drawn.
    """
    embedder = ParameterEmbedder(symbol, arg_params, aux_params, ctx, batch_size=batch_size)
    identities, directions = identity_directions(embedder, dataset)
    weight = arg_params[CLASSIFIER].asnumpy()
    weight[identities] = directions
    arg_params[CLASSIFIER] = mx.nd.array(weight)
    logger.info("classifier: %d of %d rows imprinted", len(identities), len(weight))


def identity_directions(
    embedder: ImageEmbedder, dataset: FaceDataset
) -> tuple[np.ndarray, np.ndarray]:
    """Return the identities that have images, int64 (K,), and float32 (K, D) of unit length.

    A direction is that of the mean unit embedding of the identity's first images.
    """
    groups = [keys[:IMAGES_PER_IDENTITY] for keys in dataset.keys_by_identity]
    groups_at_once = max(1, IMAGES_AT_ONCE // IMAGES_PER_IDENTITY)
    directions = []
    for begin in tqdm(
        range(0, len(groups), groups_at_once), desc="imprint", unit="part", disable=None
    ):
        part = groups[begin : begin + groups_at_once]
        images = (dataset.sample(key)[0] for keys in part for key in keys)
        plain, flipped = embedder.plain_and_flipped(images)
        embeddings = unit_rows(plain + flipped)  # (n, D)
        starts = np.cumsum([0, *map(len, part[:-1])])
        sums = np.add.reduceat(embeddings, starts, axis=0)
        directions.append(unit_rows(sums))
    first_keys = np.array([keys[0] for keys in groups])
    return dataset.identities(first_keys), np.concatenate(directions)
