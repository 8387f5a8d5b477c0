"""Photographs to aligned crops and a list of them.

    arcface-align PHOTOS CROPS                  a folder, its subfolders are the identities
    arcface-align photos.lst CROPS --root DIR   a list: 0 or 1 <TAB> path <TAB> identity ...

Photos that lie on their side or stand on their head are set upright.  Writes
CROPS/IDENTITY/NAME.png, CROPS/train.lst for face2rec2.py, CROPS/faces.tsv with the number of
faces, turn, doubts and quality of each, CROPS/failures.tsv with what failed and why, and beside the
folder CROPS-contact_sheet.png.  Started again it does only what is not done yet; options that would
have made other crops, or fewer, are refused then.

Exit code 0 if there is a crop of every photo, 1 if some failed, 2 for bad input.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
import logging
import os
from pathlib import Path
import re
import sys

from arcface_mxnet.align.aligner import Aligner, Outcome, Photo
from arcface_mxnet.align.arguments import (
    add_detector_arguments,
    add_quality_arguments,
    chosen_bounds,
    chosen_detector,
    refuse_unsought,
)
from arcface_mxnet.align.contact_sheet import contact_sheet
from arcface_mxnet.align.earlier import keep_options
from arcface_mxnet.align.face_facts import FactsWriter
from arcface_mxnet.align.template import crop_size
from arcface_mxnet.cli import add_image_size_argument, run
from arcface_mxnet.data.folders import find_images
from arcface_mxnet.data.image_files import ENDINGS
from arcface_mxnet.data.images import MAX_PIXELS
from arcface_mxnet.data.list_faults import refuse_other_data
from arcface_mxnet.data.lists import read_list
from arcface_mxnet.engines.arguments import add_engine_arguments
from arcface_mxnet.files import replace_file, replace_set
from arcface_mxnet.given import MOST, MOST_THREADS, check_counts, path_name, refuse_changed
import cv2
from tqdm import tqdm

log = logging.getLogger(__name__)

SOME_FAILED = 1


def photos_of_folder(
    folder: Path, output: Path, suffix: str, *, strict: bool = False
) -> list[Photo]:
    """Return the photos below a folder; those of one subfolder are one identity.

    strict: as for find_images.
    """
    paths = find_images(folder, strict=strict)
    folders = sorted({path.parent for path in paths})
    numbers = {parent: number for number, parent in enumerate(folders)}
    inner = [path for path in folders if not numbers.keys().isdisjoint(path.parents)]
    if inner:
        log.warning(
            "%s: %d folders with photos lie in folders with photos, such as %s: each is a person "
            "of its own", folder, len(inner), inner[0].relative_to(folder),
        )  # fmt: skip
    return [
        Photo(path, _crop_path(output, path.relative_to(folder), suffix), numbers[path.parent])
        for path in sorted(paths, key=lambda path: numbers[path.parent])
    ]


def photos_of_list(list_path: Path, root: Path | None, output: Path, suffix: str) -> list[Photo]:
    """Return the photos of a .lst file, in its order.

    Raises ValueError as read_list does, and if almost none of the photos still to do is there.
    """
    entries = read_list(list_path, root, are_aligned=False)
    base = root if root is not None else list_path.parent
    photos = [
        Photo(
            entry.path,
            _crop_path(output, Path(os.path.relpath(_real(entry.path), _real(base))), suffix),
            entry.identity,
            entry.landmarks,
            entry.is_aligned,
        )
        for entry in entries
    ]
    refuse_other_data(list_path, base, [p.path for p in photos if not p.crop_path.is_file()])
    return photos


def _real(path: Path) -> str:
    return os.path.realpath(path)  # Path.resolve() raises RuntimeError where links go in a circle


def _crop_path(output: Path, relative: Path, suffix: str) -> Path:
    """Return where the crop goes; no part of a name without an ending is taken for one."""
    if relative.suffix.lower() in ENDINGS:
        return output / relative.with_suffix(suffix)
    return output / relative.with_name(relative.name + suffix)


def check_names(photos: Sequence[Photo]) -> None:
    """Raise ValueError for names that no list can hold, and if two photos, such as a.jpg and
    a.png, would become one crop.
    """
    broken = [str(p.path) for p in photos if any(c in str(p.crop_path) for c in "\t\r\n")]
    if broken:
        raise ValueError(
            f"{len(broken)} names hold a TAB or a line break, such as {broken[0]!r}: rename them, "
            "a list cannot tell them from its own"
        )
    counts = Counter(photo.crop_path for photo in photos)
    twice = [path for path, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} crops would be written twice, such as {twice[0]}: "
            "photos of one folder must differ in more than their ending"
        )


def align_all(aligner: Aligner, photos: Sequence[Photo], threads: int) -> Iterator[Outcome]:
    """Yield, in order, what became of each photo; several photos are read at once."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from tqdm(pool.map(aligner.align, photos), total=len(photos), unit="photo")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write_results(
    output: Path, photos: Sequence[Photo], reasons: Sequence[str], *, is_list: bool
) -> None:
    """Write train.lst (paths relative to the folder), failures.tsv and the contact sheet.

    Identities are numbered without gaps; where that changes the numbers of a list (is_list),
    train.names keeps them.
    """
    made = [photo for photo, reason in zip(photos, reasons, strict=True) if not reason]
    numbers = {old: new for new, old in enumerate(sorted({photo.identity for photo in made}))}
    # File names may be older than UTF-8; they come out of the list as they went in.
    text = {"encoding": "utf-8", "errors": "surrogateescape"}
    is_anew = is_list and any(old != new for old, new in numbers.items())
    with replace_set(output / "train.lst", output / "train.names") as files:
        listing = files.open(output / "train.lst", "w", **text)
        for photo in made:
            path = photo.crop_path.relative_to(output)
            listing.write(f"1\t{path.as_posix()}\t{numbers[photo.identity]}\n")
        if is_anew:
            names = files.open(output / "train.names", "w", **text)
            names.writelines(f"{new}\t{old}\n" for old, new in numbers.items())
    if is_anew:
        log.warning(
            "%s: identities are numbered anew, 0 to %d, as the list has gaps or no crop of some; "
            "train.names keeps the old numbers", output / "train.lst", len(numbers) - 1,
        )  # fmt: skip
    with replace_file(output / "failures.tsv", "w", **text) as file:
        for photo, reason in zip(photos, reasons, strict=True):
            if reason:
                file.write(f"{photo.path}\t{reason}\n")
    if made:
        sheet = contact_sheet([photo.crop_path for photo in made])
        folder = output if output.name not in ("", "..") else output.resolve()
        with replace_file(folder.with_name(f"{folder.name}-contact_sheet.png")) as file:
            file.write(cv2.imencode(".png", sheet)[1].tobytes())


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-align",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("photos", type=path_name, help="folder of photos, or .lst file")
    add("output", type=path_name, help="folder for the crops")
    add(
        "--root",
        type=path_name,
        help="folder that paths of a list are relative to (default: its own)",
    )
    add("--strict", action="store_true", help="anything in the folder but photos is an error (left "
        "out and told otherwise)")  # fmt: skip
    add_image_size_argument(parser)
    add("--encoding", default=".png", choices=(".png", ".jpg"), help="of crops (default: .png)")
    add_detector_arguments(parser)
    add("--limited", action="store_true", help="every photo is one face box already")
    add(
        "--fallback", default="none", choices=("none", "box"),
        help="for a photo without a face: no crop, or its centre unaligned (default: none)",
    )  # fmt: skip
    add(
        "--uncertain", default="accept", choices=("accept", "refuse"),
        help="a face that its score or landmarks speak against: a crop, marked in faces.tsv, or a "
        "failure (default: accept)",
    )  # fmt: skip
    add_quality_arguments(parser)
    add_engine_arguments(parser)
    add("--max-pixels", type=int, default=MAX_PIXELS, help="pixels of the largest photo that is "
        "decoded, as its file says (default: %(default)s)")  # fmt: skip
    add("--threads", type=int, default=2, help="photos in work at once (default: 2)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run(lambda: _align(args))


def _align(args: argparse.Namespace) -> int:
    size = crop_size(args.image_size)
    check_counts(args, threads=MOST_THREADS, max_pixels=MOST)
    if args.photos.is_dir():
        refuse_changed(build_parser(), args, ("root",), "a folder of photos")
        photos = photos_of_folder(args.photos, args.output, args.encoding, strict=args.strict)
    elif args.photos.is_file():
        refuse_changed(build_parser(), args, ("strict",), "a list, which names its photos itself,")
        photos = photos_of_list(args.photos, args.root, args.output, args.encoding)
    else:
        raise FileNotFoundError(f"no folder and no list {args.photos.absolute()}")
    if args.photos.is_dir() and args.output.resolve().is_relative_to(args.photos.resolve()):
        raise ValueError(f"{args.output} lies in {args.photos}: crops would be taken for photos")
    check_names(photos)
    _refuse_unused(args, photos)
    detector, bounds = chosen_detector(args), chosen_bounds(args)
    options = {name: getattr(args, name) for name in (
        "min_size", "limited", "encoding", "uncertain", "fallback")}  # fmt: skip
    aligner = Aligner(
        detector, size, args.fallback, args.limited, args.max_pixels,
        bounds, accept_uncertain=args.uncertain == "accept",
    )  # fmt: skip
    keep_options(args.output, {"detector": type(detector).__name__, **options}, bounds)
    facts = FactsWriter(args.output)
    outcomes = []
    try:
        for photo, outcome in zip(photos, align_all(aligner, photos, args.threads), strict=True):
            outcomes.append(outcome)
            facts.add(_name(photo, args.output), None if outcome.reason else outcome.facts)
        facts.finish(
            _name(photo, args.output)
            for photo, outcome in zip(photos, outcomes, strict=True)
            if not outcome.reason
        )
    finally:
        facts.close()
    write_results(
        args.output, photos, [one.reason for one in outcomes], is_list=args.photos.is_file()
    )
    return _summary(photos, outcomes, args.output)


def _refuse_unused(args: argparse.Namespace, photos: Sequence[Photo]) -> None:
    """Raise ValueError for options that would do nothing."""
    if args.limited:
        refuse_changed(build_parser(), args, ("min_size",), "--limited, which looks for no size,")
    refuse_unsought(build_parser(), args, photos, "limited", "fallback")


def _name(photo: Photo, output: Path) -> str:
    return photo.crop_path.relative_to(output).as_posix()


def _summary(photos: Sequence[Photo], outcomes: Sequence[Outcome], output: Path) -> int:
    """Print what was made, what was not and why, and what is doubtful; return the exit code."""
    # "score 0.812 below 0.9" and "score 0.79 below 0.9" are one reason.
    failures = Counter(re.sub(r"\d[\d.]*", "..", one.reason) for one in outcomes if one.reason)
    print(f"{len(photos)} photos, {len(photos) - failures.total()} crops in {output}")
    for reason, count in failures.most_common(10):
        print(f"{count:6} {reason}")
    made = [one.facts for one in outcomes if one.facts and not one.reason]
    for count, words in (
        (sum(one["turn"] != "0" for one in made), "were turned and set upright"),
        (sum(one["num_faces"] != "1" for one in made), "have several faces: the main one is taken"),
        (sum(one["doubts"] != "" for one in made), "are uncertain: look at them, or --uncertain "
         "refuse leaves them out"),
    ):  # fmt: skip
        if count:
            print(f"{count:6} {words} (faces.tsv)")
    return SOME_FAILED if failures else 0


if __name__ == "__main__":
    sys.exit(main())
