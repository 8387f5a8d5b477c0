"""Export a checkpoint for arcface_torch: its IResNet or MobileFaceNet loads the file.

    arcface-export --model ../models/model-r50,12 --torch r50.pth
    arcface-export --model ../models/model-r50,12 --torch r50.safetensors

LResNet-IR of 18, 34, 50, 100 or 200 layers (unit 3, head E) and MobileFaceNet (y1, head GDC) are
the networks that both have.  Images go in as (x - 127.5) / 127.5, RGB, there.  (ONNX files are
made by arcface-onnx, which exports any network.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.cli import run
from arcface_mxnet.export.torch_archive import write_archive
from arcface_mxnet.given import check_outputs
from arcface_mxnet.importing.safetensors_file import write_safetensors

WRITERS = {".pth": write_archive, ".pt": write_archive, ".safetensors": write_safetensors}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="PREFIX,NUMBER", help="checkpoint")
    parser.add_argument(
        "--torch",
        required=True,
        metavar="FILE",
        help=f"to write: {', '.join(WRITERS)}",
    )
    parser.add_argument(
        "--crops",
        default="",
        metavar="FOLDER",
        help="aligned crops on which to compare (default: smooth random images)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> None:
        # What needs MXNet is imported here: without it run() says what to install.
        from arcface_mxnet.export.crops import read_crops
        from arcface_mxnet.export.torch_state import compare_with_torch, torch_state
        from arcface_mxnet.importing.proof import COMPARED, face_like_crops

        write = WRITERS.get(Path(args.torch).suffix)
        if write is None:
            raise ValueError(f"--torch {args.torch!r}: give a name in {', '.join(WRITERS)}")
        check_outputs({"--torch": args.torch})
        network = read_network(args.model)
        known, state = torch_state(network)
        crops = face_like_crops(known.size, COMPARED)
        if args.crops:
            crops = read_crops(args.crops, known.size, limit=COMPARED)
        parity = compare_with_torch(network, known, state, crops, args.model)
        write(args.torch, state)
        print(
            f"{args.torch}: {known.title}, {len(state)} arrays; what arcface_torch makes of it "
            f"against MXNet on {len(crops)} images: {parity}"
        )

    return run(work)


if __name__ == "__main__":
    raise SystemExit(main())
