"""Quantise an exported network to INT8 and print what that costs.

    python -m arcface_mxnet.export.quantize --model r50.onnx --calibration ../crops
    python -m arcface_mxnet.export.quantize --model ../models/y1,0 --calibration ../crops \\
        --pack ../data/lfw.bin

Static quantisation of onnxruntime: weights per output channel, activations by the range they
take on the calibration crops, convolutions and dense layers only.  Take crops of many people,
aligned as for training, none of the pack that accuracy is reported on.

Every second crop calibrates; the others measure the cosine to the float network.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import logging
from pathlib import Path
import tempfile

from arcface_mxnet.checkpoints.network import DATA, read_network
from arcface_mxnet.checkpoints.pixels import tell_of_raw_pixels
from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.engines.conversion import convert
from arcface_mxnet.engines.onnx_file import parse_onnx, read_onnx
from arcface_mxnet.engines.original import PARAMETERS, SYMBOL
from arcface_mxnet.eval.pair_embeddings import verification_scores
from arcface_mxnet.eval.pair_sets import read_pair_set
from arcface_mxnet.eval.protocols import fold_numbers
from arcface_mxnet.export.crops import read_crops
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import check_outputs, file_name, refuse_changed, whole
import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

QUANTIZED = ("Conv", "Gemm")
OLDEST_OPSET = 13  # QuantizeLinear of each channel


class _Crops(CalibrationDataReader):
    """Hands crops (N, H, W, 3) to the calibration, one at a time."""

    def __init__(self, rgb_nhwc: np.ndarray):
        self._inputs: Iterator[dict[str, np.ndarray]] = (
            {DATA: crop.transpose(2, 0, 1)[None].astype(np.float32)} for crop in rgb_nhwc
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def quantize(model: onnx.ModelProto, rgb_nhwc: np.ndarray) -> onnx.ModelProto:
    """Return the INT8 model of an exported one.

    rgb_nhwc: aligned crops (N, H, W, 3), uint8 RGB, that show the range of the activations.
    Raises ValueError for an opset that does not know a scale for each channel.
    """
    (opset,) = (entry.version for entry in model.opset_import if not entry.domain)
    if opset < OLDEST_OPSET:
        raise ValueError(
            f"opset {opset} quantises a whole tensor alike; export it again with --opset "
            f"{OLDEST_OPSET} or newer"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)  # a model handed over in memory would be changed
        quantize_static(
            source,
            target,
            _Crops(rgb_nhwc),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            reduce_range=True,  # 7 bits: products of 8 bits overflow on processors before VNNI
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        quantized = onnx.load(target)
    kept = {p.key: p.value for p in model.metadata_props if p.key not in (SYMBOL, PARAMETERS)}
    onnx.helper.set_model_props(quantized, kept)
    onnx.checker.check_model(quantized)
    return quantized


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Quantise a network to INT8.")
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="checkpoint PREFIX,NUMBER or exported FILE"
    )
    parser.add_argument(
        "--calibration", required=True, metavar="FOLDER", help="folder of aligned crops"
    )
    parser.add_argument(
        "--output",
        type=file_name(".onnx"),
        metavar="FILE",
        help="file to write (default: MODEL-int8.onnx)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=256,
        help="crops to use, half of them to measure (default 256)",
    )
    parser.add_argument(
        "--pack", default="", metavar="FILE", help="pair set on which both accuracies are printed"
    )
    parser.add_argument(
        "--nfolds", type=whole(1), default=10, help="folds of the accuracy on --pack (default: 10)"
    )
    add_image_size_argument(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run(lambda: _quantize_and_compare(args))


def _quantize_and_compare(args: argparse.Namespace) -> None:
    size = parse_size(args.image_size)
    if args.limit < 2:
        raise ValueError(f"--limit {args.limit}: give at least 2 crops, half of them to measure")
    if not args.pack:
        refuse_changed(build_parser(), args, ("nfolds",), "what has no --pack")
    stem = args.model.removesuffix(".onnx")
    stem = args.model.rpartition(",")[0] if stem == args.model else stem
    output = args.output or f"{stem}-int8.onnx"
    check_outputs({"--output": output}, [args.model])
    crops = read_crops(args.calibration, size, limit=args.limit)
    if len(crops) < 2:
        raise ValueError(f"--calibration {args.calibration}: one crop; give at least 2")
    pairs = read_pair_set(args.pack) if args.pack else None
    if pairs is not None:
        fold_numbers(pairs.is_genuine, args.nfolds)  # refuses, before the long work
    if args.model.endswith(".onnx"):
        Embedder(args.model)  # refuses what is not ours
        model = parse_onnx(read_onnx(args.model), args.model)
    else:
        network = read_network(args.model)
        tell_of_raw_pixels(f"checkpoint {args.model!r}", network.graph)
        model = convert(network, size)
    logging.getLogger().setLevel(logging.WARNING)  # onnxruntime tells of every node
    quantized = quantize(model, crops[::2]).SerializeToString()
    with replace_file(output) as file:
        file.write(quantized)

    engines = {
        "float": Embedder(model.SerializeToString()),
        "int8": Embedder(quantized),
    }
    cosines = (engines["float"](crops[1::2]) * engines["int8"](crops[1::2])).sum(axis=1)
    print(f"{output}: {len(quantized) / 2**20:.1f} MiB, float {model.ByteSize() / 2**20:.1f} MiB")
    print(
        f"cosine to float on {len(cosines)} other crops: mean {cosines.mean():.4f}, "
        f"lowest {cosines.min():.4f}"
    )
    if pairs is not None:
        for name, embedder in engines.items():
            scores = verification_scores(embedder, pairs, folds=args.nfolds)
            print(f"{name} accuracy on {len(pairs)} pairs: {scores.accuracy:.4f}+-{scores.std:.4f}")


if __name__ == "__main__":
    raise SystemExit(main())
