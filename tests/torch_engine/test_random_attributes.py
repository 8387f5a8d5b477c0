"""Operators of the table with attributes and shapes drawn at random: as MXNet, or refused."""

from collections import Counter
import contextlib
import json
import random

from arcface_mxnet.checkpoints.graph import parse_graph
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.checkpoints.nodes import attribute_value  # noqa: E402
from arcface_mxnet.checkpoints.options import NEEDED, Options  # noqa: E402
from arcface_mxnet.torch_engine.graph import Program  # noqa: E402
from arcface_mxnet.torch_engine.table import OPERATORS, Mode  # noqa: E402

from tests.torch_engine.test_operators import on_mxnet, on_torch  # noqa: E402

CASES = 4000  # drawn; what is computed of them is compared
SHAPES = ((2, 3, 4, 4), (2, 3), (3,), (1,), (2, 3, 4), (2, 1, 4, 4), (3, 3), (3, 3, 2, 2), (2, 4))
NUMBERS = ("0", "1", "-1", "2", "3", "-2", "0.5", "(0,)", "(1,1)", "(2,2)", "(1,2,3)", "(0,-1)",
           "(1,3)", "(2,1)", "(0,0,-1)", "(-3,-2)")  # fmt: skip
FLAGS = ("True", "False")
VALUES = {
    **dict.fromkeys(("multi_output", "preserve_shape", "use_ignore", "keepdims", "exclude"), FLAGS),
    **dict.fromkeys(("reverse", "no_bias", "flatten", "count_include_pad", "squeeze_axis"), FLAGS),
    **dict.fromkeys(("transpose_a", "transpose_b", "global_pool"), FLAGS),
    "pool_type": ("max", "avg", "sum"), "pooling_convention": ("valid", "full"),
    "kernel": ("(2,2)", "(3,3)", "(1,2)"), "stride": ("(1,1)", "(2,2)", "(3,1)"),
    "pad": ("(0,0)", "(1,1)", "(1,0)"), "normalization": ("batch", "valid", "null"),
    "act_type": ("relu", "sigmoid", "tanh", "softrelu", "softsign", "leaky", "elu", "gelu"),
    "mode": ("channel", "instance", "spatial", "constant", "edge", "reflect", "wrap", "clip"),
    "pad_width": ("(0,0,0,0,1,1,1,1)", "(0,0,0,0,0,2,1,0)"), "dtype": ("float32",),
    "num_filter": ("2", "3"), "num_hidden": ("2", "3"),
}  # fmt: skip
# Drawn by chance, or compared with their states in test_operators.py.
LEFT_OUT = {"Dropout", "BatchNorm", "sgd_mom_update"}


def options_of(name):
    """Return which options the maker of an operator asks for."""
    asked = []

    class Asking(Options):
        def _read(self, name, default, is_right, what):
            asked.append(name)
            return attribute_value(VALUES.get(name, NUMBERS)[0]) if default is NEEDED else default

    node = parse_graph(written(name, {}, 1), "s").nodes[-1]
    with contextlib.suppress(ValueError, TypeError):  # where these values make no sense
        OPERATORS[name].make(Asking(node, "asked"), Mode(True))
    return asked


def written(operator, attributes, count):
    nodes = [{"op": "null", "name": f"v{i}", "inputs": []} for i in range(count)]
    inputs = [[i, 0, 0] for i in range(count)]
    nodes.append({"op": operator, "name": "n", "attrs": attributes, "inputs": inputs})
    return json.dumps({
        "nodes": nodes, "arg_nodes": list(range(count)), "heads": [[count, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    })  # fmt: skip


def ones(outputs):
    return [np.ones(tuple(output.shape), np.float32) for output in outputs]


def test_what_is_computed_is_what_mxnet_computes():
    rng, seen = random.Random(5), Counter()
    names = sorted(set(OPERATORS.names()) - LEFT_OUT)
    asked = {name: options_of(name) for name in names}
    names = [name for name in names if asked[name]]  # others have one form
    for _ in range(CASES):
        name = rng.choice(names)
        counts = OPERATORS[name].num_inputs
        count = rng.choice(counts) if counts else rng.randint(1, 3)
        if not count:
            continue
        drawn = [option for option in asked[name] if rng.random() < 0.7]
        attributes = {option: rng.choice(VALUES.get(option, NUMBERS)) for option in drawn}
        if not counts:
            attributes["num_args"] = str(count)
        shapes = (
            [rng.choice(SHAPES)] * count if rng.random() < 0.4 else rng.choices(SHAPES, k=count)
        )
        values = np.random.RandomState(rng.randint(0, 1 << 30))
        inputs = {
            f"v{i}": values.randint(-8, 9, shape).astype(np.float32) / 4
            for i, shape in enumerate(shapes)
        }
        text = written(name, attributes, count)
        try:
            Program(parse_graph(text, "s"), training=True)
            found, own = on_torch(mx.sym.load_json(text), inputs, ones)
        except (ValueError, mx.MXNetError):
            continue
        try:
            wanted, slopes = on_mxnet(mx.sym.load_json(text), inputs, ones)
        except (mx.MXNetError, RuntimeError):
            continue  # what MXNet refuses and the meaning is plain
        what = f"{name} {attributes} {shapes}"
        assert [one.shape for one in found] == [one.shape for one in wanted], what
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4, err_msg=what)
        for key, slope in slopes.items():
            if np.isfinite(slope).all():
                np.testing.assert_allclose(own[key], slope, rtol=2e-3, atol=2e-4, err_msg=what)
        seen[name] += 1
    assert len(seen) > 40 and seen.total() > 500, seen
