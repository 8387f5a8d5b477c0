"""Export a checkpoint to ONNX.

    python -m arcface_mxnet.export.to_onnx --model ../models/model-r50,12 --output r50.onnx
    python -m arcface_mxnet.export.to_onnx --model ../models/y1,0 --check ../crops

The file takes `data` (batch, 3, height, width), float32, raw RGB 0..255, any batch size, and
gives `fc1` (batch, D), not normalised.  Its metadata say so too.  A training checkpoint is cut
at the embedding.  (The module is not called onnx: run as a script it would hide the library.)

Source: the operators as documented for MXNet 1.9 and ONNX opset 17.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_mxnet.align.template import SIZES, template
from arcface_mxnet.cli import run
from arcface_mxnet.data.files import replace_file
from arcface_mxnet.export import shape_operators  # noqa: F401  (registers its operators)
from arcface_mxnet.export.onnx_graph import DATA, OnnxGraph
from arcface_mxnet.export.operators import convert_node
from arcface_mxnet.export.parity import compare, read_crops
from arcface_mxnet.export.slim import load_slim
from arcface_mxnet.export.symbol_graph import read_symbol
from arcface_mxnet.training.checkpoints import Params
import mxnet as mx
import numpy as np
import onnx

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


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Export a checkpoint to ONNX.")
    parser.add_argument("--model", required=True, metavar="PREFIX,NUMBER", help="checkpoint")
    parser.add_argument(
        "--output", default="", metavar="FILE", help="ONNX file to write (default: PREFIX.onnx)"
    )
    parser.add_argument(
        "--image-size", default="112,112", help="crop HEIGHT,WIDTH in pixels (default: 112,112)"
    )
    parser.add_argument(
        "--no-fold", action="store_true", help="keep batch normalisation as layers of its own"
    )
    parser.add_argument(
        "--check",
        default="",
        metavar="FOLDER",
        help="folder of crops on which to compare onnxruntime with MXNet (default: random images)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> None:
        size = parse_size(args.image_size)
        output = args.output or f"{args.model.rpartition(',')[0]}.onnx"
        slim = load_slim(args.model)
        model = to_onnx(*slim, size, fold=not args.no_fold)
        crops = read_crops(args.check, size, limit=64) if args.check else _random_images(size)
        parity = compare(*slim, model, crops)
        if not parity.min_cosine >= parity.REQUIRED:  # nan too
            raise ValueError(
                f"{args.model}: onnxruntime and MXNet disagree, cosine {parity.min_cosine:.7f}, "
                f"below {parity.REQUIRED}; {output} is not written.  If it is nan, the parameters "
                "are: a training that diverged?"
            )
        write_model(output, model)
        print(
            f"{output}: {Path(output).stat().st_size / 2**20:.1f} MiB, {len(model.graph.node)} "
            f"operators; onnxruntime against MXNet on {len(crops)} images: lowest cosine "
            f"{parity.min_cosine:.7f}, largest difference {parity.max_difference:.2g} of the "
            "embedding's largest value"
        )

    return run(work)


def _random_images(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)


__all__ = ["DATA", "checkpoint_to_onnx", "to_onnx", "write_model"]

if __name__ == "__main__":
    raise SystemExit(main())
