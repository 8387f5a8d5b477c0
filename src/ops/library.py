"""Load our operators into MXNet, once per process, and check that they compute."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
import threading

import mxnet as mx
import numpy as np

from ..compiler import BuildError, load_cached, reason_of
from . import build

OPERATOR = "arcface_prelu"

logger = logging.getLogger(__name__)
_lock = threading.Lock()


def load_operators() -> bool:
    """Return True when our operators are loaded; False, said once with the reason, if they
    cannot be compiled, loaded or trusted here."""
    with _lock:
        return _load()


@functools.cache
def _load() -> bool:
    try:
        library = load_cached(build.recipe(), _load_into_mxnet)
        _check()
    except (RuntimeError, OSError, AttributeError) as error:  # MXNetError is a RuntimeError
        logger.warning(
            "PReLU on the CPU: as a convolution, slower than our own operator, because: %s",
            reason_of(error),
        )
        return False
    logger.info("PReLU on the CPU: our own operator (%s)", library)
    return True


def try_operators(path: str) -> None:
    """Load the library of this path and check that it computes; for a process of its own."""
    _load_into_mxnet(Path(path))
    _check()


def _load_into_mxnet(library: Path) -> Path:
    mx.library.load(str(library), verbose=False)
    return library


def _check() -> None:
    """Raise BuildError unless the operator and its gradient give known values."""
    data = mx.nd.array([[-2.0, 4.0], [8.0, -16.0]])
    slope = mx.nd.array([0.5, 0.25])
    data.attach_grad()
    slope.attach_grad()
    with mx.autograd.record():
        out = getattr(mx.nd, OPERATOR)(data, slope)
    out.backward(mx.nd.ones((2, 2)))
    found = [array.asnumpy().tolist() for array in (out, data.grad, slope.grad)]
    wanted = [[[-1, 4], [8, -4]], [[0.5, 1], [1, 0.25]], [-2, -16]]
    if not all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True)):
        raise BuildError(f"the compiled operator computes {found} instead of {wanted}")
