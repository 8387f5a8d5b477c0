"""Export a checkpoint to ONNX.

    python -m arcface_mxnet.export.to_onnx --model ../models/model-r50,12 --output r50.onnx
    python -m arcface_mxnet.export.to_onnx --model ../models/y1,0 --check ../crops

The file takes `data` (batch, 3, height, width), float32, raw RGB 0..255, any batch size, and
gives `fc1` (batch, D), not normalised.  Its metadata say so too.  A training checkpoint is cut
at the embedding.  (The module is not called onnx: run as a script it would hide the library.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_mxnet.cli import run
from arcface_mxnet.export.conversion import parse_size, to_onnx, write_model
from arcface_mxnet.export.embedding_part import load_slim
from arcface_mxnet.export.parity import compare, read_crops
import numpy as np


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


if __name__ == "__main__":
    raise SystemExit(main())
