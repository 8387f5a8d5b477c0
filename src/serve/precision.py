"""What the service computes in: bfloat16 where that is fast and costs nothing, else float32."""

from __future__ import annotations

import argparse
from copy import copy
import logging

import numpy as np

from ..embedding.arguments import open_embedder
from ..embedding.embedder import Embedder
from ..embedding.vectors import unit_rows
from ..engines.arguments import chosen_gpu
from ..engines.choice import choose_engine
from ..engines.session import fastest_dtype
from .model_print import probe_crops

AUTO, SINGLE = "auto", "float32"
# Least cosine between the embeddings of a crop in both, over the probe's eight; m1 has 0.9999.
LEAST_COSINE = 0.9995

logger = logging.getLogger(__name__)


def open_in_precision(arguments: argparse.Namespace, card_dtype: str, batch_size: int) -> Embedder:
    """Return the service's embedder, in --dtype; "auto" is decided by the processor and a probe.

    card_dtype: of the threshold card, which is for embeddings of that dtype; "" without one.
    Raises as open_embedder.
    """
    if arguments.dtype != AUTO:
        return _opened(arguments, arguments.dtype, batch_size)
    if card_dtype:
        return _opened(arguments, card_dtype, batch_size)
    engine = choose_engine(arguments.model, arguments.engine, chosen_gpu(arguments))
    faster = fastest_dtype(engine.devices[0])
    if engine.name == "onnxruntime" and faster != SINGLE:
        try:
            embedder = _opened(arguments, faster, batch_size)
            cosine = _likeness(embedder, arguments)
        except ValueError as error:  # such as an INT8 network, which has no other precision
            logger.info("embedding in %s: %s", SINGLE, error)
        else:
            if cosine >= LEAST_COSINE:
                return embedder
            logger.warning(
                "embedding in %s: in %s the embeddings of a face have a cosine of %.4f with those, "
                "%g is the least", SINGLE, faster, cosine, LEAST_COSINE,
            )  # fmt: skip
    return _opened(arguments, SINGLE, batch_size)


def _likeness(embedder: Embedder, arguments: argparse.Namespace) -> float:
    """Return the least cosine between an embedder's embeddings of the probe and float32's."""
    rgb = np.ascontiguousarray(probe_crops(embedder.size or (112, 112))[..., ::-1])
    rows = embedder(rgb)
    if embedder.cost is not None:  # these were its first images
        return embedder.cost.min_cosine
    other = _opened(arguments, SINGLE, len(rgb))(rgb)
    return float(np.min(np.sum(unit_rows(rows) * unit_rows(other), axis=1)))


def _opened(arguments: argparse.Namespace, dtype: str, batch_size: int) -> Embedder:
    arguments = copy(arguments)
    arguments.dtype = dtype
    return open_embedder(arguments, arguments.model, batch_size=batch_size, flip=False)
