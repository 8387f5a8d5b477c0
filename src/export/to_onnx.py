"""Export a checkpoint to ONNX.

    python -m arcface_mxnet.export.to_onnx --model ../models/model-r50,12 --output r50.onnx
    python -m arcface_mxnet.export.to_onnx --model ../models/y1,0 --check ../crops

The file takes `data` (batch, 3, height, width), float32, raw RGB 0..255, any batch size, and
gives `fc1` (batch, D), not normalised.  Its metadata say so too, and how it was compared.  A
training checkpoint is cut at the embedding.  (The module is not called onnx: run as a script it
would hide the library.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_mxnet.checkpoints.network import StoredNetwork, read_network
from arcface_mxnet.checkpoints.pixels import tell_of_raw_pixels
from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.engines.conversion import convert, write_model
from arcface_mxnet.engines.onnx_graph import DEFAULT_OPSET, OPSETS
from arcface_mxnet.engines.packages import has_mxnet, onnxruntime_build
from arcface_mxnet.engines.parity import Parity
from arcface_mxnet.engines.session import Session
from arcface_mxnet.export.crops import read_crops
from arcface_mxnet.given import check_outputs, file_name
import numpy as np
import onnx


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Export a checkpoint to ONNX.")
    parser.add_argument("--model", required=True, metavar="PREFIX,NUMBER", help="checkpoint")
    parser.add_argument(
        "--output",
        type=file_name(".onnx"),
        metavar="FILE",
        help="ONNX file to write (default: PREFIX.onnx)",
    )
    add_image_size_argument(parser)
    parser.add_argument(
        "--no-fold", action="store_true", help="keep batch normalisation as layers of its own"
    )
    parser.add_argument(
        "--opset",
        type=int,
        choices=OPSETS,
        default=DEFAULT_OPSET,
        metavar="N",
        help=f"version of ONNX's operators, {OPSETS.start} to {OPSETS.stop - 1}; old readers want "
        f"an old one (default: {DEFAULT_OPSET})",
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
        check_outputs({"--output": output})
        network = read_network(args.model)
        tell_of_raw_pixels(f"checkpoint {args.model!r}", network.graph)
        model = convert(network, size, fold=not args.no_fold, opset=args.opset)
        crops = read_crops(args.check, size, limit=64) if args.check else _random_images(size)
        against = "not compared, MXNet is not installed"
        if has_mxnet():
            parity = compare(network, model, crops)
            engine = " ".join(onnxruntime_build())
            against = f"{engine} against MXNet on {len(crops)} images: {parity}"
            if not parity.is_faithful:
                raise ValueError(
                    f"{args.model}: onnxruntime and MXNet disagree, {parity}; {output} is not "
                    "written.  If it is nan, the parameters are: a training that diverged?"
                )
        elif args.check:
            raise ValueError(
                "--check compares with MXNet, which is not installed: arcface_mxnet[cpu]"
            )
        model.metadata_props.add(key="compared", value=against)
        write_model(output, model)
        print(
            f"{output}: {Path(output).stat().st_size / 2**20:.1f} MiB, {len(model.graph.node)} "
            f"operators; {against}"
        )

    return run(work)


def compare(network: StoredNetwork, model: onnx.ModelProto, rgb_nhwc: np.ndarray) -> Parity:
    """Return how near onnxruntime comes to MXNet on crops (N, H, W, 3), uint8 RGB, batch = N.

    A batch in one piece, because a GNAP head mixes the images of a batch.
    """
    from arcface_mxnet.engines.reference import run_mxnet  # imports MXNet

    batch = rgb_nhwc.transpose(0, 3, 1, 2).astype(np.float32)  # (N, 3, H, W)
    found = Session(model.SerializeToString()).run({"data": batch})
    return Parity.of(run_mxnet(network, batch), found)


def _random_images(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)


if __name__ == "__main__":
    raise SystemExit(main())
