"""The flags that say what runs a network and where, for every script that runs one."""

from __future__ import annotations

import argparse

from ..given import whole
from .choice import ENGINES, default_gpu


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --gpu and --engine."""
    add = parser.add_argument
    add(
        "--gpu",
        type=whole(-1),
        help="GPU number; -1 is the CPU (default: 0 if an installed engine can use it, else -1)",
    )
    add(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what runs networks; auto: onnxruntime on a CPU, MXNet on a GPU that its wheel has "
        "code for (%(default)s)",
    )


def chosen_gpu(arguments: argparse.Namespace) -> int:
    """Return the number of the GPU that the flags name, -1 for the CPU."""
    return default_gpu() if arguments.gpu is None else arguments.gpu
