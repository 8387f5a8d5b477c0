"""Pack pairs of images into a pair set NAME.bin that any reader of the published packs reads.

    arcface-pack-pairs lfw --data-dir lfw-aligned --output lfw.bin
    arcface-pack-pairs cfp_fp --data-dir CFP --align mtcnn --output cfp_fp.bin
    arcface-pack-pairs list --data-dir photos --pairs pairs.txt --output mine.bin
    arcface-pack-pairs folder --data-dir people --fit pad --seed 1 --output mine.bin

Kinds, with the list that is expected in --data-dir unless --pairs names another:

    lfw       pairs.txt                        name/name_0001.jpg, or of another ending
    cfp_ff    CFP_frontal_paris.mat            paths of the list
    cfp_fp    CFP_profile_paris.mat            paths of the list; --pairs CFP/Protocol reads
                                               the lists that CFP comes with
    agedb_30  04_FINAL_protocol_30_years.mat   03_Protocol_Images/
    calfw     pairs_CALFW.txt                  two lines `file label` a pair
    cplfw     pairs_CPLFW.txt                  two lines `file label` a pair
    list      pairs.txt                        lines `path1 path2 0|1`
    folder    none: drawn from one subfolder per identity

An image may have another ending than listed (arcface-align writes .png).  Beside NAME.bin,
NAME.pairs.tsv keeps identities and paths, for intervals and reports.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
import logging
from pathlib import Path
import sys

from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.data.list_faults import all_faults, is_of_other_data, missing_message
from arcface_mxnet.data.other_endings import ImageFinder
from arcface_mxnet.engines.arguments import add_engine_arguments
from arcface_mxnet.errors import reason_of
from arcface_mxnet.eval.failures import COLUMN, SIDES
from arcface_mxnet.eval.folder_pairs import ListedPair, spread
from arcface_mxnet.eval.pair_images import FITS, ImagePreparer
from arcface_mxnet.eval.pair_lists import PAIR_LISTS
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.eval.protocols import fold_numbers
from arcface_mxnet.given import check_outputs, file_name, refuse_changed, whole
import numpy as np
from tqdm import tqdm

logger = logging.getLogger(__name__)

NAMED_AT_MOST = 10  # images without a face
PUBLISHED_FOLDS = 10
ALIGNMENTS = ("none", "mtcnn")
THRESHOLDS = (0.6, 0.7, 0.7)  # As published: CFP and AgeDB were packed with these scores.


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-pack-pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("kind", choices=PAIR_LISTS.names(), help="what is packed, see above")
    add("--data-dir", required=True, help="folder of the images")
    add("--pairs", help="the list (default: its usual name in --data-dir)")
    add("--output", required=True, type=file_name(".bin"), help="pair set to write, NAME.bin")
    add_image_size_argument(parser)
    add("--skip-missing", action="store_true", help="leave out pairs with a missing or bad image; "
        "their number is told (default: an error that names the images)")  # fmt: skip
    add("--align", choices=ALIGNMENTS, default="none", help="none: the images are aligned crops, "
        "stored byte for byte; mtcnn: detect and align each (%(default)s)")  # fmt: skip
    add("--fit", choices=FITS, default="refuse", help="what to do with crops of another size: "
        "refuse them, scale them onto a black ground, or stretch them (%(default)s)")  # fmt: skip
    add_detector_arguments(parser)
    add_engine_arguments(parser)
    add("--encoding", choices=(".jpg", ".png"), default=".jpg", help="of images that are written "
        "anew (%(default)s)")  # fmt: skip
    add("--quality", type=whole(1, 100), default=95, help="JPEG quality 1 to 100 (%(default)s)")
    for kind in PAIR_LISTS:
        group = parser.add_argument_group(kind)
        for name, options in PAIR_LISTS[kind].flags.items():
            group.add_argument(f"--{name.replace('_', '-')}", **options)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: pack(arguments))


def pack(arguments: argparse.Namespace) -> None:
    """Write the pair set and print what is in it."""
    root = Path(arguments.data_dir)
    _refuse_unused(arguments)
    check_outputs({"--output": arguments.output}, [arguments.pairs])
    listed = listed_pairs(arguments)
    pairs = present(listed, arguments.pairs or root, root, skip=arguments.skip_missing)
    kind = PAIR_LISTS[arguments.kind]
    detector = None
    if arguments.align == "mtcnn":
        own = {"thresholds": THRESHOLDS, "factor": kind.factor}
        detector = chosen_detector(arguments, {"mtcnn": own})
    preparer = ImagePreparer(
        parse_size(arguments.image_size),
        detector=detector,
        fit=arguments.fit,
        encoding=arguments.encoding,
        quality=arguments.quality,
    )
    encoded = prepared(pairs, preparer, skip=arguments.skip_missing)
    pairs = [pair for pair in pairs if pair.left in encoded and pair.right in encoded]
    if kind.list_name and lacks_a_class(np.array([pair.is_genuine for pair in pairs])):
        pairs = spread(pairs)
        logger.warning(
            "the list's order leaves a fold with genuine or impostor pairs only; the pairs were "
            "spread, each kind in its order"
        )
    without_face = None if detector is None else set(preparer.without_face)
    pair_set = to_pair_set(pairs, encoded, root, without_face)
    write_pair_set(arguments.output, pair_set)
    genuine = int(pair_set.is_genuine.sum())
    num_images = len(set(pair_set.paths))
    print(
        f"{arguments.output}: {len(pair_set)} pairs, {genuine} genuine and "
        f"{len(pair_set) - genuine} impostor, of {num_images} images; "
        f"{len(listed) - len(pairs)} pairs left out for missing or bad files"
    )
    if preparer.without_face:
        print(
            f"no face was found in {len(preparer.without_face)} images, their centre was cut: "
            + ", ".join(map(str, preparer.without_face[:NAMED_AT_MOST]))
            + "; arcface-verify --failures says what becomes of them"
        )


def _refuse_unused(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options of another kind of list, and of work that is not asked for."""
    parser, kind = build_parser(), PAIR_LISTS[arguments.kind]
    others = {name for other in PAIR_LISTS for name in PAIR_LISTS[other].flags} - set(kind.flags)
    others |= set() if kind.list_name else {"pairs"}
    refuse_changed(parser, arguments, sorted(others), arguments.kind)
    if arguments.align == "none":
        refuse_changed(parser, arguments, ("detector", "min_size"), "--align none")
        if arguments.fit == "refuse":
            by = "what stores the images byte for byte (--align none, --fit refuse)"
            refuse_changed(parser, arguments, ("quality",), by)


