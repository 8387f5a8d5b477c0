"""Each ONNX operator that is taken, against onnxruntime; and what it can do and MXNet's cannot."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.importing.from_onnx import import_onnx  # noqa: E402
from arcface_mxnet.importing.onnx_operators import HANDLERS  # noqa: E402
from arcface_mxnet.importing.proof import compare_with_file, face_like_crops  # noqa: E402

from tests.importing.foreign import SIZE, make, model  # noqa: E402

CROPS = face_like_crops(SIZE, 3)
INTS = {
    "first": np.array([0]),
    "two": np.array([2]),
    "one": np.array([1]),
    "axes23": np.array([2, 3]),
}
FLOATS = {
    "zero": np.float32(0), "half": np.float32(0.5), "vector": np.linspace(1, 2, 3).reshape(3, 1, 1),
    "kernel": np.random.default_rng(0).normal(0, 0.3, (4, 3, 3, 3)),
    "square": np.random.default_rng(1).normal(0, 0.3, (192, 5)), "five": np.ones(5),
    "row": np.linspace(0.1, 0.4, 192), "shared": np.array([0.3]),
}  # fmt: skip
SLICED = {"begin": np.array([1, 0]), "end": np.array([7, -2]), "along": np.array([2, 3])}
PADS = {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "quarter": np.float32(0.25)}


def flat(*nodes, last="t", **more):
    """Return nodes on "x", the image scaled and centred, that end in one vector for each image."""
    return [make("Mul", ["input.1", "half"], ["x"]), *nodes, make("Flatten", [last], ["out"])]


def one(operator, *inputs, **options):
    return flat(make(operator, ["x", *inputs], ["t"], operator.lower(), **options))


def of(*steps):
    """Return nodes, each of (operator, inputs, output, options)."""
    made = []
    for operator, inputs, output, *options in steps:
        outputs = output.split()
        made.append(make(operator, inputs.split(), outputs, f"n_{outputs[0]}", **dict(*options)))
    return flat(*made)


# opset, nodes
TAKEN = {
    "Relu": (13, one("Relu")), "Sigmoid": (13, one("Sigmoid")), "Tanh": (13, one("Tanh")),
    "Softplus": (13, one("Softplus")), "Softsign": (13, one("Softsign")),
    "Exp": (13, one("Exp")), "Abs": (13, one("Abs")), "Neg": (13, one("Neg")),
    "Sqrt": (13, of(("Abs", "x", "a"), ("Sqrt", "a", "t"))),
    "LeakyRelu": (13, one("LeakyRelu", alpha=0.2)), "LeakyRelu, default": (13, one("LeakyRelu")),
    "Elu": (13, one("Elu", alpha=0.7)), "HardSigmoid": (13, one("HardSigmoid", alpha=0.3)),
    "HardSwish": (14, one("HardSwish")), "PRelu, one slope": (13, one("PRelu", "shared")),
    "PRelu by channel": (13, one("PRelu", "vector")),
    "PRelu of vectors": (13, of(("Flatten", "x", "v"), ("PRelu", "v row", "t"))),
    "Clip": (13, one("Clip", "zero", "half")), "Clip below": (13, one("Clip", "zero")),
    "Clip, older": (9, one("Clip", min=-0.1, max=0.2)),
    "Cast": (13, one("Cast", to=1)), "Identity": (13, one("Identity")),
    "Dropout": (11, one("Dropout", ratio=0.4)),
    "Conv same upper": (13, one("Conv", "kernel", auto_pad="SAME_UPPER", strides=[2, 2])),
    "Conv same lower": (13, one("Conv", "kernel", auto_pad="SAME_LOWER", strides=[2, 2])),
    "Conv of one side": (13, one("Conv", "kernel", pads=[1, 0, 0, 2])),
    "Conv dilated": (13, one("Conv", "kernel", dilations=[2, 2])),
    "MaxPool": (13, one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    "MaxPool, ceil": (13, one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    "AveragePool": (13, one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])),
    "AveragePool, counted": (
        13, one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
    "GlobalAveragePool": (13, one("GlobalAveragePool")),
    "GlobalMaxPool": (13, one("GlobalMaxPool")),
    "Gemm": (13, of(("Flatten", "x", "v"), ("Gemm", "v square five", "t", {"alpha": 0.5}))),
    "Gemm, beta 0": (13, of(("Flatten", "x", "v"), ("Gemm", "v square five", "t", {"beta": 0.0}))),
    "MatMul and Add": (
        13, of(("Flatten", "x", "v"), ("MatMul", "v square", "m"), ("Add", "m five", "t"))),
    "Softmax": (13, of(("Flatten", "x", "v"), ("Softmax", "v", "t", {"axis": 1}))),
    "LpNormalization": (13, of(("Flatten", "x", "v"), ("LpNormalization", "v", "t", {"axis": 1}))),
    "a normalised end": (13, of(
        ("Flatten", "x", "v"), ("ReduceL2", "v", "l", {"axes": [1]}), ("Clip", "l half", "c"),
        ("Shape", "v", "s"), ("Expand", "c s", "e"), ("Div", "v e", "t"))),
    "ReduceMean": (13, one("ReduceMean", axes=[2, 3])),
    "ReduceMean, newer": (18, one("ReduceMean", "axes23", keepdims=0)),
    "ReduceSum": (13, one("ReduceSum", "axes23")),
    "ReduceMax": (13, one("ReduceMax", axes=[-1])), "ReduceMin": (13, one("ReduceMin", axes=[3])),
    "Sum": (13, one("Sum", "x", "x")), "Sub of itself": (13, of(
        ("Relu", "x", "r"), ("Sub", "r x", "t"))),
    "Mul by a channel's weight": (13, of(
        ("Relu", "x", "r"), ("GlobalAveragePool", "r", "g"), ("Mul", "r g", "t"))),
    "Add a channel's number": (13, of(("Relu", "x", "r"), ("Add", "vector r", "t"))),
    "Sub from a channel's number": (13, of(("Relu", "x", "r"), ("Sub", "vector r", "t"))),
    "Div a channel's number": (13, of(
        ("Sigmoid", "x", "r"), ("Div", "vector r", "t"))),
    "Sub from a number": (13, of(("Relu", "x", "r"), ("Sub", "half r", "t"))),
    "Div a number": (13, of(("Sigmoid", "x", "r"), ("Div", "half r", "t"))),
    "Pow": (13, of(("Relu", "x", "r"), ("Pow", "r half", "t"))),
    "Max": (13, of(("Relu", "x", "r"), ("Max", "r half", "t"))),
    "Min of two": (13, of(("Sigmoid", "x", "r"), ("Min", "r x", "t"))),
    "Slice": (13, of(("Slice", "x begin end along", "t"))),
    "Slice, older": (9, one("Slice", starts=[1, 0], ends=[7, 100], axes=[3, 2])),
    "Split and Concat": (13, of(
        ("Relu", "x", "r"), ("Split", "r", "a b", {"axis": 3}),
        ("Concat", "b a", "t", {"axis": 2}))),
    "Pad": (13, of(("Relu", "x", "r"), ("Pad", "r pads quarter", "t"))),
    "Pad by reflection": (13, of(("Pad", "x pads", "t", {"mode": "reflect"}))),
    "Transpose": (13, one("Transpose", perm=[0, 2, 3, 1])),
    "Squeeze and Unsqueeze": (13, of(
        ("GlobalMaxPool", "x", "g"), ("Squeeze", "g axes23", "q"), ("Unsqueeze", "q two", "t"))),
    "Unsqueeze, older": (11, one("Unsqueeze", axes=[1])),
}  # fmt: skip


def onnx_model(opset, layers):
    made = model(layers, FLOATS | INTS | SLICED | PADS, opset=opset)
    read = {name for node in layers for name in node.input}
    kept = [t for t in made.graph.initializer if t.name in read]
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    return made


def took(opset, layers):
    data = onnx_model(opset, layers).SerializeToString()
    imported = import_onnx(data, "m.onnx", color="rgb", mean=(127.5,), scale=(100.0,))
    return compare_with_file(imported, data, CROPS, "m.onnx")


@pytest.mark.parametrize("case", TAKEN)
def test_it_computes_what_onnxruntime_does(case):
    assert took(*TAKEN[case]).max_difference < 1e-5


def test_every_handler_has_a_case():
    seen = {node.op_type for _, layers in TAKEN.values() for node in layers}
    seen |= {"BatchNormalization", "Reshape"}  # of the network in foreign.py
    assert seen - {"Shape"} == set(HANDLERS.names()) - {"Shape"}


REFUSED = {
    "MaxPool 'maxpool': padding of one side": one(
        "MaxPool", kernel_shape=[2, 2], pads=[1, 0, 0, 0]),
    "MaxPool 'maxpool': ceil_mode with padding": one(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    "Transpose 'transpose': an order of axes": one("Transpose", perm=[1, 0, 2, 3]),
    "Concat 'n_t': joining along the images": of(("Concat", "x x", "t", {"axis": 0})),
    "Slice 'n_t': a cut of axis 0": of(("Slice", "x one two first", "t")),
    "Cast 'cast': a cast to type 7": one("Cast", to=7),
    "Pad 'n_t': mode wrap": of(("Pad", "x pads", "t", {"mode": "wrap"})),
    "ReduceL1 'reducel1': an operator that has no handler": one("ReduceL1", axes=[1]),
    "Gemm 'n_t': transA": of(("Flatten", "x", "v"), ("Gemm", "v square", "t", {"transA": 1})),
    "Softmax 'softmax': a softmax over several axes": one("Softmax", axis=1),
    "Pow 'pow': such operands|Pow 'n_t'": of(("Relu", "x", "r"), ("Pow", "half r", "t")),
    "LpNormalization 'lpnormalization': another norm": one("LpNormalization", axis=1),
    "Split 'n_a': parts": of(("Split", "x", "a b", {"axis": 1}), ("Relu", "a", "t")),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_mxnet_cannot_do_is_refused_by_operator_and_node(reason):
    with pytest.raises(ValueError, match=f"^m.onnx: ({reason})"):
        took(11 if "Softmax" in reason else 13, REFUSED[reason])
