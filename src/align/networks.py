"""The small networks of a detector, run on images of any shape."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..checkpoints.network import read_whole
from ..engines.cache import ConversionCache
from ..engines.choice import Engine
from ..engines.converted import ConvertedNetwork


class DetectorNetwork(Protocol):
    """run(data): float32 (N, C, H, W) -> the outputs, each (N, ...).  Safe to share by threads."""

    def run(self, data: np.ndarray) -> list[np.ndarray]: ...


def open_network(checkpoint: str, engine: Engine, size: tuple[int, int] | None) -> DetectorNetwork:
    """Return the network of a checkpoint "prefix,number" on an engine.

    size: (height, width) of its images, None for a network that takes any.
    Raises FileNotFoundError or ValueError if it is missing, damaged, or lacks parameters.
    """
    network = read_whole(checkpoint)
    if engine.name == "mxnet":
        from .mxnet_network import MxnetNetwork  # imports MXNet

        return MxnetNetwork(network, engine.devices[0])
    return ConvertedNetwork(
        network,
        size,
        gpu=engine.devices[0],
        cache=ConversionCache(),
        name=f"detector {checkpoint!r}",
    )
