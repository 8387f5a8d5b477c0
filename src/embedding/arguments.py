"""The flags that say what runs a network and where, for every script that embeds."""

from __future__ import annotations

import argparse

from ..checkpoints.network import model_fingerprint
from ..engines.arguments import add_engine_arguments, chosen_gpu
from ..engines.choice import choose_engine
from ..engines.session import DTYPES
from .embedder import Embedder


def add_embedding_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --gpu, --engine and --dtype."""
    add_engine_arguments(parser)
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="what products are computed in; bfloat16 is faster where the processor has it, and "
        "what it costs is said (%(default)s)",
    )


def add_network_arguments(parser: argparse.ArgumentParser, batch_size: int) -> None:
    """Add those, and --batch-size."""
    add_embedding_arguments(parser)
    parser.add_argument(
        "--batch-size", type=int, default=batch_size, help="images per forward pass (%(default)s)"
    )


def open_embedder(
    arguments: argparse.Namespace, model: str, *, batch_size: int | None = None, flip: bool = True
) -> Embedder:
    """Return the embedder of a checkpoint or ONNX file as the flags say.

    batch_size: instead of --batch-size.  Raises as Embedder does.
    """
    return Embedder(
        model,
        chosen_gpu(arguments),
        batch_size=arguments.batch_size if batch_size is None else batch_size,
        flip=flip,
        engine=arguments.engine,
        dtype=arguments.dtype,
    )


def embedding_facts(arguments: argparse.Namespace, model: str) -> dict[str, str]:
    """Return what decides the embeddings besides the images: model, engine, dtype."""
    chosen = choose_engine(model, arguments.engine, chosen_gpu(arguments), arguments.dtype)
    return {"model": model_fingerprint(model), "engine": chosen.name, "dtype": chosen.dtype}
