"""Write crops as a worse camera, or something worn, would have them: for tests, or to look at.

    arcface-degrade lfw.bin lfw-16-24.bin --low-res 1 --low-res-size 16,24 --seed 1
    arcface-degrade CROPS CROPS-masked --mask 1
    arcface-degrade CROPS sheet.png --sheet 8 --low-res 0.5 --blur 0.3 --color 2

The changes are those of arcface-train, with its flags; none is made unless it is asked for.  What
is drawn for a crop follows from --seed and its bytes alone, so it comes out the same from a
folder and from a pair set.  CROPS is a folder of aligned crops, at any depth, or a pair set; NEW
becomes the same.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
import sys

from arcface_mxnet.batches.degraded import DegradeConfig, Degrader, sheet
from arcface_mxnet.cli import run
from arcface_mxnet.data.folders import find_images
from arcface_mxnet.data.images import read_image_file
from arcface_mxnet.eval.pair_sets import read_pair_set, write_pair_set
from arcface_mxnet.files import replace_file
from arcface_mxnet.flags import add_flags
from arcface_mxnet.given import path_name, refuse_changed
from arcface_mxnet.new_folder import new_folder
import cv2
from tqdm import tqdm

# A sheet is kept in memory: with both at their limits it takes 600 MB.
BOUNDS = (("seed", 0, (1 << 63) - 1), ("sheet", 0, 64), ("rows", 1, 256))
SIDES = {"both": (0, 1), "first": (0,), "second": (1,)}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-degrade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("crops", type=path_name, help="folder of crops, or pair set")
    add("new", type=path_name, help="folder, pair set or picture to write")
    add("--seed", type=int, default=727, help="of all that is drawn (%(default)s)")
    add("--side", choices=tuple(SIDES), default="both", help="of a pair set: which image of each "
        "pair is changed (%(default)s)")  # fmt: skip
    add("--encoding", choices=(".png", ".jpg"), default=".png", help="of what is written "
        "(%(default)s, which loses nothing)")  # fmt: skip
    add("--quality", type=int, default=95, help="of .jpg, 1 to 100 (%(default)s)")
    add("--sheet", type=int, default=0, metavar="WAYS",
        help="write a picture, NEW.png, of some "
        "crops, each as it is and changed in so many ways (default: 0, change all)")  # fmt: skip
    add(
        "--rows",
        type=int,
        default=6,
        help="crops of the picture, spread evenly (%(default)s)",
    )
    add_flags(parser, DegradeConfig)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: degrade(arguments))


def degrade(arguments: argparse.Namespace) -> None:
    """Write what the command line asks for and say what was written."""
    crops, new = arguments.crops, arguments.new
    for name, least, most in BOUNDS:
        value = getattr(arguments, name)
        if value < least:
            raise ValueError(f"--{name} {value}: must be at least {least}")
        if value > most:
            raise ValueError(f"--{name} {value}: must be at most {most}")
    options = DegradeConfig(**{f.name: getattr(arguments, f.name) for f in fields(DegradeConfig)})
    degrader = Degrader(options, arguments.seed, arguments.encoding, arguments.quality)
    _refuse_unused(arguments)
    if new.resolve() == crops.resolve():
        raise ValueError(f"{new}: is what is read; give another name")
    if arguments.sheet:
        _write_sheet(degrader, crops, new, arguments.sheet, arguments.rows)
    elif crops.is_dir():
        _write_folder(degrader, crops, new, arguments.encoding)
    else:
        _write_pair_set(degrader, crops, new, SIDES[arguments.side])


def _refuse_unused(arguments: argparse.Namespace) -> None:
    """Raise ValueError for what the kind of work that is asked for does not use."""
    parser, crops, new = build_parser(), arguments.crops, arguments.new
    if crops.is_dir():
        refuse_changed(parser, arguments, ("side",), "a folder, which has no pairs,")
    if arguments.encoding != ".jpg":
        refuse_changed(parser, arguments, ("quality",), "--encoding .png, which loses nothing,")
    if crops.resolve() in new.resolve().parents:
        raise ValueError(f"{new}: lies among the crops that are read; give another place")
    if not arguments.sheet:
        refuse_changed(parser, arguments, ("rows",), "what makes no --sheet")
        return
    refuse_changed(parser, arguments, ("side", "encoding", "quality"), "--sheet")
    if new.suffix.lower() != ".png":
        raise ValueError(f"{new}: a --sheet is a PNG: give a name in .png")


def _write_folder(degrader: Degrader, folder: Path, new: Path, encoding: str) -> None:
    targets: dict[Path, Path] = {}
    for path in find_images(folder):
        target = path.relative_to(folder).with_suffix(encoding)
        if target in targets:
            raise ValueError(f"{path} and {targets[target]} would both become {new / target}")
        targets[target] = path
    with new_folder(new) as part:
        for target, path in tqdm(targets.items(), unit=" crops", disable=None):
            changed = degrader(read_image_file(path), str(path))
            with replace_file(part / target, sync=False) as file:
                file.write(changed)
    print(f"{new}: {len(targets)} crops")


def _write_pair_set(degrader: Degrader, path: Path, new: Path, sides: tuple[int, ...]) -> None:
    pair_set = read_pair_set(path)
    images, known = list(pair_set.images), {}
    for number in tqdm(range(len(images)), unit=" crops", disable=None):
        crop = images[number]
        if number % 2 in sides:
            if crop not in known:
                known[crop] = degrader(crop, f"{path}: {pair_set.describe(number)}")
            images[number] = known[crop]
    write_pair_set(new, replace(pair_set, images=images))
    print(f"{new}: {len(pair_set)} pairs; {len(known)} different crops were changed")


def _write_sheet(degrader: Degrader, crops: Path, new: Path, ways: int, rows: int) -> None:
    if crops.is_dir():
        paths = find_images(crops)
        chosen = [(str(path), read_image_file(path)) for path in _spread(paths, rows)]
    else:
        pair_set = read_pair_set(crops)
        numbers = _spread(list(range(len(pair_set.images))), rows)
        chosen = [(f"{crops}: {pair_set.describe(n)}", pair_set.images[n]) for n in numbers]
    picture = cv2.cvtColor(sheet(degrader, chosen, ways), cv2.COLOR_RGB2BGR)
    with replace_file(new) as file:
        file.write(cv2.imencode(".png", picture)[1].tobytes())
    print(f"{new}: {len(chosen)} crops as they are, and each changed in {ways} ways")


def _spread(of: list, count: int) -> list:
    """Return at most `count` entries, spread evenly."""
    count = min(count, len(of))
    return [of[place * len(of) // count] for place in range(count)]


if __name__ == "__main__":
    sys.exit(main())
