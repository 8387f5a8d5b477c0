"""Say whether the crops of a folder are aligned as published, and what is wrong if not.

    arcface-check-crops CROPS

Exit code 0: all is well; 1: something is wrong; 2: bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
import sys

from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.align.crop_report import CropReport, check_crops
from arcface_mxnet.cli import run
from arcface_mxnet.data.folders import find_images
from arcface_mxnet.data.images import read_image
from arcface_mxnet.engines.arguments import add_engine_arguments
from arcface_mxnet.given import path_name
import numpy as np
from tqdm import tqdm

FAULTY = 1
MIN_SIZE = 40  # pixels; the face fills a crop


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-check-crops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("crops", type=path_name, help="folder with crops, at any depth")
    add("--sample", type=int, default=500, help="crops looked at, evenly spread (default: 500)")
    add_detector_arguments(parser, min_size=MIN_SIZE)
    add_engine_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> int:
        if args.sample < 1:
            raise ValueError(f"--sample {args.sample}: must be at least 1")
        paths = find_images(args.crops)
        chosen = paths[:: -(-len(paths) // args.sample)]
        report = check_crops(_read(chosen), chosen_detector(args))
        print(f"{report.num_crops} of {len(paths)} crops looked at")
        _print(report)
        return FAULTY if report.faults else 0

    return run(work)


def _read(paths: list[Path]) -> Iterator[np.ndarray]:
    for path in tqdm(paths, unit="crop"):
        yield read_image(path)


def _print(report: CropReport) -> None:
    sizes = ", ".join(f"{h}x{w}: {count}" for (h, w), count in sorted(report.sizes.items()))
    red = "all grey" if report.red is None else f"{report.red:.0%} redder than blue"
    print(f"size, height x width  {sizes}")
    print(f"faces found           {report.num_found}, median score {report.score:.3f}")
    print(f"turned, uncertain     {report.num_turned}, {report.num_uncertain}")
    print(f"shift x, y (pixels)   {report.shift[0]:+.1f}, {report.shift[1]:+.1f}")
    print(f"spread x, y (pixels)  {report.spread[0]:.1f}, {report.spread[1]:.1f}")
    print(f"scale x, y            {report.scale[0]:.2f}, {report.scale[1]:.2f}")
    print(f"colour                {red}")
    for fault in report.faults:
        print(f"WRONG  {fault}")
    if not report.faults:
        print("these crops are aligned as published")


if __name__ == "__main__":
    sys.exit(main())
