"""The operators of a loss that read across the identities, each process having a slice of them.

The loss is a sum over the processes: each adds what its slice says, and of a value that all have
the one process whose share of the batch it is.  So what is completed by a sum has the sum of the
gradients as its own, and the order of the collectives is the same everywhere, forwards and back.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
import torch.nn.functional as F

from ..checkpoints.nodes import Node
from ..checkpoints.options import Options
from .collectives import Collectives, summed
from .losses import make_loss, normalization
from .slices import Slice
from .split import SLICED
from .table import Computed, Mode, computed

USE = "computed on a slice of the identities"
NOBODY = 2**62  # larger than any identity


class Here:
    """What is the same in all operators during a pass over one share.

    slice: whose rows there are.  is_own: whether the share is this process's.  nearest: of the last
    softmax, int64 (N,): the identity with the largest logit if it is in this slice, else NOBODY.
    """

    slice: Slice
    is_own: bool
    nearest: Tensor

    def __init__(self, together: Collectives):
        self.together = together

    def computed(self, node: Node, mode: Mode) -> Computed:
        """Return how a node is computed, for Program."""
        if not node.operator.startswith(SLICED):
            return computed(node, mode)
        options = Options(node, USE)
        made = SLICED_OPERATORS[node.operator.removeprefix(SLICED)](options, mode, self)
        options.check_all_read()
        return made if isinstance(made, Computed) else Computed(made)


Maker = Callable[[Options, Mode, Here], Callable[..., Tensor] | Computed]
SLICED_OPERATORS: dict[str, Maker] = {}


def sliced(name: str) -> Callable[[Maker], Maker]:
    def enter(maker: Maker) -> Maker:
        SLICED_OPERATORS[name] = maker
        return maker

    return enter


@sliced("FullyConnected")
def fully_connected(options: Options, mode: Mode, here: Here):
    options.ignore("num_hidden", "no_bias", "flatten")
    return F.linear


class _RowSquares(torch.autograd.Function):
    """Of each row the sum of its squares, without a copy of all rows; backwards with one."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return torch.linalg.vector_norm(rows, dim=1).square_()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (rows,) = ctx.saved_tensors
        return rows * (2 * gradient).unsqueeze(1)


@sliced("row_squares")
def row_squares(options: Options, mode: Mode, here: Here):
    options.ignore("axis", "exclude")
    is_kept = options.flag("keepdims", False)

    def call(rows: Tensor) -> Tensor:
        found = _RowSquares.apply(rows)
        return found.unsqueeze(1) if is_kept else found

    return call


@sliced("one_hot")
def one_hot(options: Options, mode: Mode, here: Here):
    """Nobody's label has no 1."""
    options.ignore("depth", "dtype")
    if options.number("on_value", 1) != 1 or options.number("off_value", 0) != 0:
        raise options.refusal("a one_hot of other values than 1 and 0")

    def call(labels: Tensor) -> Tensor:
        places, is_here = here.slice.places(labels)
        found = torch.zeros((len(labels), len(here.slice)), device=labels.device)
        return found.scatter_(1, places.unsqueeze(1), is_here.to(found.dtype).unsqueeze(1))

    return call


class _AddOwn(torch.autograd.Function):
    """Values (N, C) to which a change (N, 1) is added at each sample's own identity."""

    @staticmethod
    def forward(ctx, values: Tensor, change: Tensor, places: Tensor, is_here: Tensor) -> Tensor:
        ctx.save_for_backward(places, is_here)
        return values.clone().scatter_add_(1, places, change * is_here)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        places, is_here = ctx.saved_tensors
        return gradient, gradient.gather(1, places) * is_here, None, None


@sliced("add_own")
def add_own(options: Options, mode: Mode, here: Here):
    def call(values: Tensor, labels: Tensor, change: Tensor) -> Tensor:
        places, is_here = here.slice.places(labels)
        return _AddOwn.apply(values, change, places.unsqueeze(1), is_here.unsqueeze(1))

    return call


@sliced("pick")
def pick(options: Options, mode: Mode, here: Here):
    """The value at its own identity, wherever that is: (N, C) and (N,) -> (N,)."""
    options.ignore("axis", "mode")
    is_kept = options.flag("keepdims", False)

    def call(values: Tensor, labels: Tensor) -> Tensor:
        places, is_here = here.slice.places(labels)
        found = values.gather(1, places.unsqueeze(1)).squeeze(1)
        found = summed(torch.where(is_here, found, torch.zeros_like(found)), here.together)
        return found.unsqueeze(1) if is_kept else found

    return call


@sliced("take")
def take(options: Options, mode: Mode, here: Here):
    """The rows of these identities, wherever they are: (C, D) and (N,) -> (N, D)."""
    options.ignore("axis", "mode")

    def call(rows: Tensor, labels: Tensor) -> Tensor:
        places, is_here = here.slice.places(labels)
        found = rows.index_select(0, places)
        is_here = is_here.reshape(-1, *[1] * (rows.ndim - 1))
        return summed(torch.where(is_here, found, torch.zeros_like(found)), here.together)

    return call


