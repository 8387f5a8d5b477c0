"""The loss scale of half precision: gradients that float16 can hold, and what to do when it cannot.

Below 6e-8 a float16 is 0, and gradients of a batch's mean are smaller.  So the gradient that
leaves the loss, in float32, is multiplied by a scale before it enters the network, and the
network's gradients are divided by it again in the update, in float32.  A scale that makes one
overflow costs that step: it is skipped, and the scale halved; after many good steps it doubles.
Source: Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740, sections 3.2 and 4.

The scale acts where the network ends, not on the loss: SoftmaxOutput and MakeLoss ignore the
gradient that they are given, and so every loss is scaled alike.
"""

from __future__ import annotations

from collections.abc import Iterable
import logging

import numpy as np

from ..lazy_mxnet import mx
from ..limits import shown
from .divergence import DivergedError

logger = logging.getLogger(__name__)

LOSS_SCALE = "loss_scale"  # the name of its input, and of its place in a last state
BOUNDARY = "scaled_gradient"

# Powers of two: to multiply and divide by them changes no digit.
START = 2.0**16
SMALLEST, LARGEST = 1.0, 2.0**24
GROW_AFTER = 2000  # good steps in a row


def scaled_gradient(embedding: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the embedding, (N, D) float32, as it is; its gradient is multiplied by "loss_scale".

    That is an input (1, 1) of the graph.
    """
    fixed = mx.sym.BlockGrad(embedding)
    scale = mx.sym.Variable(LOSS_SCALE, shape=(1, 1), dtype="float32")
    # The difference is 0, and x + 0 is x to the last bit; the gradient flows through it alone.
    change = mx.sym.broadcast_mul(embedding - fixed, scale)
    return mx.sym.elemwise_add(fixed, change, name=BOUNDARY)


def scaled_parameters(symbol: mx.sym.Symbol) -> frozenset[str]:
    """Return the parameters of a training symbol whose gradients carry the scale; none without."""
    if LOSS_SCALE not in symbol.list_arguments():
        return frozenset()
    network = symbol.get_internals()[f"{BOUNDARY}_output"]
    return frozenset(network.list_arguments()) - {"data", LOSS_SCALE}


def all_finite(arrays: Iterable[mx.nd.NDArray]) -> bool:
    """Return whether no value is NaN or infinite, in arrays of any types on one device."""
    by_type: dict[type, list[mx.nd.NDArray]] = {}
    for array in arrays:
        by_type.setdefault(array.dtype, []).append(array)
    flags = [mx.nd.multi_all_finite(*same, num_arrays=len(same)) for same in by_type.values()]
    return all(flag.asscalar() for flag in flags)


class LossScale:
    """The scale of the next step.  take() tells it how each step went."""

    def __init__(self) -> None:
        self.scale = START
        self._good_steps = 0  # since the scale changed
        self._steps = 0

    def take(self, is_finite: bool) -> None:
        """Take notice of a step: whether its gradients were finite, or it was skipped.

        Raises DivergedError if they overflow at the smallest scale too.
        """
        self._steps += 1
        if is_finite:
            self._good_steps += 1
            if self._good_steps == GROW_AFTER:
                self._change_to(min(2 * self.scale, LARGEST))
            return
        if self.scale <= SMALLEST:
            raise DivergedError(
                f"step {self._steps}: the gradients overflow float16 at loss scale {self.scale:g} "
                "too; training stops and what was saved stays.  Try a lower --lr, --lr-warmup "
                "1000, a smaller margin, or --dtype float32"
            )
        before = self.scale
        self._change_to(self.scale / 2)
        logger.warning(
            "step %d: gradients overflowed at loss scale %g; the step is skipped, the scale now %g",
            self._steps,
            before,
            self.scale,
        )

    def _change_to(self, scale: float) -> None:
        self.scale, self._good_steps = scale, 0

    def state(self) -> np.ndarray:
        """Return what a resumed run needs, float64 (3,)."""
        return np.array([self.scale, self._good_steps, self._steps])

    def restore(self, state: np.ndarray) -> None:
        """Go on from state().  Raises ValueError for what is none."""
        if state.shape != (3,) or not np.isfinite(state).all() or state[0] <= 0 or state.min() < 0:
            raise ValueError(f"{LOSS_SCALE} is {shown(str(state))}: give scale, good steps, steps")
        self.scale = float(state[0])
        self._good_steps, self._steps = int(state[1]), int(state[2])
