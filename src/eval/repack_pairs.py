"""Write another's pair set anew where its images are arrays of pixels: they become PNG.

    python -m arcface_mxnet.eval.repack_pairs THEIRS.bin MINE.bin --array-color bgr

An array does not say whether red or blue comes first: cv2.imread gives bgr, most others rgb.
Wrongly named, every figure is a little too low and nothing complains; look at an image of MINE.bin
(`arcface-verify --mode 1` draws pairs).  Arrays are uint8, or hold whole numbers from 0 to 255;
(H, W), (H, W, 1 or 3) or (1 or 3, H, W).  PNG loses nothing; encoded images are kept
byte for byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.eval.pair_bin import read_any
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.given import path_name
import cv2
import numpy as np


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("theirs", type=path_name, help="pair set to read")
    add("mine", type=path_name, help="pair set to write")
    add("--array-color", choices=("rgb", "bgr"), required=True, help="order of the colours in the "
        "arrays of THEIRS")  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: repack(arguments.theirs, arguments.mine, arguments.array_color))


def repack(theirs: Path, mine: Path, array_color: str) -> None:
    """Write the set anew and print how many images were arrays."""
    if not theirs.is_file():
        raise FileNotFoundError(f"{theirs}: no such pair set")
    images, flags = read_any(theirs)
    count = sum(isinstance(image, np.ndarray) for image in images)
    if not count:
        raise ValueError(f"{theirs}: all {len(images)} images are encoded; it is read as it is")
    encoded = [
        image if isinstance(image, bytes) else _png(image, array_color, f"{theirs}: image {number}")
        for number, image in enumerate(images)
    ]
    write_pair_set(mine, PairSet(encoded, flags))
    print(f"{mine}: {len(flags)} pairs; {count} of {len(images)} images were {array_color} arrays "
          "and are PNG now")  # fmt: skip


def _png(pixels: np.ndarray, color: str, name: str) -> bytes:
    """Return an array as PNG.  Raises ValueError that begins with name for no picture."""
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise ValueError(f"{name}: an array {pixels.shape}; (H, W) or (H, W, 3) is a picture")
    if not pixels.size:
        raise ValueError(f"{name}: an empty array {pixels.shape}")
    whole = pixels.astype(np.uint8) if np.isfinite(pixels).all() else pixels
    if not (whole == pixels).all():
        raise ValueError(
            f"{name}: {pixels.dtype} from {pixels.min()} to {pixels.max()}; whole numbers from 0 "
            "to 255 are pixels"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 3 and color == "rgb":
        whole = whole[..., ::-1]
    return cv2.imencode(".png", np.ascontiguousarray(whole))[1].tobytes()


if __name__ == "__main__":
    sys.exit(main())
