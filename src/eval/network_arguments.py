"""The flags that say which network runs where, for every script that embeds."""

from __future__ import annotations

import argparse

from ..devices import device
from ..embedder import ImageEmbedder
from ..export.engine import ENGINES, open_embedder


def add_network_arguments(parser: argparse.ArgumentParser, batch_size: int) -> None:
    """Add --gpu, --batch-size and --engine."""
    add = parser.add_argument
    add("--gpu", type=int, help="GPU number; -1 for the CPU (default: 0 if there is a GPU)")
    add("--batch-size", type=int, default=batch_size, help="images per forward pass (%(default)s)")
    add(
        "--engine",
        choices=ENGINES,
        default="mxnet",
        help="what runs a checkpoint (%(default)s); a FILE.onnx always runs on onnxruntime",
    )


def open_network(arguments: argparse.Namespace, model: str, size: tuple[int, int]) -> ImageEmbedder:
    """Return the embedder of a checkpoint or ONNX file for crops of size (height, width)."""
    engine = "onnxruntime" if model.endswith(".onnx") else arguments.engine
    return open_embedder(
        model,
        engine,
        device(arguments.gpu, engine),
        size=size,
        batch_size=arguments.batch_size,
    )
