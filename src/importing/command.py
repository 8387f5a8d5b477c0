"""Take a face network of others, to verify, fine-tune and export it like one of this project.

    arcface-import w600k_r50.onnx --input-color rgb --mean 127.5 --scale 127.5
    arcface-import backbone.pth --prefix ../models/ms1mv3-r50 --crops ../crops
    arcface-train --network ../models/ms1mv3-r50-symbol.json --pretrained ../models/ms1mv3-r50,0 ..

FILE is an ONNX file, or a checkpoint (.pth, .pt, .safetensors) of arcface_torch's IResNet or
MobileFaceNet.  PREFIX-symbol.json takes `data`, raw RGB 0..255, and gives `fc1`; its parameters
are PREFIX-0000.params.  Before anything is written the two are compared.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.engines.model_input import ARCFACE, COLORS, numbers
from arcface_mxnet.engines.presets import PRESETS

if TYPE_CHECKING:
    from arcface_mxnet.checkpoints.network import StoredNetwork
    from arcface_mxnet.importing.from_onnx import Imported
    import numpy as np

# What needs MXNet or onnx is imported where it is used: without it run() says what to install.

MOST_CROPS = 256

logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-import",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="model.onnx, or .pth, .pt, .safetensors")
    parser.add_argument(
        "--prefix", default="", help="of the checkpoint to write (default: FILE without its end)"
    )
    parser.add_argument(
        "--preset",
        choices=[name for name in PRESETS if PRESETS[name].declared.template == ARCFACE],
        help="what a published family is fed, for what the other flags leave out (default: none)",
    )
    parser.add_argument(
        "--input-color", choices=COLORS, help="order of the colours that the network was fed"
    )
    for name, what in (("mean", "is subtracted from"), ("scale", "then divides")):
        parser.add_argument(
            f"--{name}",
            metavar="X[,Y,Z]",
            help=f"what {what} raw pixels, 0..255, before the network; three in the order of its "
            "channels (default: as its first layers do it, where that is certain)",
        )
    add_image_size_argument(parser, default=None, otherwise="as the file says")
    parser.add_argument("--output", default="", help="name of the embedding, of several outputs")
    parser.add_argument(
        "--crops",
        default="",
        metavar="FOLDER",
        help="aligned crops on which to compare, and to measure the statistics of norms that were "
        "folded away (default: smooth random images, and norms that keep what they have)",
    )
    parser.add_argument(
        "--keep-bias",
        action="store_true",
        help="leave a convolution its bias, and make no norm of it",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> None:
        from arcface_mxnet.importing.proof import COMPARED, compare_with_file

        prefix = args.prefix or str(Path(args.file).with_suffix(""))
        imported, data = _imported(args)
        crops, kind = _crops(args.crops, imported.size)
        if imported.restored:
            imported.notes.append(_with_norms(imported, crops if args.crops else None))
        parity = compare_with_file(imported, data, crops, args.file)
        for note in imported.notes:
            logger.info("%s: %s", args.file, note)
        write(prefix, imported.network)
        print(
            f"{prefix},0: {len(imported.network.parameters)} parameters, images of "
            f"{imported.size[0]}x{imported.size[1]}; against the file on "
            f"{min(len(crops), COMPARED)} {kind}: {parity}"
        )

    return run(work)


def write(prefix: str, network: StoredNetwork) -> None:
    """Write checkpoint number 0 of a prefix, symbol and parameters, both or neither."""
    from arcface_mxnet.checkpoints.load import as_symbol, mxnet_arrays, save_checkpoint

    states = network.graph.states()
    arrays = mxnet_arrays(network.parameters)
    save_checkpoint(
        prefix,
        0,
        as_symbol(network.graph),
        {name: value for name, value in arrays.items() if name not in states},
        {name: value for name, value in arrays.items() if name in states},
    )


def _imported(args: argparse.Namespace) -> tuple[Imported, bytes]:
    """Return the network of a file, and an ONNX file that computes what the file does."""
    options = {
        "color": args.input_color,
        "mean": None if args.mean is None else numbers(args.mean, "--mean"),
        "scale": None if args.scale is None else numbers(args.scale, "--scale"),
        "size": parse_size(args.image_size) if args.image_size else None,
    }
    is_onnx = args.file.lower().endswith(".onnx")
    if args.preset:
        options = _with_preset(args, options, is_onnx)
    if not is_onnx:
        if args.output or args.keep_bias:
            raise ValueError("--output and --keep-bias are for ONNX files")
        from arcface_mxnet.importing.from_torch import import_torch

        return import_torch(args.file, **options)
    from arcface_mxnet.engines.onnx_file import read_onnx
    from arcface_mxnet.importing.from_onnx import import_onnx

    data = read_onnx(args.file)
    return (
        import_onnx(data, args.file, output=args.output, restore=not args.keep_bias, **options),
        data,
    )


def _with_preset(args: argparse.Namespace, options: dict, is_onnx: bool) -> dict:
    """Return the options with what a preset declares for those that are not given.  A graph that
    scales its pixels itself is fed raw ones, as embedding does it."""
    from arcface_mxnet.engines.graph_input import own_scaling
    from arcface_mxnet.engines.onnx_file import parse_onnx, read_onnx

    declared = PRESETS[args.preset].declared
    known = {"color": declared.color}
    if not (is_onnx and own_scaling(parse_onnx(read_onnx(args.file), args.file))):
        known |= {"mean": declared.mean, "scale": declared.scale}
    return options | {name: value for name, value in known.items() if options[name] is None}


def _crops(folder: str, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    from arcface_mxnet.export.crops import read_crops
    from arcface_mxnet.importing.proof import COMPARED, face_like_crops

    if folder:
        return read_crops(folder, size, limit=MOST_CROPS), "crops"
    return face_like_crops(size, COMPARED), "smooth random images"


def _with_norms(imported: Imported, crops: np.ndarray | None) -> str:
    from arcface_mxnet.importing.norms import LEAST_CROPS, with_measured_norms

    count = len(imported.restored)
    if crops is None or len(crops) < LEAST_CROPS:
        return (
            f"{count} biases became norms that scale and shift, and keep their statistics in "
            f"training; {LEAST_CROPS} or more --crops would give them statistics that learn too"
        )
    imported.network = with_measured_norms(imported.network, imported.restored, crops)
    return f"{count} biases became norms, with the statistics of {len(crops)} crops"


if __name__ == "__main__":
    raise SystemExit(main())
