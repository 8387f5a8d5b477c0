"""A classifier that starts where the identities already lie: weight imprinting.

A pretrained network separates new identities before it has seen them, while a classifier drawn
at random pulls it apart until it has learned where they are; on a few hundred images that costs
more than fine-tuning gains.  Source: Qi, Brown, Lowe, "Low-Shot Learning with Imprinted
Weights", CVPR 2018, arXiv 1712.07136, eq. 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import itertools
import logging

import numpy as np
from tqdm import tqdm

from ..batches.bad_records import BadRecord, BadRecords
from ..data.dataset import FaceDataset, UnreadableError
from ..data.ranges import runs
from ..embedding.embedder import ParameterEmbedder
from ..embedding.image_embedder import ImageEmbedder
from ..embedding.vectors import unit_rows
from ..lazy_mxnet import mx

logger = logging.getLogger(__name__)

CLASSIFIER = "fc7_weight"  # (identities, D)
IMAGES_PER_IDENTITY = 10  # the mean of more moves little, and takes its time
IMAGES_AT_ONCE = 4096


def imprint(
    symbol: mx.sym.Symbol,
    arg_params: dict[str, mx.nd.NDArray],
    aux_params: dict[str, mx.nd.NDArray],
    ctx: list[mx.Context] | None,
    dataset: FaceDataset,
    batch_size: int,
    max_bad: int = -1,
    known: Sequence[int] | np.ndarray = (),
) -> None:
    """Replace the rows of "fc7_weight" (C, D) in arg_params by the identities' directions.

    symbol: a training symbol.  batch_size: images per forward pass, all of ctx together.
    max_bad: as BadRecords takes it.  known: identities that keep their rows, as --pretrained had
    them.  Identities without images keep the row that was drawn.
    """
    embedder = ParameterEmbedder(symbol, arg_params, aux_params, ctx, batch_size=batch_size)
    identities, directions = identity_directions(embedder, dataset, max_bad, known)
    drawn = arg_params[CLASSIFIER]
    weight = drawn if isinstance(drawn, np.ndarray) else drawn.asnumpy()
    if len(identities):
        weight[identities] = directions
    arg_params[CLASSIFIER] = weight if weight is drawn else mx.nd.array(weight)
    logger.info("classifier: %d of %d rows imprinted", len(identities), len(weight))


def identity_directions(
    embedder: ImageEmbedder,
    dataset: FaceDataset,
    max_bad: int = -1,
    known: Sequence[int] | np.ndarray = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Return identities, int64 (K,), and their directions, float32 (K, D) of unit length.

    They are those that have images and are not known.  A direction is that of the mean unit
    embedding of the identity's first images; those that do not decode are left out.  Raises
    ValueError if they are more than max_bad allows.
    """
    bad_records = BadRecords([dataset], max_bad)
    groups = [keys[:IMAGES_PER_IDENTITY] for keys in dataset.keys_by_identity]
    identities = dataset.identities(np.array([keys[0] for keys in groups]))
    is_new = ~np.isin(identities, known)
    identities, groups = (
        identities[is_new],
        [keys for keys, new in zip(groups, is_new, strict=True) if new],
    )
    groups_at_once = max(1, IMAGES_AT_ONCE // IMAGES_PER_IDENTITY)
    found, directions = [], []
    for begin in tqdm(
        range(0, len(groups), groups_at_once), desc="imprint", unit="part", disable=None
    ):
        part = slice(begin, begin + groups_at_once)
        owners: list[int] = []  # of the images that decode
        images = readable(
            dataset, zip(identities[part], groups[part], strict=True), bad_records, owners
        )
        first = next(images, None)
        if first is None:
            continue
        plain, flipped = embedder.plain_and_flipped(itertools.chain([first], images))
        embeddings = unit_rows(plain + flipped)  # (n, D)
        starts = runs(np.array(owners))[:, 0]
        found.append(np.array(owners)[starts])
        directions.append(unit_rows(np.add.reduceat(embeddings, starts, axis=0)))
    if not found:
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    return np.concatenate(found), np.concatenate(directions)


def readable(
    dataset: FaceDataset,
    groups: Iterable[tuple[int, np.ndarray]],
    bad_records: BadRecords,
    owners: list[int],
) -> Iterator[np.ndarray]:
    """Yield the images that decode of (identity, keys), each after its identity was appended."""
    for identity, keys in groups:
        for key in keys:
            try:
                image, _ = dataset.sample(int(key))
            except UnreadableError as error:
                bad_records.take([BadRecord(0, int(key), str(error))])
                continue
            owners.append(int(identity))
            yield image
