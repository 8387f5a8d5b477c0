"""Pack pairs of images into a pair set NAME.bin that any reader of the published packs reads.

    arcface-pack-pairs lfw --data-dir lfw-aligned --output lfw.bin
    arcface-pack-pairs cfp_fp --data-dir CFP --align mtcnn --output cfp_fp.bin
    arcface-pack-pairs list --data-dir photos --pairs pairs.txt --output mine.bin
    arcface-pack-pairs folder --data-dir people --fit pad --seed 1 --output mine.bin

Kinds, with the list that is expected in --data-dir unless --pairs names another:

    lfw       pairs.txt                        name/name_0001.jpg
    cfp_ff    CFP_frontal_paris.mat            paths of the list
    cfp_fp    CFP_profile_paris.mat            paths of the list; --pairs CFP/Protocol reads
                                               the lists that CFP comes with
    agedb_30  04_FINAL_protocol_30_years.mat   03_Protocol_Images/
    calfw     pairs_CALFW.txt                  two lines `file label` a pair
    cplfw     pairs_CPLFW.txt                  two lines `file label` a pair
    list      pairs.txt                        lines `path1 path2 0|1`
    folder    none: drawn from one subfolder per identity

Beside NAME.bin, NAME.pairs.tsv keeps identities and paths, for intervals and reports.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import logging
from pathlib import Path
import sys

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.engines.arguments import add_engine_arguments, chosen_gpu
from arcface_mxnet.eval.folder_pairs import ListedPair, folder_pairs, spread
from arcface_mxnet.eval.pair_images import ALIGNMENTS, FITS, ImagePreparer
from arcface_mxnet.eval.pair_lists import (
    read_agedb,
    read_cfp,
    read_flagged,
    read_lfw,
    read_two_lines,
)
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.eval.protocols import fold_numbers
import numpy as np
from tqdm import tqdm

logger = logging.getLogger(__name__)

NAMED_AT_MOST = 10  # missing files that are listed one by one
PUBLISHED_FOLDS = 10


@dataclass(frozen=True)
class Kind:
    """A published list: its reader, its usual name, where its images lie under --data-dir, and
    the pyramid factor with which its published packer detected faces."""

    read: Callable[[Path, Path], list[ListedPair]]
    list_name: str
    images: str = ""
    factor: float = 0.709


KINDS = {
    "lfw": Kind(read_lfw, "pairs.txt"),
    "cfp_ff": Kind(partial(read_cfp, profile=False), "CFP_frontal_paris.mat", factor=0.9),
    "cfp_fp": Kind(partial(read_cfp, profile=True), "CFP_profile_paris.mat", factor=0.9),
    "agedb_30": Kind(read_agedb, "04_FINAL_protocol_30_years.mat", "03_Protocol_Images", 0.85),
    "calfw": Kind(read_two_lines, "pairs_CALFW.txt"),
    "cplfw": Kind(read_two_lines, "pairs_CPLFW.txt"),
    "list": Kind(read_flagged, "pairs.txt"),
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-pack-pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("kind", choices=[*KINDS, "folder"], help="what is packed, see above")
    add("--data-dir", required=True, help="folder of the images")
    add("--pairs", help="the list (default: its usual name in --data-dir)")
    add("--output", required=True, help="pair set to write, NAME.bin")
    add_image_size_argument(parser)
    add("--align", choices=ALIGNMENTS, default="none", help="none: the images are aligned crops, "
        "stored byte for byte; mtcnn: detect and align each (%(default)s)")  # fmt: skip
    add("--fit", choices=FITS, default="refuse", help="what to do with crops of another size: "
        "refuse them, scale them onto a black ground, or stretch them (%(default)s)")  # fmt: skip
    add("--detector", default="models/mtcnn", help="folder of det1 to det3 (%(default)s)")
    add_engine_arguments(parser)
    add("--encoding", choices=(".jpg", ".png"), default=".jpg", help="of images that are written "
        "anew (%(default)s)")  # fmt: skip
    add("--quality", type=int, default=95, help="JPEG quality 1 to 100 (%(default)s)")
    folder = parser.add_argument_group("folder")
    folder.add_argument("--identities", default="", help="only these, comma separated")
    folder.add_argument("--num-genuine", type=int, help="genuine pairs (default: all)")
    folder.add_argument("--num-impostor", type=int, help="impostor pairs (default: as many)")
    folder.add_argument("--disjoint-folds", type=int, default=0, metavar="K",
                        help="K equal folds of different people (default: 0, mixed)")  # fmt: skip
    folder.add_argument("--seed", type=int, default=0, help="of the drawing (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: pack(arguments))


def pack(arguments: argparse.Namespace) -> None:
    """Write the pair set and print what is in it."""
    pairs, missing = present(listed_pairs(arguments))
    flags = np.array([pair.is_genuine for pair in pairs])
    if arguments.kind != "folder" and lacks_a_class(flags):
        pairs = spread(pairs)
        logger.warning(
            "the list's order leaves a fold with genuine or impostor pairs only; the pairs were "
            "spread, each kind in its order"
        )
    preparer = ImagePreparer(
        parse_size(arguments.image_size),
        align=arguments.align,
        fit=arguments.fit,
        detector_dir=arguments.detector,
        gpu=chosen_gpu(arguments),
        engine=arguments.engine,
        factor=KINDS[arguments.kind].factor if arguments.kind in KINDS else 0.709,
        encoding=arguments.encoding,
        quality=arguments.quality,
    )
    pair_set = to_pair_set(pairs, preparer, Path(arguments.data_dir))
    write_pair_set(arguments.output, pair_set)
    genuine = int(pair_set.is_genuine.sum())
    num_images = len(set(pair_set.paths))
    print(
        f"{arguments.output}: {len(pair_set)} pairs, {genuine} genuine and "
        f"{len(pair_set) - genuine} impostor, of {num_images} images; "
        f"{missing} pairs left out for missing files"
    )
    if preparer.without_face:
        print(
            f"no face was found in {len(preparer.without_face)} images, their centre was cut: "
            + ", ".join(map(str, preparer.without_face[:NAMED_AT_MOST]))
        )


def listed_pairs(arguments: argparse.Namespace) -> list[ListedPair]:
    """Return the pairs that the command line asks for, whether their files exist or not."""
    root = Path(arguments.data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"--data-dir {root.absolute()}: no such folder")
    if arguments.kind == "folder":
        names = [name.strip() for name in arguments.identities.split(",") if name.strip()]
        return folder_pairs(
            root,
            np.random.default_rng(arguments.seed),
            identities=names or None,
            num_genuine=arguments.num_genuine,
            num_impostor=arguments.num_impostor,
            disjoint_folds=arguments.disjoint_folds,
        )
    kind = KINDS[arguments.kind]
    list_path = Path(arguments.pairs) if arguments.pairs else root / kind.list_name
    if not list_path.exists():
        raise FileNotFoundError(f"{list_path.absolute()}: no such list; name it with --pairs")
    return kind.read(list_path, root / kind.images)


def present(pairs: list[ListedPair]) -> tuple[list[ListedPair], int]:
    """Return (pairs whose files exist, number of the others), naming the missing files.

    Raises FileNotFoundError if no pair is left.
    """
    paths = dict.fromkeys(path for pair in pairs for path in (pair.left, pair.right))
    missing = {path for path in paths if not path.is_file()}
    kept = [pair for pair in pairs if not {pair.left, pair.right} & missing]
    for path in [path for path in paths if path in missing][:NAMED_AT_MOST]:
        logger.warning("missing: %s", path)
    if len(missing) > NAMED_AT_MOST:
        logger.warning("missing: %d more", len(missing) - NAMED_AT_MOST)
    if not kept:
        raise FileNotFoundError(f"all {len(pairs)} pairs miss a file; is --data-dir right?")
    return kept, len(pairs) - len(kept)


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


def to_pair_set(pairs: list[ListedPair], prepare: Callable[[Path], bytes], root: Path) -> PairSet:
    """Return the pair set of the files, each prepared once; names are kept relative to root."""
    sides = [side for pair in pairs for side in (pair.left, pair.right)]
    encoded = {
        path: prepare(path) for path in tqdm(dict.fromkeys(sides), unit=" images", disable=None)
    }
    identities = [name for p in pairs for name in (p.left_identity, p.right_identity)]
    return PairSet(
        [encoded[path] for path in sides],
        np.array([pair.is_genuine for pair in pairs]),
        identities if all(identities) else (),
        [path.relative_to(root).as_posix() for path in sides],
    )


if __name__ == "__main__":
    sys.exit(main())
