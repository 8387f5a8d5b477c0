"""The operators that compute value by value, and the reductions, with MXNet's gradients at ties."""

from __future__ import annotations

from collections.abc import Callable
import operator as python

import torch
from torch import Tensor

from ..checkpoints.options import Options
from .table import Mode, operator

OF_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "_copy": lambda x: x,
    "BlockGrad": torch.Tensor.detach,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "square": lambda x: x * x,  # the bits of torch.square, whose gradient costs more
    "reciprocal": torch.reciprocal,
    "exp": torch.exp,
    "log": torch.log,
    "abs": torch.abs,
    "sign": torch.sign,
    "negative": torch.neg,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "arcsin": torch.arcsin,
    "arccos": torch.arccos,
    "arctan": torch.arctan,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "ones_like": torch.ones_like,
    "zeros_like": torch.zeros_like,
}


def larger(left: Tensor, right: Tensor | float) -> Tensor:
    """Of two that are equal the left one gets the gradient; what is no number stays none."""
    return torch.where((left >= right) | left.isnan(), left, right)


def smaller(left: Tensor, right: Tensor | float) -> Tensor:
    return torch.where((left <= right) | left.isnan(), left, right)


def remainder(left: Tensor, right: Tensor | float) -> Tensor:
    """Of a division by 0 it is 0, with the gradient of any other."""
    found = torch.remainder(left, right)
    is_zero = torch.as_tensor(right, device=found.device) == 0
    return torch.where(is_zero, left - left.detach(), found)


def _compare(compare: Callable) -> Callable[..., Tensor]:
    """Return a comparison that gives 1 and 0 in the type of what is compared."""
    return lambda left, right: compare(left, right).to(left.dtype)


# Beside the published words of each: the function of two tensors.
OF_TWO = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "mod": remainder,
    "power": torch.pow,
    "maximum": larger,
    "minimum": smaller,
    "equal": _compare(python.eq),
    "not_equal": _compare(python.ne),
    "greater": _compare(python.gt),
    "greater_equal": _compare(python.ge),
    "lesser": _compare(python.lt),
    "lesser_equal": _compare(python.le),
}
ELEMWISE = ("add", "sub", "mul", "div")  # "elemwise_add", where others are "_maximum"


def _plain(call: Callable) -> Callable:
    return lambda options, mode: call


