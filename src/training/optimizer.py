"""What makes an update out of gradients: SGD as the published run really had it, and AdamW.

The published script made its optimizer by hand, and MXNet then ignores every lr_mult and
wd_mult of the symbol and lets weight decay reach biases, beta, gamma and slopes too.  That is
the default here, since published results have it; apply_mult=True honours the multipliers and
spares what is neither a weight nor a gamma, as MXNet's optimizers do when made by name.

To add one: a rule (see Rule) registered by name, and its options in OptimizerConfig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any, ClassVar

import numpy as np

from ..checkpoints.load import Params
from ..config import OptimizerConfig, TrainConfig, ignored_options
from ..lazy_mxnet import mx
from ..limits import shown
from ..registry import Registry
from .clipping import joint_norm

Arrays = Sequence[Any]
Tensors = Sequence[list[Any]]
Attributes = Mapping[str, Mapping[str, str]]

OPTIMIZERS = Registry("optimizer", "--optimizer")

COUNT = "count:updates"  # the state of rules that count
TINY = float(np.finfo(np.float32).tiny)


class Rule:
    """How one weight is updated; frozen, and the same for all devices.

    options: what of OptimizerConfig it reads.  moments: names of the float32 arrays kept for
    each weight, "mom" of fc7_weight being the state "mom:fc7_weight".  counts: whether the
    number of updates matters.  Every rule has the fields
    wd: weight decay.  attributes: the symbol's attr_dict().  apply_mult: see above.
    grad_clip: largest L2 norm of all gradients of an update together, 0 for none.
    """

    options: ClassVar[frozenset[str]]
    moments: Sequence[str]
    counts: ClassVar[bool] = False
    wd: float
    attributes: Attributes
    apply_mult: bool
    grad_clip: float

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

    def bound(
        self,
        weights: Params,
        gradients: Params,
        *,
        rescale_grad: float,
        scaled: frozenset[str] = frozenset(),
    ) -> Optimizer:
        """Return the optimizer of one device's weights and gradients.

        scaled: names of those whose gradients come multiplied by the loss scale.
        """
        return Optimizer(self, weights, gradients, rescale_grad, scaled)

    def update(self, arrays: Arrays, lr: float, wd: float, rescale: float, count: int) -> None:
        """Update arrays[0], the weight, by arrays[1], the gradient times rescale.

        arrays: then the moments, and the float32 weight behind one in float16.
        count: of updates, this one included; 0 if they are not counted.
        """
        raise TypeError(f"{type(self).__name__} makes no update")

    def update_tensors(
        self, tensors: Tensors, lr: float, wd: float, rescale: float, count: int
    ) -> None:
        """Make the update on lists of torch's tensors: weights, gradients, then each moment."""
        raise TypeError(f"{type(self).__name__} makes no update on PyTorch")


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD(Rule):
    """SGD with momentum, as published.

    m = momentum * m - lr * (g + wd * weight);  weight += m;  g: the gradient times rescale.
    """

    momentum: float
    wd: float
    attributes: Attributes
    apply_mult: bool = False
    grad_clip: float = 0.0

    options = frozenset({"mom"})

    @classmethod
    def of(cls, config: TrainConfig, **common: object) -> SGD:
        return cls(momentum=config.mom, **common)

    @property
    def moments(self) -> Sequence[str]:
        return ("mom",) if self.momentum else ()

    def update(self, arrays: Arrays, lr: float, wd: float, rescale: float, count: int) -> None:
        # MXNet's update of many at once is ten times slower on a CPU.
        precision = "mp_" if is_half(arrays[0]) else ""  # MXNet's word for several precisions
        update = getattr(mx.nd, f"{precision}sgd{'_mom' if self.momentum else ''}_update")
        options = {"momentum": self.momentum} if self.momentum else {}
        update(*arrays, lr=lr, wd=wd, rescale_grad=rescale, out=arrays[0], **options)

    def update_tensors(
        self, tensors: Tensors, lr: float, wd: float, rescale: float, count: int
    ) -> None:
        import torch

        weights, gradients, *moments = tensors
        if not moments:
            torch._foreach_mul_(weights, 1 - lr * wd)
            torch._foreach_add_(weights, gradients, alpha=-lr * rescale)
            return
        torch._foreach_mul_(moments[0], self.momentum)
        torch._foreach_add_(moments[0], weights, alpha=-lr * wd)
        torch._foreach_add_(moments[0], gradients, alpha=-lr * rescale)
        torch._foreach_add_(weights, moments[0])


