"""The operators that reshape, join, split and look up, out of range by MXNet's rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math

import torch
from torch import Tensor
import torch.nn.functional as F

from ..checkpoints.options import Options
from .arithmetic import axis_of, never_scalar
from .table import Mode, operator

TYPES = {
    "float16": torch.float16, "float64": torch.float64, "int32": torch.int32,
    "int64": torch.int64, "uint8": torch.uint8,
}  # fmt: skip


def dtype_of(options: Options, mode: Mode) -> torch.dtype:
    word = options.word("dtype", "float32")
    if word not in TYPES and word != "float32":
        raise options.refusal(f"dtype {word}")
    return TYPES.get(word, mode.single)


@operator("Cast")
def cast(options: Options, mode: Mode):
    dtype = dtype_of(options, mode)
    return lambda x: x.to(dtype)


@operator("Flatten")
def flatten(options: Options, mode: Mode):
    return lambda x: x.flatten(1)


@operator("Reshape")
def reshape(options: Options, mode: Mode):
    codes, is_reverse = options.integers("shape", ()), options.flag("reverse", False)
    options.ignore("keep_highest", "target_shape")
    if not codes:
        raise options.refusal("a shape that is left out")
    if is_reverse:

        def backwards(x: Tensor) -> Tensor:
            # MXNet turns the codes round, so that -4 has its two numbers before it.
            turned = reshaped(tuple(x.shape[::-1]), _turned(codes))
            return x.reshape(turned[::-1])

        return backwards
    return lambda x: x.reshape(reshaped(tuple(x.shape), codes))


def _turned(codes: Sequence[int]) -> list[int]:
    """Return the codes from the last on; what stands behind a -4 stays behind it."""
    groups: list[list[int]] = []
    place = 0
    while place < len(codes):
        width = 3 if codes[place] == -4 else 1
        group = list(codes[place : place + width])
        groups.append([-4, *group[:0:-1]] if width == 3 else group)
        place += width
    return [code for group in reversed(groups) for code in group]


def reshaped(given: tuple[int, ...], codes: Sequence[int]) -> list[int]:
    """Return the shape that MXNet's codes make of a given one.

    A positive number is a size; 0 keeps the next one, -1 is what is left, -2 keeps all others,
    -3 joins two, -4 splits one into the two numbers behind it, of which one may be -1.
    """
    wanted: list[int] = []
    place = code = 0
    while code < len(codes):
        kind = codes[code]
        if kind in (0, -3, -4) and place + (kind == -3) >= len(given):
            raise ValueError(f"shape {tuple(codes)} of {given}")
        if kind >= 0 or kind == -1:
            wanted.append(given[place] if kind == 0 else kind)
            place += 1
        elif kind == -2:
            wanted += given[place:]
            place = len(given)
        elif kind == -3:
            wanted.append(given[place] * given[place + 1])
            place += 2
        elif kind == -4:
            parts = list(codes[code + 1 : code + 3])
            if len(parts) < 2:
                raise ValueError(f"shape {tuple(codes)} ends within -4")
            if -1 in parts:
                parts[parts.index(-1)] = given[place] // abs(math.prod(parts))
            if math.prod(parts) != given[place]:
                raise ValueError(f"shape {tuple(codes)} of {given}")
            wanted += parts
            place, code = place + 1, code + 2
        else:
            raise ValueError(f"shape {tuple(codes)} with the code {kind}")
        code += 1
    if -1 in wanted:
        left = wanted.index(-1)
        others = math.prod(wanted[:left] + wanted[left + 1 :])
        wanted[left] = math.prod(given) // others if others else 0
    if min(wanted, default=1) < 1 or math.prod(wanted) != math.prod(given):
        raise ValueError(f"shape {tuple(codes)} of {given}")
    return wanted


@operator("expand_dims")
def expand_dims(options: Options, mode: Mode):
    axis = options.integer("axis")
    return lambda x: x.unsqueeze(axis)


@operator("SwapAxis")
def swap_axis(options: Options, mode: Mode):
    first, second = options.integer("dim1", 0), options.integer("dim2", 0)
    return lambda x: x.transpose(first, second)


@operator("transpose")
def transpose(options: Options, mode: Mode):
    axes = options.integers("axes", ())
    return lambda x: x.permute(axes or tuple(range(x.ndim))[::-1])


@operator("Concat", inputs=None)
def concat(options: Options, mode: Mode):
    axis = options.integer("dim", 1)
    options.ignore("num_args")
    return lambda *parts: torch.cat(parts, dim=axis)


@operator("stack", inputs=None)
def stack(options: Options, mode: Mode):
    axis = options.integer("axis", 0)
    options.ignore("num_args")
    return lambda *parts: torch.stack(parts, dim=axis)


@operator("SliceChannel")
def slice_channel(options: Options, mode: Mode):
    count, axis = options.integer("num_outputs"), options.integer("axis", 1)
    is_squeezed = options.flag("squeeze_axis", False)

    def call(x: Tensor) -> tuple[Tensor, ...]:
        if x.shape[axis] % count or (is_squeezed and x.shape[axis] != count):
            raise ValueError(f"an axis of {x.shape[axis]} in {count} parts")
        if is_squeezed:
            return x.unbind(axis)
        return x.chunk(count, dim=axis)

    return call


@operator("_arange", inputs=0)
def arange(options: Options, mode: Mode):
    start, stop = options.number("start", 0), options.number("stop", None)
    step, repeat = options.number("step", 1), options.integer("repeat", 1)
    dtype = dtype_of(options, mode)
    options.ignore("ctx", "infer_range")
    if stop is None:  # MXNet counts from 0 to start then
        start, stop = 0, start

    def call(*, device: torch.device) -> Tensor:
        numbers = torch.arange(start, stop, step, dtype=dtype, device=device)
        return numbers if repeat == 1 else numbers.repeat_interleave(repeat)

    return call


def _filled(value: float | None) -> Callable:
    def make(options: Options, mode: Mode):
        shape, dtype = options.integers("shape"), dtype_of(options, mode)
        number = float(options.number("value")) if value is None else value
        options.ignore("ctx")
        return lambda *, device: torch.full(shape, number, dtype=dtype, device=device)

    return make


for _name, _value in {"_zeros": 0.0, "_ones": 1.0, "_full": None}.items():
    operator(_name, inputs=0)(_filled(_value))


@operator("argmax")
def argmax(options: Options, mode: Mode):
    """Return the first place of the largest, as a float."""
    axis, is_kept = options.integer("axis"), options.flag("keepdims", False)
    return lambda x: never_scalar(x.argmax(dim=axis, keepdim=is_kept)).to(x.dtype)


def _places(options: Options) -> Callable[[Tensor, int], Tensor]:
    """Return what makes indices 0..size-1 of floats: cut off, then clipped or wrapped."""
    kind = options.word("mode", "clip")
    if kind not in ("clip", "wrap"):
        raise options.refusal(f"mode {kind}")
    if kind == "wrap":
        return lambda index, size: index.long().remainder(size)
    return lambda index, size: index.long().clamp(0, size - 1)


@operator("pick", inputs=2)
def pick(options: Options, mode: Mode):
    axis, is_kept, places = (
        options.integer("axis", -1),
        options.flag("keepdims", False),
        _places(options),
    )

    def call(x: Tensor, index: Tensor) -> Tensor:
        index = places(index, x.shape[axis])
        index = index if index.ndim == x.ndim else index.unsqueeze(axis)
        wanted = list(x.shape)
        wanted[axis] = 1
        if list(index.shape) != wanted:
            raise ValueError("not one index for each row")
        found = x.gather(axis, index)
        return found if is_kept else never_scalar(found.squeeze(axis))

    return call


@operator("take", inputs=2)
def take(options: Options, mode: Mode):
    axis, places = options.integer("axis", 0), _places(options)

    def call(x: Tensor, index: Tensor) -> Tensor:
        where = axis_of(axis, x.ndim)
        found = x.index_select(where, places(index, x.shape[where]).reshape(-1))
        return found.reshape(*x.shape[:where], *index.shape, *x.shape[where + 1 :])

    return call


@operator("one_hot")
def one_hot(options: Options, mode: Mode):
    """A number out of range has no 1."""
    depth, dtype = options.integer("depth"), dtype_of(options, mode)
    on, off = float(options.number("on_value", 1)), float(options.number("off_value", 0))

    def call(index: Tensor) -> Tensor:
        numbers = torch.arange(depth, device=index.device)
        is_own = index.long().unsqueeze(-1) == numbers
        if (on, off) == (1.0, 0.0):
            return is_own.to(dtype)
        return torch.where(is_own, on, off).to(dtype)

    return call


@operator("softmax")
def softmax(options: Options, mode: Mode):
    axis = options.integer("axis", -1)
    _check_plain(options)
    return lambda x: F.softmax(x, dim=axis)


@operator("log_softmax")
def log_softmax(options: Options, mode: Mode):
    axis = options.integer("axis", -1)
    _check_plain(options)
    return lambda x: F.log_softmax(x, dim=axis)


@operator("SoftmaxActivation")
def softmax_activation(options: Options, mode: Mode):
    """Over the channels, as far as MXNet 1.9.1 says the same on a CPU and on a GPU."""
    kind = options.word("mode", "instance")
    if kind not in ("instance", "channel"):
        raise options.refusal(f"mode {kind}")

    def call(x: Tensor) -> Tensor:
        if (x.ndim == 2) != (kind == "instance"):
            raise ValueError(f"mode {kind} of {x.ndim} axes")
        return F.softmax(x, dim=1)

    return call


def _check_plain(options: Options) -> None:
    if options.number("temperature", 1) != 1 or options.flag("use_length", False):
        raise options.refusal("softmax with a temperature or lengths")
    options.ignore("dtype")
