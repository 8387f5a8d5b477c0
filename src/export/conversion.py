"""A checkpoint as an ONNX model.

Source: the operators as documented for MXNet 1.9 and ONNX opset 17.
"""

from __future__ import annotations

from pathlib import Path

import mxnet as mx
import onnx

from ..align.template import SIZES, template
from ..data.files import replace_file
from ..training.checkpoints import Params
from . import shape_operators  # noqa: F401  (registers its operators)
from .embedding_part import load_slim
from .onnx_graph import OnnxGraph
from .operators import convert_node
from .symbol_graph import read_symbol

DEFAULT_SIZE = (112, 112)


def to_onnx(
    symbol: mx.sym.Symbol,
    arg_params: Params,
    aux_params: Params,
    size: tuple[int, int] = DEFAULT_SIZE,
    *,
    fold: bool = True,
) -> onnx.ModelProto:
    """Return the checked ONNX model of a symbol that ends in the embedding.

    size: (height, width) of the crops.  fold: work batch normalisation into the convolution or
    dense layer before it, where that is exact.
    Raises ValueError for an operator that has no handler, a parameter of another shape than the
    symbol's, and a size that the network is not for.
    """
    graph = read_symbol(symbol, (3, *size))
    known = {**arg_params, **aux_params}
    parameters = {n: a.asnumpy() for n, a in known.items() if n in graph.shapes}
    wrong = [
        f"{name} is {value.shape}, the symbol reads {graph.shapes[name]}"
        for name, value in parameters.items()
        if graph.shapes[name] != value.shape
    ]
    if wrong:
        raise ValueError(f"the parameters do not fit the symbol: {'; '.join(wrong[:3])}")
    writer = OnnxGraph(graph, parameters, fold)
    for node in graph.nodes:
        convert_node(writer, node)
    (output,) = graph.outputs
    model = writer.to_model(output, _metadata(graph.shapes[output][-1], size))
    onnx.checker.check_model(model, full_check=True)
    return model


def checkpoint_to_onnx(
    checkpoint: str, size: tuple[int, int] = DEFAULT_SIZE, *, fold: bool = True
) -> onnx.ModelProto:
    """Return to_onnx() of the checkpoint "prefix,number", cut at its embedding."""
    return to_onnx(*load_slim(checkpoint), size, fold=fold)


def _metadata(emb_size: int, size: tuple[int, int]) -> dict[str, str]:
    facts = {
        "input_range": "0..255",
        "color_order": "RGB",
        "layout": "NCHW",
        "image_size": f"{size[0]},{size[1]}",
        "embedding_size": str(emb_size),
        "normalized": "no",
    }
    if size in SIZES:  # x,y of left eye, right eye, nose, left and right mouth corner
        points = template(size)
        facts["template"] = ";".join(f"{x:.4f},{y:.4f}" for x, y in points)
    return facts


def write_model(path: str | Path, model: onnx.ModelProto) -> None:
    """Write an ONNX file, complete or not at all."""
    with replace_file(path) as file:
        file.write(model.SerializeToString())


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "HEIGHT,WIDTH".  Raises ValueError for anything else."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"size {text!r}: give HEIGHT,WIDTH in pixels, such as 112,112")
    return int(parts[0]), int(parts[1])