@sliced("argmax")
def argmax(options: Options, mode: Mode, here: Here):
    """The first identity with the largest value, as a float."""
    options.ignore("axis")
    is_kept = options.flag("keepdims", False)

    def call(values: Tensor) -> Tensor:
        with torch.no_grad():
            largest, places = values.max(dim=1)
            peak = here.together.max(largest.clone())
            nearest = here.together.min(_nearest(here, largest, places, peak))
            found = nearest.to(values.dtype)
        return found.unsqueeze(1) if is_kept else found

    return call


def _nearest(here: Here, largest: Tensor, places: Tensor, peak: Tensor) -> Tensor:
    return torch.where(largest == peak, here.slice.identities(places), NOBODY)


def _total(name: str) -> Maker:
    def make(options: Options, mode: Mode, here: Here):
        axes, is_kept = options.integers("axis"), options.flag("keepdims", False)
        count = options.integer("rows") if name == "mean" else 1
        options.ignore("rows", "exclude")

        def call(values: Tensor) -> Tensor:
            total = summed(values.sum(dim=axes, keepdim=is_kept), here.together)
            return total / count

        return call

    return make


sliced("sum")(_total("sum"))
sliced("mean")(_total("mean"))


def _completed(logits: Tensor, here: Here) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return exp(logits - peak) and, over all slices, the peak (N, 1) and the sum (N, 1) of these.

    And the nearest identity, as in Here.
    """
    largest, places = logits.max(dim=1)
    peak = here.together.max(largest.clone())
    nearest = _nearest(here, largest, places, peak)
    peak = peak.unsqueeze(1)
    powers = torch.sub(logits, peak).exp_()
    return powers, peak, here.together.sum(powers.sum(dim=1, keepdim=True)), nearest


class _LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, here: Here) -> Tensor:
        _, peak, total, _ = _completed(logits, here)
        found = logits - (peak + total.log())
        ctx.save_for_backward(found)
        ctx.together = here.together
        return found

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (found,) = ctx.saved_tensors
        total = ctx.together.sum(gradient.sum(dim=1, keepdim=True))
        return gradient - found.exp() * total, None


@sliced("log_softmax")
def log_softmax(options: Options, mode: Mode, here: Here):
    options.ignore("axis", "dtype")
    if options.number("temperature", 1) != 1 or options.flag("use_length", False):
        raise options.refusal("softmax with a temperature or lengths")
    return lambda logits: _LogSoftmax.apply(logits, here)


class _SlicedSoftmax(torch.autograd.Function):
    """SoftmaxOutput, of which no process has all probabilities.

    Gives their normaliser, log sum exp (N,), in their place; it is finite if all logits are.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, label: Tensor, factor: Callable, here: Here) -> Tensor:
        powers, peak, total, here.nearest = _completed(logits, here)
        ctx.probabilities = powers.div_(total)
        ctx.places = here.slice.places(label)
        ctx.factor = factor(label)
        return (peak + total.log()).squeeze(1)

    @staticmethod
    def backward(ctx, _: Tensor):
        gradient, (places, is_here) = ctx.probabilities, ctx.places
        del ctx.probabilities
        own = -is_here.to(gradient.dtype)
        gradient.scatter_add_(1, places.unsqueeze(1), own.unsqueeze(1))
        return gradient.mul_(ctx.factor), None, None, None


@sliced("SoftmaxOutput")
def softmax_output(options: Options, mode: Mode, here: Here) -> Computed:
    scale, kind = float(options.number("grad_scale", 1)), normalization(options)
    ignored, is_ignoring = options.integer("ignore_label", -1), options.flag("use_ignore", False)
    for name in ("multi_output", "preserve_shape", "out_grad"):
        if options.flag(name, False):
            raise options.refusal(f"a softmax with {name}")
    if options.number("smooth_alpha", 0):
        raise options.refusal("a smoothed label")

    def factor(label: Tensor) -> Tensor:
        """Return by what p - onehot is multiplied, (N, 1)."""
        is_valid = (label.long() != ignored).to(torch.float32).unsqueeze(1)
        found = is_valid * scale if is_ignoring else torch.full_like(is_valid, scale)
        if kind == "valid":
            return found / is_valid.sum().clamp(min=1)
        return found / len(label) if kind == "batch" else found

    return Computed(
        lambda logits, label: _SlicedSoftmax.apply(logits, label, factor, here), is_loss=True
    )


class _Counted(torch.autograd.Function):
    """A value that all processes have; its gradient is the whole one on one of them, else 0."""

    @staticmethod
    def forward(ctx, value: Tensor, is_counted: bool) -> Tensor:
        ctx.is_counted = is_counted
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient if ctx.is_counted else torch.zeros_like(gradient), None


@sliced("MakeLoss")
def counted_loss(options: Options, mode: Mode, here: Here) -> Computed:
    made = make_loss(options, mode)
    return Computed(lambda value: made.call(_Counted.apply(value, here.is_own)), is_loss=True)
