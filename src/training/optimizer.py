"""SGD with momentum as the published run really had it.

The published script made its optimizer by hand, and MXNet then ignores every lr_mult and
wd_mult of the symbol and lets weight decay reach biases, beta, gamma and slopes too.  That is
the default here, since published results have it; apply_mult=True honours the multipliers and
spares what is neither a weight nor a gamma, as MXNet's optimizers do when made by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mxnet as mx
import numpy as np

Params = dict[str, mx.nd.NDArray]


@dataclass(frozen=True)
class SGD:
    """momentum, wd as given to training; attributes: the symbol's attr_dict().

    weight = weight + m;  m = momentum * m - lr * (rescaled gradient + wd * weight).
    grad_clip: largest L2 norm of all gradients of an update together, 0 for none.
    """

    momentum: float
    wd: float
    attributes: Mapping[str, Mapping[str, str]]
    apply_mult: bool = False
    grad_clip: float = 0.0

    def multipliers(self, name: str) -> tuple[float, float]:
        """Return (lr_mult, wd_mult) of a parameter."""
        if not self.apply_mult:
            return 1.0, 1.0
        given = self.attributes.get(name, {})
        spared = not name.endswith(("_weight", "_gamma"))
        return (
            float(given.get("__lr_mult__", 1.0)),
            float(given.get("__wd_mult__", 0.0 if spared else 1.0)),
        )

    def bound(self, weights: Params, gradients: Params, *, rescale_grad: float) -> BoundSGD:
        """Return the optimizer of one device's weights and gradients."""
        return BoundSGD(self, weights, gradients, rescale_grad)


class BoundSGD:
    """SGD over the arrays of one device.

    momenta: by parameter name.  masters: the float32 weights behind those in float16.
    """

    def __init__(self, rule: SGD, weights: Params, gradients: Params, rescale_grad: float):
        self._rule = rule
        self._rescale_grad = rescale_grad
        self._weights, self._gradients = weights, gradients
        self._multipliers = {name: rule.multipliers(name) for name in weights}
        self.masters = {n: w.astype("float32") for n, w in weights.items() if is_half(w)}
        self.momenta: Params = {}
        if rule.momentum:
            self.momenta = {n: mx.nd.zeros(w.shape, w.context) for n, w in weights.items()}

    def set_masters(self, arg_params: Params) -> None:
        """Take the full precision of what the float16 weights were set to."""
        for name, master in self.masters.items():
            arg_params[name].copyto(master)

    def update(self, lr: float) -> None:
        """Make one step at this learning rate."""
        rescale_grad = self._rescale_grad * self._clip_factor()
        for name in self._weights:
            lr_mult, wd_mult = self._multipliers[name]
            self._update(name, lr * lr_mult, self._rule.wd * wd_mult, rescale_grad)

    def _update(self, name: str, lr: float, wd: float, rescale_grad: float) -> None:
        """Update one weight.  MXNet's update of many at once is ten times slower on a CPU."""
        weight = self._weights[name]
        precision = "mp_" if name in self.masters else ""  # MXNet's word for several precisions
        update = getattr(mx.nd, f"{precision}sgd{'_mom' if self.momenta else ''}_update")
        sources = [source[name] for source in (self.momenta, self.masters) if name in source]
        options = {"momentum": self._rule.momentum} if self.momenta else {}
        update(
            weight, self._gradients[name], *sources,
            lr=lr, wd=wd, rescale_grad=rescale_grad, out=weight, **options,
        )  # fmt: skip

    def _clip_factor(self) -> float:
        if not self._rule.grad_clip:
            return 1.0
        gradients = list(self._gradients.values())
        squares = mx.nd.multi_sum_sq(*gradients, num_arrays=len(gradients))
        norm = float(squares.sum().asscalar()) ** 0.5 * self._rescale_grad
        return min(1.0, self._rule.grad_clip / norm) if norm else 1.0


def is_half(array: mx.nd.NDArray) -> bool:
    """Return whether an array is float16."""
    return array.dtype == np.float16