def listed_pairs(arguments: argparse.Namespace) -> list[ListedPair]:
    """Return the pairs that the command line asks for, whether their files exist or not."""
    root = Path(arguments.data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"--data-dir {root.absolute()}: no such folder")
    kind = PAIR_LISTS[arguments.kind]
    list_path = None
    if kind.list_name:
        list_path = Path(arguments.pairs) if arguments.pairs else root / kind.list_name
        if not list_path.exists():
            raise FileNotFoundError(f"{list_path.absolute()}: no such list; name it with --pairs")
    images = root / kind.images
    if not images.is_dir():
        images = root  # the crops of that folder alone
    flags = {name: getattr(arguments, name) for name in kind.flags}
    return kind.read(list_path, images, **flags)


def present(
    pairs: list[ListedPair], source: str | Path, root: Path, *, skip: bool
) -> list[ListedPair]:
    """Return the pairs with the files that are there, under whatever ending.

    Raises ValueError that counts the files that are missing or no images and names the first of
    them; with skip their pairs are left out instead, unless almost nothing is there.
    """
    finder, found, faults = ImageFinder(), {}, {}
    for path in dict.fromkeys(path for pair in pairs for path in (pair.left, pair.right)):
        try:
            found[path] = finder.find(path)
        except ValueError as error:
            faults[path] = str(error)
    kept = [
        replace(pair, left=found[pair.left], right=found[pair.right])
        for pair in pairs
        if not {pair.left, pair.right} & faults.keys()
    ]
    num_listed = len(found) + len(faults)
    if faults:
        lines = [f"{path}: {fault}" for path, fault in faults.items()]
        message = missing_message(
            source, root, list(faults), num_listed, lines,
            f"{len(pairs) - len(kept)} of {len(pairs)} pairs need them"
            + ("" if skip else ": bring them, or give --skip-missing to leave these pairs out"),
        )  # fmt: skip
        if not skip or not kept or is_of_other_data(len(found), num_listed):
            raise ValueError(message)
        logger.warning("%s", message)
    if finder.num_renamed:
        old = next(path for path, new in found.items() if path != new)
        logger.info(
            "%d of %d images have another ending than listed: %s for %s",
            finder.num_renamed, num_listed, found[old].name, old.name,
        )  # fmt: skip
    return kept


def prepared(
    pairs: list[ListedPair], prepare: Callable[[Path], bytes], *, skip: bool
) -> dict[Path, bytes]:
    """Return the encoded crop of each file, each prepared once.

    Raises ValueError that counts the images that cannot be used and names the first of them; with
    skip they are left out, unless none is left.
    """
    encoded, faults = {}, []
    sides = dict.fromkeys(side for pair in pairs for side in (pair.left, pair.right))
    for path in tqdm(sides, unit=" images", disable=None):
        try:
            encoded[path] = prepare(path)
        except (ValueError, OSError) as error:
            faults.append(reason_of(error))
    if faults:
        message = all_faults(f"{len(faults)} of {len(sides)} images cannot be packed:", faults)
        if not skip or not any(p.left in encoded and p.right in encoded for p in pairs):
            raise ValueError(message)
        logger.warning("%s", message)
    return encoded


def lacks_a_class(is_genuine: np.ndarray) -> bool:
    """Return whether the published ten contiguous folds would lack a class that spreading gives."""
    rarer = min(int(is_genuine.sum()), int((~is_genuine).sum()))
    if rarer < PUBLISHED_FOLDS:
        return False
    try:
        fold_numbers(is_genuine, PUBLISHED_FOLDS)
    except ValueError:
        return True
    return False


def to_pair_set(
    pairs: list[ListedPair],
    encoded: dict[Path, bytes],
    root: Path,
    without_face: set[Path] | None = None,
) -> PairSet:
    """Return the pair set of the files; names are kept relative to root.

    without_face: the files where no face was found, for the column "failed"; None if none was
    looked for.
    """
    columns = {name: [dict(p.columns)[name] for p in pairs] for name, _ in pairs[0].columns}
    if without_face is not None:
        if COLUMN in columns:
            raise ValueError(
                f"the list has a column {COLUMN!r}, which --align writes: leave one of them out"
            )
        words = {sides: word for word, sides in SIDES.items()}
        failed = [words[p.left in without_face, p.right in without_face] for p in pairs]
        columns |= {COLUMN: failed}
    sides = [side for pair in pairs for side in (pair.left, pair.right)]
    identities = [name for p in pairs for name in (p.left_identity, p.right_identity)]
    return PairSet(
        [encoded[path] for path in sides],
        np.array([pair.is_genuine for pair in pairs]),
        identities if all(identities) else (),
        [path.relative_to(root).as_posix() for path in sides],
        columns,
    )


if __name__ == "__main__":
    sys.exit(main())