@OPTIMIZERS.register("adamw")
@dataclass(frozen=True)
class AdamW(Rule):
    """Adam with decoupled weight decay.  Source: arXiv 1711.05101, algorithm 2.

    mean = beta1 * mean + (1 - beta1) * g;  var = beta2 * var + (1 - beta2) * g^2;
    weight -= lr * (corrected mean / (sqrt(corrected var) + epsilon) + wd * weight), where after
    t updates corrected = moment / (1 - beta^t).  wd is the paper's lambda / alpha, so
    that the decay follows lr, as everywhere else.
    """

    wd: float
    attributes: Attributes
    apply_mult: bool = False
    grad_clip: float = 0.0
    beta1: float = OptimizerConfig.adam_beta1
    beta2: float = OptimizerConfig.adam_beta2
    epsilon: float = OptimizerConfig.adam_epsilon

    options = frozenset({"adam_beta1", "adam_beta2", "adam_epsilon"})
    moments = ("mean", "var")
    counts = True

    @classmethod
    def of(cls, config: TrainConfig, **common: object) -> AdamW:
        return cls(
            beta1=config.adam_beta1,
            beta2=config.adam_beta2,
            epsilon=config.adam_epsilon,
            **common,
        )

    def update(self, arrays: Arrays, lr: float, wd: float, rescale: float, count: int) -> None:
        # The operator knows no correction, and its betas are float32: so must be those here.
        scale1, scale2 = (1 - float(np.float32(b)) ** count for b in (self.beta1, self.beta2))
        name = "mp_adamw_update" if is_half(arrays[0]) else "adamw_update"
        # It skips the update where the gradient is rescaled by 0, as clipping does to an
        # infinite one: that must show in the weights.
        rescale = mx.nd.full((1,), max(rescale, TINY), ctx=arrays[0].context)
        getattr(mx.nd.contrib, name)(
            *arrays, rescale, lr=lr * scale2**0.5 / scale1, eta=1.0, wd=lr * wd, beta1=self.beta1,
            beta2=self.beta2, epsilon=self.epsilon * scale2**0.5, out=arrays[0],
        )  # fmt: skip

    def update_tensors(
        self, tensors: Tensors, lr: float, wd: float, rescale: float, count: int
    ) -> None:
        import torch

        weights, gradients, means, squares = tensors
        scale1, scale2 = 1 - self.beta1**count, 1 - self.beta2**count
        gradients = torch._foreach_mul(gradients, rescale)
        torch._foreach_lerp_(means, gradients, 1 - self.beta1)
        torch._foreach_mul_(squares, self.beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - self.beta2)
        steps = torch._foreach_sqrt(squares)
        torch._foreach_add_(steps, self.epsilon * scale2**0.5)
        torch._foreach_mul_(weights, 1 - lr * wd)
        torch._foreach_addcdiv_(weights, means, steps, value=-lr * scale2**0.5 / scale1)


def make_optimizer(config: TrainConfig, attributes: Attributes) -> Rule:
    """Return the rule that the options ask for.

    attributes: the symbol's attr_dict().  Raises ValueError for an unknown --optimizer and for
    changed options that the chosen one does not read.
    """
    rule = OPTIMIZERS[config.optimizer]
    faults = ignored_options(
        config, OptimizerConfig, rule.options, f"--optimizer {config.optimizer}"
    )
    if faults:
        raise ValueError("\n".join(faults))
    return rule.of(
        config,
        wd=config.wd,
        attributes=attributes,
        apply_mult=bool(config.apply_mult),
        grad_clip=config.grad_clip,
    )


