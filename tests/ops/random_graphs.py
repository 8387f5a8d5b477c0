"""Random graphs of the operators that networks are made of, the same ones for the same seed.

    graph = RandomGraph(seed)
    graph.symbol       as a network is built, of stock operators
    graph.reference    the same for float64, PReLU spelled out, since the gradient of its slope is
                       wrong in MXNet 1.9.1 wherever it is computed in place; it has more
                       arguments, "ones...", which are to be ones
    graph.shapes       of the inputs, "data" and perhaps "other"
    graph.kinks        where a gradient jumps: PReLUs, ReLUs and max-poolings

Images are small and channels few and odd, so that hundreds of graphs run in a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mxnet as mx
import numpy as np

CHANNELS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 16, 17, 24, 32)
KERNELS = ((1, 1), (3, 3), (3, 3), (2, 2), (5, 5), (3, 1), (1, 4))
STRIDES = ((1, 1), (1, 1), (2, 2), (2, 1))
PADS = ((0, 0), (1, 1), (1, 1), (2, 2), (1, 0))
USES = (7, 8, 9)  # about rewrite.SUMMED_AT_ONCE
FEWEST_VALUES = 12  # of a channel that a BatchNorm may be given: with fewer, rounding decides
GLOBAL = {"global_pool": True, "kernel": (1, 1)}
LARGEST = 6_000  # numbers in an array

ONES = "ones"

STEPS = ("convolution", "pointwise", "depthwise", "confusable", "dense", "norm", "active", "pool")
STEPS += ("dropout", "add", "concat", "scale", "fan", "mobile")
# How often each step is drawn, beside all others: as in MobileNets, DenseNets and ResNets.
MOBILE = {"mobile": 10, "pointwise": 1, "norm": 1, "active": 1, "add": 1}
DENSE = {"pointwise": 5, "dropout": 5, "norm": 5, "active": 5, "concat": 3}
RESIDUAL = {"convolution": 6, "norm": 7, "active": 5, "add": 2, "pool": 1}
PROFILES = (MOBILE, MOBILE, MOBILE, DENSE, RESIDUAL, {})


@dataclass(frozen=True)
class Value:
    """An array of the graph: its symbol, its counterpart in the reference, and its shape."""

    symbol: mx.sym.Symbol
    reference: mx.sym.Symbol
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Kink:
    """An operator of the reference whose gradient jumps.  pool: its window, if it has one."""

    name: str  # of the output of the reference that is its input
    pool: dict | None = None


class RandomGraph:
    """The graph of a seed.

    trains: whether a training pass can be compared: there is no Dropout that drops.
    """

    def __init__(self, seed: int):
        self.seed, self.shapes, self.kinks = seed, {}, []
        self.rng = np.random.RandomState(seed)
        self.trains = self._chance(0.8)
        self._values: list[Value] = []
        self._shared: dict[tuple, Value] = {}  # the last variable of each kind and shape
        self._count = 0
        size = (self.rng.randint(4, 12), self.rng.randint(4, 12))
        self._input("data", (self._pick((1, 2, 3, 4, 7)), self._pick((1, 2, 3, 5, 8)), *size))
        profile = self._pick(PROFILES)
        odds = np.array([0.2 + profile.get(step, 0) for step in STEPS])
        for step in self.rng.choice(STEPS, size=self.rng.randint(4, 14), p=odds / odds.sum()):
            getattr(self, f"_{step}")(self._recent())
        if self._chance(0.4):
            for step in (self._dense, self._norm, self._active):
                step(self._values[-1])
        heads = [self._values[-1], *(self._recent() for _ in range(self._pick((0, 0, 1, 2))))]
        self.symbol = mx.sym.Group([head.symbol for head in heads])
        self.reference = mx.sym.Group([head.reference for head in heads])
        arguments = self.symbol.list_arguments()
        self.shapes = {name: shape for name, shape in self.shapes.items() if name in arguments}
        inside = set(self.reference.get_internals().list_outputs())
        self.kinks = [kink for kink in self.kinks if kink.name in inside]

    # What the steps are made of.

    def _pick(self, choices):
        return choices[self.rng.randint(len(choices))]

    def _chance(self, probability: float) -> bool:
        return self.rng.rand() < probability

    def _recent(self) -> Value:
        """Return the last value, or now and then an older one."""
        if self._chance(0.75):
            return self._values[-1]
        return self._pick(self._values)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _input(self, name: str, shape: tuple[int, ...]) -> Value:
        self.shapes[name] = shape
        value = Value(mx.sym.Variable(name), mx.sym.Variable(name), shape)
        self._values.append(value)
        return value

    def _variable(self, name: str, kind: str, shape: tuple[int, ...]) -> Value:
        """Return a parameter, new or shared with another operator; its shape is to be inferred."""
        if (kind, shape) in self._shared and self._chance(0.3):
            return self._shared[kind, shape]
        stated = {"shape": shape} if 1 in shape or self._chance(0.1) else {}
        symbol, reference = mx.sym.Variable(name, **stated), mx.sym.Variable(name, shape=shape)
        if self._chance(0.03):  # computed by an operator: ours do not take it
            symbol, reference = mx.sym.identity(symbol), mx.sym.identity(reference)
        self._shared[kind, shape] = Value(symbol, reference, shape)
        return self._shared[kind, shape]

    def _apply(self, make: Callable, inputs: list[Value], kind: str, **attrs) -> Value:
        """Add the value of one operator, the same in both graphs."""
        name = self._name(kind)
        symbol = make(*(value.symbol for value in inputs), name=name, **attrs)
        reference = make(*(value.reference for value in inputs), name=name, **attrs)
        known = set(reference.list_arguments()) & set(self.shapes)
        _, (shape, *_), _ = reference.infer_shape(**{name: self.shapes[name] for name in known})
        return self._append(symbol, reference, shape)

    def _append(self, symbol, reference, shape: tuple[int, ...]) -> Value:
        self._values.append(Value(symbol, reference, shape))
        return self._values[-1]

    # The steps, each with the value to go on from.  One that does not fit adds nothing.

    def _convolution(self, data: Value, kernel=None, groups=None, filters=None) -> None:
        if len(data.shape) != 4:
            return
        channels, *size = data.shape[1:]
        filters = filters or self._pick(CHANNELS)
        if groups is None:
            divisors = [g for g in range(1, filters + 1) if not filters % g and not channels % g]
            groups = 1 if self._chance(0.6) else self._pick(divisors)
        # Mostly as ours may take the place of: nothing about a 1x1 kernel, and all of it square.
        plain = groups == 1 and kernel == (1, 1) and self._chance(0.8)
        square = kernel and self._chance(0.8)
        kernel = kernel or self._pick(KERNELS)
        stride = (1, 1) if plain else self._pick(STRIDES[:3] if square else STRIDES)
        pad = (0, 0) if plain else self._pick(PADS[:4] if square else PADS)
        dilate = (2, 2) if self._chance(0.1) else (1, 1)
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilate, strict=True)]
        if any(s + 2 * p < r for s, p, r in zip(size, pad, reach, strict=True)):
            return
        sizes = [
            (s + 2 * p - r) // t + 1 for s, p, r, t in zip(size, pad, reach, stride, strict=True)
        ]
        if data.shape[0] * filters * np.prod(sizes) > LARGEST:
            return
        name = self._name("conv")
        weight = self._variable(f"{name}_weight", "weight", (filters, channels // groups, *kernel))
        # In float64 MXNet's 1x1 convolution does not add to a gradient: no two read one entry.
        apart = data.reference * mx.sym.Variable(self._name(ONES), shape=data.shape)
        inputs = [Value(data.symbol, apart, data.shape), weight]
        no_bias = self._chance(0.8)
        if not no_bias:
            inputs.append(self._variable(f"{name}_bias", "bias", (filters,)))
        self._apply(
            mx.sym.Convolution,
            inputs,
            "conv",
            num_filter=filters,
            kernel=kernel,
            stride=stride,
            pad=pad,
            dilate=dilate,
            num_group=groups,
            no_bias=no_bias,
        )

    def _mobile(self, data: Value) -> None:
        """A 1x1 or depthwise convolution, BatchNorm and activation, or most of that."""
        first = self._pick((self._pointwise, self._depthwise))
        for step in (first, self._norm, self._active):
            if self._chance(0.9):
                step(data)
                data = self._values[-1]

    def _pointwise(self, data: Value) -> None:
        self._convolution(data, kernel=(1, 1), groups=1)

    def _depthwise(self, data: Value) -> None:
        if len(data.shape) == 4:
            kernel = self._pick(((1, 1), (3, 3), (3, 3), (5, 5), None))
            self._convolution(data, kernel, groups=data.shape[1], filters=data.shape[1])

    def _confusable(self, data: Value) -> None:
        """A convolution of as many groups as filters, but of more channels: not depthwise."""
        if len(data.shape) == 4:
            filters = self._pick((2, 3, 4))
            if data.shape[1] % filters:
                self._convolution(data, kernel=(1, 1), groups=1, filters=filters * 2)
                data = self._values[-1]
            if len(data.shape) == 4 and not data.shape[1] % filters:
                self._convolution(data, groups=filters, filters=filters)

    def _dense(self, data: Value) -> None:
        name, hidden = self._name("fc"), self._pick((2, 3, 5, 8))
        weight = self._variable(f"{name}_weight", "weight", (hidden, int(np.prod(data.shape[1:]))))
        bias = self._variable(f"{name}_bias", "bias", (hidden,))
        self._apply(mx.sym.FullyConnected, [data, weight, bias], "fc", num_hidden=hidden)

    def _norm(self, data: Value) -> None:
        if np.prod(data.shape) // data.shape[1] < FEWEST_VALUES:
            return
        name, shape = self._name("bn"), data.shape[1:2]
        # MXNet writes 1 into a fixed gamma, which must not be shared with one that is free.
        fixed = self._chance(0.15)
        kind = "fixed" if fixed else "gamma"
        gamma = self._variable(f"{name}_{kind}", kind, shape)
        beta = self._variable(f"{name}_beta", "beta", shape)
        states = [
            Value(mx.sym.Variable(full), mx.sym.Variable(full, shape=shape), shape)
            for full in (f"{name}_moving_mean", f"{name}_moving_var")
        ]
        self._apply(
            mx.sym.BatchNorm,
            [data, gamma, beta, *states],
            "bn",
            fix_gamma=fixed,
            use_global_stats=self._chance(0.1),
            eps=self._pick((1e-3, 2e-5, 1e-2)),
            momentum=self._pick((0.9, 0.5)),
        )

    def _active(self, data: Value) -> None:
        kind = self._pick(("prelu", "prelu", "prelu", "relu", "relu", "sigmoid", "tanh"))
        if kind == "prelu":
            self._prelu(data)
            return
        if kind == "relu":
            self.kinks.append(Kink(_output(data)))
        self._apply(mx.sym.Activation, [data], kind, act_type=kind)

    def _prelu(self, data: Value) -> None:
        name = self._name("prelu")
        shape = (1,) if self._chance(0.15) else data.shape[1:2]
        slope = self._variable(f"{name}_gamma", "slope", shape)
        self.kinks.append(Kink(_output(data)))
        symbol = mx.sym.LeakyReLU(data.symbol, slope.symbol, act_type="prelu", name=name)
        wide = mx.sym.Reshape(slope.reference, shape=(1, -1, *[1] * (len(data.shape) - 2)))
        scaled = mx.sym.broadcast_mul(data.reference, wide)
        reference = mx.sym.where(data.reference > 0, data.reference, scaled, name=name)
        self._append(symbol, reference, data.shape)

    def _pool(self, data: Value) -> None:
        if len(data.shape) != 4:
            return
        if self._chance(0.3):
            self._apply(mx.sym.Pooling, [data], "pool", pool_type="avg", **GLOBAL)
            return
        kind = self._pick(("max", "avg"))
        window = {"kernel": self._pick(((2, 2), (3, 3), (2, 1))), "stride": self._pick(STRIDES)}
        window["pad"] = self._pick(((0, 0), (0, 0), (1, 0)))
        if any(s < k for s, k in zip(data.shape[2:], window["kernel"], strict=True)):
            return
        if kind == "max":
            self.kinks.append(Kink(_output(data), window))
        self._apply(mx.sym.Pooling, [data], "pool", pool_type=kind, **window)

    def _dropout(self, data: Value) -> None:
        p = 0.0 if self.trains else self._pick((0.2, 0.5))
        self._apply(mx.sym.Dropout, [data], "drop", p=p)

    def _add(self, data: Value) -> None:
        others = [value for value in self._values if value.shape == data.shape]
        other = self._pick(others)
        if "other" not in self.shapes and self._chance(0.2):
            other = self._input("other", data.shape)
        how = self._pick((mx.sym.elemwise_add, mx.sym.elemwise_add, mx.sym.elemwise_mul))
        self._apply(how, [data, other], "sum")

    def _concat(self, data: Value) -> None:
        others = [
            value
            for value in self._values
            if len(value.shape) == len(data.shape)
            and value.shape[0] == data.shape[0]
            and value.shape[2:] == data.shape[2:]
        ]
        parts = [data, *(self._pick(others) for _ in range(self.rng.randint(1, 3)))]
        channels = [part.shape[1] for part in parts]
        # oneDNN divides by zero where the sum fits into its blocks and the parts do not.
        fits = sum(channels) % 8 or not any(c % 16 for c in channels)
        if fits and np.prod(data.shape) // data.shape[1] * sum(channels) < LARGEST:
            self._apply(mx.sym.Concat, parts, "cat", dim=1)

    def _scale(self, data: Value) -> None:
        """What changes little: copies, reshapes, a parameter added, squeeze and excitation."""
        kind = self._pick(("same", "plus", "shaped", "gate", "stop"))
        if kind == "same":
            self._apply(mx.sym.identity, [data], kind)
        elif kind == "plus":
            offset = self._variable(self._name("offset"), "offset", (1,) * len(data.shape))
            self._apply(mx.sym.broadcast_add, [data, offset], kind)
        elif kind == "shaped":
            shape = (0, 0, -1, 1) if len(data.shape) == 4 else (0, 0, 1, 1)
            self._apply(mx.sym.Reshape, [data], kind, shape=shape)
        elif kind == "gate" and len(data.shape) == 4:
            squeezed = self._apply(mx.sym.Pooling, [data], "squeeze", pool_type="avg", **GLOBAL)
            gate = self._apply(mx.sym.Activation, [squeezed], kind, act_type="sigmoid")
            self._apply(mx.sym.broadcast_mul, [data, gate], "gated")
        elif kind == "stop" and self._chance(0.2):
            self._apply(mx.sym.BlockGrad, [data], kind)

    def _fan(self, data: Value) -> None:
        """Many uses of one entry, perhaps by way of equal nodes, which MXNet makes one of."""
        entries = [data]
        if self._chance(0.3):
            entries = [
                self._apply(mx.sym.Activation, [data], "twin", act_type="tanh") for _ in range(2)
            ]
        step = self._pick((self._prelu, self._prelu, self._norm, self._same_size, self._active))
        total = None
        for number in range(self._pick(USES)):
            before = self._values[-1]
            step(entries[number % len(entries)])
            end = self._values[-1]
            if total is None:
                total = end
            elif end is not before and end.shape == total.shape:
                total = self._apply(mx.sym.elemwise_add, [total, end], "sum")

    def _same_size(self, data: Value) -> None:
        """A 1x1 convolution to as many channels."""
        if len(data.shape) == 4:
            self._convolution(data, kernel=(1, 1), groups=1, filters=data.shape[1])


def _output(value: Value) -> str:
    return value.reference.list_outputs()[0]
