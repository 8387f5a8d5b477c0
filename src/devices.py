"""The devices that MXNet computes on: a GPU is refused here, in one line, or can be used."""

from __future__ import annotations

from collections.abc import Iterable
import logging

from .cuda import refuse_unserved
from .lazy_mxnet import mx

logger = logging.getLogger(__name__)


def mxnet_device(number: int, place: int = 0) -> mx.Context:
    """Return the GPU of CUDA's number; a negative one is the CPU, and place tells CPUs apart.

    Raises ValueError for a GPU that MXNet cannot use.
    """
    if number < 0:
        return mx.cpu(place)
    return gpus([number], "leave --gpu out or give --gpu -1 for the CPU")[0]


def gpus(numbers: Iterable[int], otherwise: str) -> list[mx.Context]:
    """Return the GPUs of these numbers.

    otherwise: how to do without, for the message.  Raises ValueError if MXNet has no code for one
    or does not see it.
    """
    numbers = list(numbers)
    refuse_unserved(numbers)
    present = num_gpus()
    missing = [number for number in numbers if number >= present]
    if missing:
        raise ValueError(
            f"GPU {', '.join(map(str, missing))} not found: MXNet sees {present}. Install the "
            f"CUDA build (pip install 'arcface_mxnet[cu112]') and a driver, or {otherwise}"
        )
    return [mx.gpu(number) for number in numbers]


def num_gpus() -> int:
    """Return how many GPUs MXNet sees: 0 without its CUDA build and without a driver."""
    try:
        return mx.context.num_gpus()
    except mx.MXNetError as error:  # the CUDA build, and no driver or too old a one
        logger.warning("no GPU can be used: %s", str(error).strip().splitlines()[-1])
        return 0