class Optimizer:
    """A rule over the arrays of one device.

    states: what the rule keeps, by name, such as "mom:fc7_weight".  masters: the float32
    weights behind those in float16.
    """

    def __init__(
        self,
        rule: Rule,
        weights: Params,
        gradients: Params,
        rescale_grad: float,
        scaled: frozenset[str],
    ):
        self._rule = rule
        self._rescale_grad, self._scaled = rescale_grad, scaled
        self._weights, self._gradients = weights, gradients
        self._multipliers = {name: rule.multipliers(name) for name in weights}
        self.masters = {n: w.astype("float32") for n, w in weights.items() if is_half(w)}
        self.states = {
            f"{moment}:{name}": mx.nd.zeros(weight.shape, weight.context)
            for moment in rule.moments
            for name, weight in weights.items()
        }
        if rule.counts:
            self.states[COUNT] = mx.nd.zeros((1,), mx.cpu(), dtype="int64")

    def set_masters(self, arg_params: Params) -> None:
        """Take the full precision of what the float16 weights were set to."""
        for name, master in self.masters.items():
            arg_params[name].copyto(master)

    def set_states(self, states: Params) -> None:
        """Go on from these states.  Raises ValueError if they are not those of this rule."""
        refuse_other_states(states, self.states)
        for name, state in states.items():
            if name == COUNT:
                count_of(state)
            elif state.shape != self.states[name].shape:
                raise ValueError(f"{name} is {state.shape}, not {self.states[name].shape}")
            state.copyto(self.states[name])

    def update(self, lr: float, loss_scale: float = 1.0) -> None:
        """Make one step at this learning rate."""
        rescale, count = self._rescale_grad * self._clip_factor(loss_scale), 0
        if self._rule.counts:
            self.states[COUNT] += 1
            count = int(self.states[COUNT].asscalar())
        for name, weight in self._weights.items():
            lr_mult, wd_mult = self._multipliers[name]
            arrays = [weight, self._gradients[name]]
            arrays += [self.states[f"{moment}:{name}"] for moment in self._rule.moments]
            arrays += [self.masters[name]] if name in self.masters else []
            own = rescale / loss_scale if name in self._scaled else rescale
            self._rule.update(arrays, lr * lr_mult, self._rule.wd * wd_mult, own, count)

    def _clip_factor(self, loss_scale: float) -> float:
        if not self._rule.grad_clip:
            return 1.0
        scaled = [g for name, g in self._gradients.items() if name in self._scaled]
        others = [g for name, g in self._gradients.items() if name not in self._scaled]
        norm = math.hypot(joint_norm(scaled) / loss_scale, joint_norm(others)) * self._rescale_grad
        return min(1.0, self._rule.grad_clip / norm) if norm else 1.0


def refuse_other_states(given: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise ValueError unless the states of a last state have the names of a rule's."""
    if given.keys() != own.keys():
        differing = ", ".join(sorted(given.keys() ^ own.keys())[:3])
        raise ValueError(
            f"the last state is not one of this --optimizer: it differs in {differing}"
        )


def count_of(state: Any) -> int:
    """Return the number of updates of a last state.  Raises ValueError for what is no number."""
    state = np.asarray(state.asnumpy() if hasattr(state, "asnumpy") else state)
    if state.shape != (1,) or state.dtype.kind not in "iu" or not 0 <= state[0] < 1 << 53:
        raise ValueError(f"{COUNT} is {shown(str(state))}, no number of updates")
    return int(state[0])


def is_half(array: mx.nd.NDArray) -> bool:
    """Return whether an array is float16."""
    return array.dtype == np.float16
