"""A rule of training/optimizer.py over tensors, many at a time."""

from __future__ import annotations

from collections.abc import Mapping
import math

import numpy as np
import torch
from torch import Tensor

from ..training.optimizer import COUNT, Rule, count_of, refuse_other_states

Tensors = dict[str, Tensor]


class TensorOptimizer:
    """A rule over the weights of one device, float32.

    states: what the rule keeps, by name, such as "mom:fc7_weight".  rescale_grad: on gradients.
    scaled: names of those whose gradients come multiplied by the loss scale.
    """

    def __init__(self, rule: Rule, weights: Tensors, rescale_grad: float, scaled: frozenset[str]):
        self._rule, self._weights = rule, weights
        self._rescale_grad, self._scaled = rescale_grad, scaled
        self._count = 0
        self._moments = {
            moment: {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for moment in rule.moments
        }
        # Those that are updated in one go.
        self._groups: dict[tuple[float, float, bool], list[str]] = {}
        for name in weights:
            key = (*rule.multipliers(name), name in scaled)
            self._groups.setdefault(key, []).append(name)

    @torch.no_grad()
    def update(
        self, gradients: Mapping[str, Tensor], lr: float, clip: float, loss_scale: float = 1.0
    ) -> None:
        """Make one step at this learning rate.  clip: of clip_factor()."""
        rescale = self._rescale_grad * clip
        self._count += self._rule.counts
        for (lr_mult, wd_mult, is_scaled), names in self._groups.items():
            tensors = [[self._weights[n].detach() for n in names], [gradients[n] for n in names]]
            tensors += [[moment[n] for n in names] for moment in self._moments.values()]
            own = rescale / loss_scale if is_scaled else rescale
            self._rule.update_tensors(
                tensors, lr * lr_mult, self._rule.wd * wd_mult, own, self._count
            )

    def clip_factor(
        self, gradients: Mapping[str, Tensor], loss_scale: float = 1.0, others: float = 0.0
    ) -> float:
        """Return by what all gradients are multiplied to be no longer than --grad-clip together.

        others: the L2 norm of gradients that are updated elsewhere, before they are rescaled.
        """
        if not self._rule.grad_clip:
            return 1.0
        scaled = [g for name, g in gradients.items() if name in self._scaled]
        single = [g for name, g in gradients.items() if name not in self._scaled]
        norm = math.hypot(joint_norm(scaled) / loss_scale, joint_norm(single), others)
        norm *= self._rescale_grad
        return min(1.0, self._rule.grad_clip / norm) if norm else 1.0

    @property
    def states(self) -> dict[str, Tensor]:
        found = {
            f"{moment}:{name}": array
            for moment, arrays in self._moments.items()
            for name, array in arrays.items()
        }
        return found | ({COUNT: torch.tensor([self._count])} if self._rule.counts else {})

    def set_states(self, states: Mapping[str, np.ndarray]) -> None:
        """Go on from these states.  Raises ValueError if they are not those of this rule."""
        own = self.states
        refuse_other_states(states, own)
        for name, array in states.items():
            if name == COUNT:
                self._count = count_of(array)
            elif array.shape != tuple(own[name].shape):
                raise ValueError(f"{name} is {array.shape}, not {tuple(own[name].shape)}")
            else:
                own[name].copy_(torch.as_tensor(array))


def joint_norm(tensors: list[Tensor]) -> float:
    """Return the L2 norm of all together; infinite only if a value is."""
    if not tensors:
        return 0.0
    norm = float(torch.stack(torch._foreach_norm(tensors)).norm())
    if math.isinf(norm):
        peak = max(float(tensor.abs().max()) for tensor in tensors)
        if math.isfinite(peak):
            return peak * joint_norm([tensor / peak for tensor in tensors])
    return norm
