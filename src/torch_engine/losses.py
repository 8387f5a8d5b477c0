"""The operators that make their own gradient, whatever comes back to them, and states of losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
import torch.nn.functional as F

from ..checkpoints.options import Options
from .table import Computed, Mode, operator

NORMALIZATIONS = ("null", "batch", "valid")


def normalization(options: Options) -> str:
    kind = options.word("normalization", "null")
    if kind not in NORMALIZATIONS:
        raise options.refusal(f"normalization {kind}")
    return kind


@dataclass(frozen=True)
class SoftmaxLoss:
    """What SoftmaxOutput was told.  Source: src/operator/softmax_output-inl.h."""

    grad_scale: float
    ignore_label: int
    use_ignore: bool
    multi_output: bool
    preserve_shape: bool
    normalization: str
    smooth_alpha: float

    def check(self, logits: Tensor, label: Tensor) -> None:
        """Raise ValueError if there is not one label for each softmax."""
        count = len(logits)
        if self.multi_output or self.preserve_shape:
            count = logits.numel() // logits.shape[1 if self.multi_output else -1]
        if label.shape != logits.shape and label.numel() != count:
            raise ValueError(f"{label.numel()} labels, {count} wanted")

    def probabilities(self, logits: Tensor) -> Tensor:
        if self.multi_output:
            return F.softmax(logits, dim=1)
        if self.preserve_shape:
            return F.softmax(logits, dim=-1)
        return F.softmax(logits.flatten(1), dim=1).reshape(logits.shape)

    def gradient(self, given: Tensor, label: Tensor) -> Tensor:
        """Return that of the logits.  given: the probabilities."""
        if given.shape == label.shape:  # the label is a probability itself
            return (given - label) * self.grad_scale
        # -> rows of classes, whichever axis they are on
        if self.multi_output:
            rows = given.flatten(2).transpose(1, 2) if given.ndim > 2 else given.unsqueeze(1)
            classes, places = given.shape[1], rows.shape[1]
        else:
            rows = given if self.preserve_shape else given.flatten(1)
            classes, places = rows.shape[-1], 1
        numbers = label.reshape(rows.shape[:-1]).long()
        is_own = numbers.unsqueeze(-1) == torch.arange(classes, device=given.device)
        if self.smooth_alpha and not self.multi_output:  # MXNet smooths no label of many
            other = self.smooth_alpha / max(classes - 1, 1)
            gradient = rows - torch.where(is_own, 1 - self.smooth_alpha, other).to(given.dtype)
        else:
            gradient = rows - is_own.to(given.dtype)
        is_valid = numbers != self.ignore_label
        if self.use_ignore:
            gradient = gradient * is_valid.unsqueeze(-1)
        gradient = gradient * self._factor(label, is_valid, places)
        if self.multi_output and given.ndim > 2:
            gradient = gradient.transpose(1, 2)
        return gradient.reshape(given.shape)

    def _factor(self, label: Tensor, is_valid: Tensor, places: int) -> float | Tensor:
        if self.normalization == "valid":
            return self.grad_scale / is_valid.sum().clamp(min=1)
        factor = self.grad_scale / places
        batch = len(label) if self.multi_output else label.numel()
        return factor / batch if self.normalization == "batch" else factor


class _SoftmaxOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, label: Tensor, loss: SoftmaxLoss) -> Tensor:
        loss.check(logits, label)
        found = loss.probabilities(logits)
        ctx.save_for_backward(found, label)
        ctx.loss = loss
        return found

    @staticmethod
    def backward(ctx, _: Tensor):
        return ctx.loss.gradient(*ctx.saved_tensors), None, None


@operator("SoftmaxOutput", inputs=2)
def softmax_output(options: Options, mode: Mode) -> Computed:
    ignored = options.number("ignore_label", -1)
    if not 0 <= options.number("smooth_alpha", 0) <= 1:
        raise options.refusal("a smooth_alpha that is no share")
    if not abs(ignored) < 1 << 31:
        raise options.refusal(f"ignore_label {ignored}")
    loss = SoftmaxLoss(
        grad_scale=float(options.number("grad_scale", 1)),
        ignore_label=int(ignored),
        use_ignore=options.flag("use_ignore", False),
        multi_output=options.flag("multi_output", False),
        preserve_shape=options.flag("preserve_shape", False),
        normalization=normalization(options),
        smooth_alpha=float(options.number("smooth_alpha", 0)),
    )
    if options.flag("out_grad", False):
        raise options.refusal("a gradient that is multiplied by what comes back")
    return Computed(lambda logits, label: _SoftmaxOutput.apply(logits, label, loss), is_loss=True)


class _MakeLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor, scale: float, kind: str, threshold: float) -> Tensor:
        if kind == "valid":
            ctx.factor = scale / (value > threshold).sum().clamp(min=1)
        else:
            batch = value.numel() // value.shape[-1]  # MXNet counts all axes but the last
            ctx.factor = scale / batch if kind == "batch" else scale
        ctx.shape, ctx.kind = value.shape, (value.dtype, value.device)
        return value.view_as(value)

    @staticmethod
    def backward(ctx, _: Tensor):
        dtype, device = ctx.kind
        return torch.ones(ctx.shape, dtype=dtype, device=device) * ctx.factor, None, None, None


@operator("MakeLoss")
def make_loss(options: Options, mode: Mode) -> Computed:
    scale, kind = float(options.number("grad_scale", 1)), normalization(options)
    threshold = float(options.number("valid_thresh", 0))
    return Computed(lambda value: _MakeLoss.apply(value, scale, kind, threshold), is_loss=True)


@operator("sgd_mom_update", inputs=3)
def sgd_mom_update(options: Options, mode: Mode) -> Computed:
    """As losses/state.py uses it: the third input is a state, and changes; no gradient flows."""
    lr, momentum = options.number("lr"), options.number("momentum", 0)
    wd, rescale = options.number("wd", 0), options.number("rescale_grad", 1)
    limit = options.number("clip_gradient", -1)
    options.ignore("lazy_update")

    def call(weight: Tensor, gradient: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            gradient = gradient * rescale
            if limit >= 0:
                gradient = gradient.clamp(-limit, limit)
            state = momentum * state - lr * (gradient + wd * weight)
            return weight + state, state

    return Computed(call, advances=((2, 1, 0.0),))
