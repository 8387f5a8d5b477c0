"""Whether the graphs that fast_graph makes compute what the published one does, in float64.

Compared are outputs, gradients and moving statistics.  What rounding alone decides is set apart:
where the input of a PReLU or ReLU is that near to zero, or two values of a max-pooling that near
to each other, a gradient may jump.  Then other arrays are drawn, so that no fault hides there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
import json

from arcface_mxnet.ops import fast_graph
import mxnet as mx
import numpy as np

from tests.ops.random_graphs import ONES, Kink, RandomGraph

CPU = mx.cpu()
OWN = "arcface_"
CLOSE = 2e-4  # of the largest value; float32 rounds to 6e-8, and errors add up
FLOOR = 0.2  # of the largest value of its kind, for arrays that are zero but for rounding
LEAST = 1e-3  # the gradients of the outputs are about 1, and 1 - sigmoid(x) is rounded to 6e-8
NEAR = 2e-5  # of the largest value: points as near to a kink are set apart
ROUGH = 0.02  # so near is stock where rounding decides, or else it is wrong, as MXNet 1.9.1 can be
TIMES_STOCK = 5  # ours may be as many times as far off as stock by rounding
DRAWS = 6

Arrays = dict[str, np.ndarray]
Found = dict[tuple[str, str], np.ndarray]  # by what it is and its name


@dataclass
class Verdict:
    """What was found about a graph.  operators: those of the graphs that were run, with stock."""

    differences: list[str] = field(default_factory=list)
    kinks: int = 0
    stock_is_wrong: bool = False
    graphs: int = 0
    operators: Counter = field(default_factory=Counter)


@dataclass(frozen=True)
class Draw:
    """Arrays for a graph, and how the gradients are asked for."""

    arguments: Arrays
    states: Arrays
    grad_req: dict[str, str]


def judge(graph: RandomGraph) -> Verdict:
    """Return what differs between the graphs that are made of one and its reference."""
    verdict = Verdict()
    for number in range(DRAWS):
        rng = np.random.RandomState((graph.seed, number))
        draw = _draw(graph, rng)
        verdict.differences = [*_differences(graph, draw, verdict)]
        kinks = _count_kinks(graph, draw) if verdict.differences else 0
        if not kinks:
            return verdict
        verdict.kinks += kinks
    verdict.differences.append(f"not decided in {DRAWS} draws: kinks in each")
    return verdict


def _draw(graph: RandomGraph, rng: np.random.RandomState) -> Draw:
    shapes, _, states = graph.reference.infer_shape(**graph.shapes)
    names = graph.reference.list_arguments()
    arguments = {}
    for name, shape in zip(names, shapes, strict=True):
        array = rng.randn(*shape)
        if name.startswith(ONES):
            array = np.ones(shape)
        elif name.endswith("weight"):
            array /= np.sqrt(np.prod(shape[1:]))
        elif name.endswith("gamma"):
            array = 0.3 * array + (0.25 if name.startswith("prelu") else 1)
        arguments[name] = array
    moving = {
        name: rng.rand(*shape) + 0.5 if name.endswith("var") else 0.5 * rng.randn(*shape)
        for name, shape in zip(graph.reference.list_auxiliary_states(), states, strict=True)
    }
    asked = (("write",), ("add",), ("write", "add", "null"))[rng.randint(3)]
    grad_req = {name: asked[rng.randint(len(asked))] for name in names}
    # Where MXNet 1.9.1 is wrong by itself: it writes the gradient of a fixed gamma instead of
    # adding it, and one of those of two variables that are added up; and the gradient of a dense
    # layer's bias is wrong without that of the weight.  And a BatchNorm is to have a gradient.
    written = {"other", "data"} if "other" in graph.shapes else set()
    for name, how in grad_req.items():
        if name.startswith(ONES):
            grad_req[name] = "null"
        elif name in written or name.endswith(
            {"add": ("fixed",), "null": ("weight", "gamma", "beta", "bias"), "write": ()}[how]
        ):
            grad_req[name] = "write"
    return Draw(arguments, moving, grad_req)


def _reference(graph: RandomGraph, draw: Draw) -> Found:
    """Return the results in float64.  Gradients are added here: a 1x1 convolution would not."""
    plain = {name: "null" if how == "null" else "write" for name, how in draw.grad_req.items()}
    whole = Draw(draw.arguments, draw.states, plain)
    found = _run(graph.reference, whole, np.float64, graph.trains, True)
    return {
        (what, name): array + (what == "gradient" and draw.grad_req[name] == "add")
        for (what, name), array in found.items()
    }


def _run(symbol: mx.sym.Symbol, draw: Draw, dtype: type, training: bool, inference: bool) -> Found:
    """Return all that a pass of inference and one of training give."""

    def arrays(values: Arrays) -> dict[str, mx.nd.NDArray]:
        return {name: mx.nd.array(value, CPU, dtype) for name, value in values.items()}

    grads = {name: mx.nd.ones(a.shape, CPU, dtype) for name, a in draw.arguments.items()}
    executor = symbol.bind(CPU, arrays(draw.arguments), grads, draw.grad_req, arrays(draw.states))
    found: Found = {}

    def keep(what: str, named) -> None:
        found.update({(what, name): array.asnumpy().astype(np.float64) for name, array in named})

    if inference:
        outputs = executor.forward(is_train=False)
        keep("output", [(str(i), output) for i, output in enumerate(outputs)])
        keep("state after inference", executor.aux_dict.items())
    if training:
        outputs = executor.forward(is_train=True)
        rng = np.random.RandomState(1)
        executor.backward([mx.nd.array(rng.randn(*o.shape), CPU, dtype) for o in outputs])
        mx.nd.waitall()  # MXNet's backward pass writes states that its engine does not know of
        keep("output of training", [(str(i), output) for i, output in enumerate(outputs)])
        keep("gradient", [(n, grads[n]) for n, how in draw.grad_req.items() if how != "null"])
        keep("state after training", executor.aux_dict.items())
    return found


def _differences(graph: RandomGraph, draw: Draw, verdict: Verdict) -> Iterator[str]:
    """Yield what is too far from the reference."""
    wanted = _reference(graph, draw)
    rounding: Counter[str] = Counter()  # how far stock is from the reference, of the scale
    for label, symbol, training, inference in _graphs(graph, draw):
        if isinstance(symbol, RuntimeError):
            yield f"{label}: {str(symbol).strip().splitlines()[-1]}"
            continue
        try:
            found = _run(symbol, draw, np.float32, training, inference)
        except (RuntimeError, ValueError) as error:
            yield f"{label}: {str(error).strip().splitlines()[-1]}"
            continue
        nodes = json.loads(symbol.tojson())["nodes"]
        verdict.graphs += 1
        verdict.operators.update(node["op"] for node in nodes)
        slopes = {_slope(nodes, node) for node in nodes if node["op"] == "LeakyReLU"}
        for key, array in found.items():
            what, name = key
            if what == "gradient" and name in slopes:
                continue  # known to be wrong
            error, scale = np.abs(array - wanted[key]).max(), _scale(wanted, key)
            limit = (CLOSE + TIMES_STOCK * rounding[what]) * scale
            if label != "stock" and not error <= limit:
                yield f"{label}: {what} {name}: {error:.2g} off, {limit:.2g} allowed"
            elif label == "stock" and error <= ROUGH * scale:
                rounding[what] = max(rounding[what], error / scale)
            elif label == "stock":
                verdict.stock_is_wrong = True


def _graphs(graph: RandomGraph, draw: Draw) -> Iterator[tuple[str, object, bool, bool]]:
    """Yield the stock graph and those made of it: a label, the graph or the error, and whether
    it serves for training and for inference."""
    yield "stock", graph.symbol, graph.trains, True
    done = set()
    accumulates = "add" in draw.grad_req.values()
    # Another batch size than is bound, which must not matter.
    shapes = {name: (shape[0] + 1, *shape[1:]) for name, shape in graph.shapes.items()}
    for kind in ("own", "convolution"):
        for mode in (True, False, None):
            label = f"{kind}, training={mode}, accumulates={accumulates}"
            training, inference = graph.trains and mode is not False, mode is not True
            try:
                made = fast_graph(
                    graph.symbol, CPU, shapes, kind=kind, training=mode, accumulates=accumulates
                )
            except RuntimeError as error:
                yield label, error, training, inference
                continue
            key = (made.tojson(), training, inference)
            if made is not graph.symbol and key not in done and (training or inference):
                done.add(key)
                yield label, made, training, inference


def _slope(nodes: list[dict], prelu: dict) -> str:
    """Return the name of a PReLU's slope, of which it may read a copy."""
    source = nodes[prelu["inputs"][1][0]]
    while source["op"] != "null":
        source = nodes[source["inputs"][0][0]]
    return source["name"]