def _of_same_shape(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """MXNet does not broadcast there."""

    def checked(left: Tensor, right: Tensor) -> Tensor:
        if left.shape != right.shape:
            raise ValueError("operands of different shapes")
        return call(left, right)

    return checked


for _name, _call in OF_ONE.items():
    operator(_name)(_plain(_call))
for _name, _call in OF_TWO.items():
    _same = f"elemwise_{_name}" if _name in ELEMWISE else f"_{_name}"
    operator(_same, inputs=2)(_plain(_of_same_shape(_call)))
    operator(f"broadcast_{_name}", inputs=2)(_plain(_call))

# operator: function of the tensor and the number
WITH_SCALAR = {
    "_plus_scalar": torch.add,
    "_minus_scalar": torch.sub,
    "_rminus_scalar": lambda x, number: number - x,
    "_mul_scalar": torch.mul,
    "_div_scalar": torch.div,
    "_rdiv_scalar": lambda x, number: number / x,
    "_power_scalar": torch.pow,
    "_rpower_scalar": lambda x, number: number**x,
    "_mod_scalar": remainder,
    "_maximum_scalar": larger,
    "_minimum_scalar": smaller,
    "_equal_scalar": _compare(python.eq),
    "_not_equal_scalar": _compare(python.ne),
    "_greater_scalar": _compare(python.gt),
    "_greater_equal_scalar": _compare(python.ge),
    "_lesser_scalar": _compare(python.lt),
    "_lesser_equal_scalar": _compare(python.le),
}


def _scalar_maker(call: Callable) -> Callable:
    def make(options: Options, mode: Mode):
        options.ignore("is_int")  # of the number as it was written
        number = float(options.number("scalar"))
        return lambda x: call(x, number)

    return make


for _name, _call in WITH_SCALAR.items():
    operator(_name)(_scalar_maker(_call))


@operator("clip")
def clip(options: Options, mode: Mode):
    """A value at a limit still gets its gradient."""
    low, high = (float(options.number(key)) for key in ("a_min", "a_max"))
    if not low <= high:
        raise options.refusal(f"a_min {low:g} with a_max {high:g}")
    return lambda x: torch.clamp(x, low, high)


@operator("add_n", inputs=None)
def add_n(options: Options, mode: Mode):
    options.ignore("num_args")

    def call(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            if other.shape != first.shape:
                raise ValueError("operands of different shapes")
            first = first + other
        return first

    return call


@operator("where", inputs=3)
def where(options: Options, mode: Mode):
    """A condition of one axis chooses rows."""

    def call(condition: Tensor, left: Tensor, right: Tensor) -> Tensor:
        if condition.ndim == 1:
            condition = condition.reshape(-1, *[1] * (left.ndim - 1))
        elif condition.shape != left.shape:
            raise ValueError("a condition of another shape")
        if left.shape != right.shape or len(condition) != len(left):
            raise ValueError("operands of different shapes")
        return torch.where(condition != 0, left, right)

    return call


class _Extreme(torch.autograd.Function):
    """The largest or smallest value; every one that equals it gets the whole gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, axes: list[int], find: Callable) -> Tensor:
        found = find(x, dim=axes, keepdim=True)
        ctx.save_for_backward(x, found)
        return found

    @staticmethod
    def backward(ctx, gradient: Tensor):
        x, found = ctx.saved_tensors
        return gradient * (x == found), None, None


def _norm(x: Tensor, axes: list[int]) -> Tensor:
    return torch.sqrt((x * x).sum(dim=axes, keepdim=True))


# Of a tensor and its axes, which are kept with length 1.
REDUCTIONS = {
    "sum": lambda x, axes: x.sum(dim=axes, keepdim=True),
    "mean": lambda x, axes: x.mean(dim=axes, keepdim=True),
    "max": lambda x, axes: _Extreme.apply(x, axes, torch.amax),
    "min": lambda x, axes: _Extreme.apply(x, axes, torch.amin),
    "norm": _norm,
}


def _reduction(name: str, reduce: Callable) -> Callable:
    def make(options: Options, mode: Mode):
        given, is_kept = options.integers("axis", ()), options.flag("keepdims", False)
        is_excluding = name != "norm" and options.flag("exclude", False)
        if name == "norm" and options.integer("ord", 2) != 2:
            raise options.refusal("a norm of another order than 2")

        def call(x: Tensor) -> Tensor:
            axes = sorted(axis_of(axis, x.ndim) for axis in given) or list(range(x.ndim))
            if len(set(axes)) < len(axes):
                raise ValueError(f"an axis twice among {given}")
            if is_excluding and given:
                axes = [axis for axis in range(x.ndim) if axis not in axes]
            if not axes:
                return x
            found = reduce(x, axes)
            if is_kept:
                return found
            left = [size for axis, size in enumerate(x.shape) if axis not in axes]
            return never_scalar(found.reshape(left))

        return call

    return make


def never_scalar(x: Tensor) -> Tensor:
    """() is (1,) in MXNet."""
    return x if x.ndim else x.reshape(1)


def axis_of(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank


for _name, _call in REDUCTIONS.items():
    operator(_name)(_reduction(_name, _call))


def _turned(options: Options) -> tuple[bool, bool]:
    options.ignore("forward_stype")
    return options.flag("transpose_a", False), options.flag("transpose_b", False)


@operator("dot", inputs=2)
def dot(options: Options, mode: Mode):
    """The last axis of the left with the first of the right."""
    left_turned, right_turned = _turned(options)

    def call(left: Tensor, right: Tensor) -> Tensor:
        if left_turned or right_turned:
            if left.ndim != 2 or right.ndim != 2:
                raise ValueError("transposed operands that are no matrices")
            left, right = left.T if left_turned else left, right.T if right_turned else right
        if left.shape[-1] != right.shape[0]:
            raise ValueError("operands of different lengths")  # torch repeats one of length 1
        found = torch.tensordot(left, right, dims=1)
        return never_scalar(found)

    return call


@operator("batch_dot", inputs=2)
def batch_dot(options: Options, mode: Mode):
    left_turned, right_turned = _turned(options)

    def call(left: Tensor, right: Tensor) -> Tensor:
        left = left.transpose(1, 2) if left_turned else left
        return torch.bmm(left, right.transpose(1, 2) if right_turned else right)

    return call
