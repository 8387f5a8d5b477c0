"""The operators that cut a tensor or pad it."""

from __future__ import annotations

import torch
from torch import Tensor
import torch.nn.functional as F

from ..checkpoints.options import Options
from .arithmetic import axis_of
from .table import Mode, operator


@operator("slice_axis")
def slice_axis(options: Options, mode: Mode):
    axis, begin = options.integer("axis"), options.integer("begin")
    end = options.integer("end", None)
    return lambda x: cut(x, axis_of(axis, x.ndim), begin, end)


@operator("slice")
def slice_(options: Options, mode: Mode):
    """Cut the first axes, as many as there are numbers."""
    begin, end = options.places("begin"), options.places("end")
    steps = options.places("step") or (1,) * len(begin)
    if not len(begin) == len(end) == len(steps) or 0 in steps:
        raise options.refusal(f"begin {begin} with end {end} and step {steps}")

    def call(x: Tensor) -> Tensor:
        for axis, (first, last, step) in enumerate(zip(begin, end, steps, strict=True)):
            x = cut(x, axis, first, last, 1 if step is None else step)
        return x

    return call


@operator("slice_like", inputs=2)
def slice_like(options: Options, mode: Mode):
    """Cut as many of the first values along the axes, or along all, as the other tensor has."""
    axes = options.integers("axes", ())

    def call(x: Tensor, other: Tensor) -> Tensor:
        if not axes and other.ndim != x.ndim:
            raise ValueError(f"a cut of {x.ndim} axes like {other.ndim}")
        for axis in axes or range(x.ndim):
            place = axis_of(axis, x.ndim)
            x = cut(x, place, 0, other.shape[axis_of(place, other.ndim)])
        return x

    return call


def cut(x: Tensor, axis: int, begin: int | None, end: int | None, step: int = 1) -> Tensor:
    """Return the values from begin on, without end, by Python's rules.

    Raises ValueError where nothing is left, and for a place outside the axis.
    """
    size = x.shape[axis]
    places = range(*slice(begin, end, step).indices(size))
    if not places or any(p is not None and abs(p) > size for p in (begin, end)):
        raise ValueError(f"a cut from {begin} to {end} out of {size}")
    if step == 1:
        return x.narrow(axis, places.start, len(places))
    return x.index_select(axis, torch.tensor(places, device=x.device))


PADDINGS = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}


@operator("Pad")
def pad(options: Options, mode: Mode):
    """pad_width: before and after each axis in turn; those of images and channels are 0."""
    kind, filling = options.word("mode"), float(options.number("constant_value", 0))
    width = options.integers("pad_width")
    if kind not in PADDINGS:
        raise options.refusal(f"mode {kind}")
    if len(width) not in (8, 10) or min(width) < 0 or any(width[:4]):
        raise options.refusal(f"padding by {width}")
    # torch counts the axes from the last.
    pads = [n for axis in range(len(width) // 2 - 1, 1, -1) for n in width[2 * axis : 2 * axis + 2]]

    def call(x: Tensor) -> Tensor:
        if 2 * x.ndim != len(width):
            raise ValueError(f"padding of {len(width) // 2} axes")
        return F.pad(x, pads, PADDINGS[kind], filling if kind == "constant" else None)

    return call