def _scale(wanted: Found, key: tuple[str, str]) -> float:
    """Return the largest value of an array, or a part of that of all of its kind, if larger."""
    of_kind = max(np.abs(a).max() for (what, _), a in wanted.items() if what == key[0])
    return max(np.abs(wanted[key]).max(), FLOOR * of_kind, LEAST)


def _count_kinks(graph: RandomGraph, draw: Draw) -> int:
    """Return how many points are so near to a kink that rounding may take them over it."""
    internals = graph.reference.get_internals()
    names = sorted({kink.name for kink in graph.kinks})
    if not names:
        return 0
    inputs = mx.sym.Group([internals[name] for name in names])
    known, states = set(inputs.list_arguments()), set(inputs.list_auxiliary_states())
    part = Draw(
        {n: a for n, a in draw.arguments.items() if n in known},
        {n: a for n, a in draw.states.items() if n in states},
        dict.fromkeys(known, "null"),
    )
    found = _run(inputs, part, np.float64, graph.trains, True)
    return sum(
        count_near(found[what, str(names.index(kink.name))], kink)
        for kink in graph.kinks
        for what in ("output", "output of training")
        if (what, "0") in found
    )


def count_near(data: np.ndarray, kink: Kink) -> int:
    """Return how many points of an input are near to the kink; exactly on it all agree."""
    limit = NEAR * np.abs(data).max()
    gaps = np.abs(data)
    if kink.pool:
        sides = [(0, 0), (0, 0), *((pad, pad) for pad in kink.pool["pad"])]
        framed = np.pad(data, sides, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(framed, kink.pool["kernel"], (2, 3))
        down, right = kink.pool["stride"]
        windows = windows[:, :, ::down, ::right].reshape(-1, np.prod(kink.pool["kernel"]))
        gaps = np.diff(np.sort(windows)[:, -2:])
    return int(((gaps > 0) & (gaps <= limit)).sum())
