"""Photos or crops to vectors and an index, by whatever network.

    arcface-embed CROPS vectors.npy --model model/r50,1
    arcface-embed PHOTOS vectors.parquet --detect --model zoo/w600k_r50.onnx@insightface
    arcface-embed DATASET/lfw.bin lfw.npy --model model/r50,1 --flip joined

INPUT is a folder of images, a list (.lst, or a path a line), a dataset folder or FILE.rec, or a
pair set.  OUTPUT is FILE.npy (with FILE.names a packed store), FILE.csv or FILE.parquet.  Beside it
FILE.index.tsv says of each vector name, identity, path and, with --detect, turn, doubts and quality
of the face, FILE.failures.tsv which images have no vector and why, FILE.json what made them.  All
appear together; killed and started again it goes on where it was.  What it writes is ready vectors
for arcface-verify, arcface-ijb, arcface-ytf and arcface-megaface.

Exit code 0 if there is a vector of every image, 1 if some failed, 2 for bad input.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import re
import sys

from arcface_mxnet.align.aligner import FACTS, Aligner, Outcome, one_line
from arcface_mxnet.align.arguments import (
    add_detector_arguments,
    add_quality_arguments,
    chosen_bounds,
    chosen_detector,
    refuse_unsought,
)
from arcface_mxnet.align.quality import QualityBounds
from arcface_mxnet.align.template import SIZES
from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.data.images import MAX_PIXELS
from arcface_mxnet.embedding.arguments import (
    add_network_arguments,
    embedding_facts,
    open_embedder,
)
from arcface_mxnet.embedding.embed_crops import prepared_blocks
from arcface_mxnet.embedding.embed_inputs import Inputs, Item, kind_of, read_inputs
from arcface_mxnet.embedding.embed_work import Work
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.embedding.vector_files import (
    WRITERS,
    check_form,
    members,
    write_vectors,
)
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.given import (
    MOST,
    MOST_IMAGES,
    MOST_THREADS,
    check_counts,
    path_name,
    refuse_changed,
)
from arcface_mxnet.text import read_json
import numpy as np
from tqdm import tqdm

SOME_FAILED = 1
FLIPS = ("none", "sum", "joined")
DEFAULT_SIZE = (112, 112)
BATCHES_AT_ONCE = 4  # read and aligned ahead while as many are embedded
LARGEST_NOTE = 1 << 20  # bytes


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-embed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("input", type=path_name, help="folder, list, dataset folder, FILE.rec or pair set")
    add("output", type=path_name, help=f"file to write: {', '.join(WRITERS.names())}")
    add("--model", required=True, help="PREFIX,NUMBER or FILE.onnx, FILE.onnx@PRESET")
    add(
        "--root",
        type=path_name,
        help="folder that paths of a list are relative to (default: its own)",
    )
    add("--strict", action="store_true", help="anything in the folder but images is an error (left "
        "out and told otherwise)")  # fmt: skip
    add("--flip", choices=FLIPS, default="sum", help="add the embedding of the mirrored image, or "
        "keep both, plain then flipped, in one row (%(default)s)")  # fmt: skip
    add("--normalize", type=int, choices=(0, 1), default=1, help="1: vectors of unit length; of "
        "joined halves each (%(default)s)")  # fmt: skip
    add("--detect", action="store_true", help="the images are photos: find the main face of each "
        "and align it (default: they are crops)")  # fmt: skip
    add_detector_arguments(parser)
    add("--uncertain", default="accept", choices=("accept", "refuse"), help="a face that its score "
        "or landmarks speak against: a vector, marked in the index, or a failure "
        "(%(default)s)")  # fmt: skip
    add_quality_arguments(parser)
    add_image_size_argument(parser, default=None, otherwise="the ONNX file's, else 112,112")
    add("--max-pixels", type=int, default=MAX_PIXELS, help="pixels of the largest image that is "
        "decoded, as its file says (%(default)s)")  # fmt: skip
    add("--threads", type=int, default=2, help="images in work at once (%(default)s)")
    add_network_arguments(parser, batch_size=32)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: embed(arguments))


def embed(arguments: argparse.Namespace) -> int:
    """Embed what is not embedded yet, write the files, and return the exit code."""
    output = arguments.output
    check_counts(arguments, threads=MOST_THREADS, max_pixels=MOST, batch_size=MOST_IMAGES)
    if not arguments.detect:
        names = ("detector", "min_size", "uncertain", *vars(QualityBounds()))
        refuse_changed(build_parser(), arguments, names, "what embeds crops (no --detect)")
    kind = kind_of(arguments.input)
    of_kinds = ("root", "strict")
    used = {"list": ("root",), "folder": ("strict",)}.get(kind, ())
    refuse_changed(build_parser(), arguments, set(of_kinds) - set(used), f"a {kind}")
    inputs = read_inputs(arguments.input, arguments.root, strict=arguments.strict)
    if arguments.detect:
        refuse_unsought(build_parser(), arguments, inputs.items)
    check_form(output, [name for name, *_ in _named(inputs)])
    origin = origin_of(arguments, inputs)
    if is_written(output, origin):
        print(f"{output} is complete")
        return SOME_FAILED if members(output)[-2].is_file() else 0
    work = Work(output, origin, len(inputs.items), columns=len(FACTS))
    try:
        if work.done < work.count:
            fill(work, inputs.items, arguments)
        vectors, lines = work.result()
        return write(output, inputs, vectors, lines, origin, work)
    finally:
        work.close()


def origin_of(arguments: argparse.Namespace, inputs: Inputs) -> dict[str, str]:
    """Return what the vectors depend on: model, engine, dtype, input, images, flip, alignment."""
    alignment = "crops as given"
    if arguments.detect:
        bounds = {name: value for name, value in vars(chosen_bounds(arguments)).items()
                  if value is not None}  # fmt: skip
        alignment = (
            f"detected by {arguments.detector}, faces from {arguments.min_size} pixels, uncertain "
            f"{arguments.uncertain}{''.join(f', {name} {v:g}' for name, v in bounds.items())}"
        )
    return embedding_facts(arguments, arguments.model) | {
        "images": inputs.fingerprint,
        "image_size": arguments.image_size or "",
        "flip": arguments.flip,
        "normalize": str(arguments.normalize),
        "alignment": alignment,
    }


def is_written(output: Path, origin: dict[str, str]) -> bool:
    """Return whether the output is there.  Raises ValueError if it is of another job."""
    if not output.exists():
        return False
    about = members(output)[-1]
    known = read_json(about, "note of vectors", limit=LARGEST_NOTE) if about.is_file() else {}
    if not isinstance(known, dict) or known.get("origin") != origin:
        raise ValueError(
            f"{output}: holds vectors of another model, other images or other options; delete it "
            "or choose another output"
        )
    return True


def fill(work: Work, items: Sequence[Item], arguments: argparse.Namespace) -> None:
    """Embed the images that are not done, block by block."""
    network = open_embedder(arguments, arguments.model, flip=arguments.flip != "none")
    size = chosen_size(network, arguments)
    detector = chosen_detector(arguments) if arguments.detect else None
    aligner = Aligner(
        detector, size, max_pixels=arguments.max_pixels, bounds=chosen_bounds(arguments),
        accept_uncertain=arguments.uncertain == "accept",
    )  # fmt: skip

    block = BATCHES_AT_ONCE * arguments.batch_size
    with (
        tqdm(total=work.count, initial=work.done, unit=" images", disable=None) as bar,
        ThreadPoolExecutor(arguments.threads) as pool,
    ):
        for outcomes in prepared_blocks(items[work.done :], block, pool, aligner):
            crops = [crop for crop, _ in outcomes if crop is not None]
            if not crops and not work.dimension:
                crops = [np.zeros((*size, 3), np.uint8)]  # tells the dimension
            made = vectors_of(network, crops, arguments) if crops else None
            dimension = work.dimension or made.shape[1]
            rows = np.zeros((len(outcomes), dimension), np.float32)
            is_there = [crop is not None for crop, _ in outcomes]
            if any(is_there):
                rows[is_there] = made
            work.add(rows, [_fields(outcome) for _, outcome in outcomes])
            bar.update(len(outcomes))


def chosen_size(network: Embedder, arguments: argparse.Namespace) -> tuple[int, int]:
    """Return (height, width) of the crops.  Raises ValueError if no face can be aligned to it."""
    size = parse_size(arguments.image_size) if arguments.image_size else network.size
    size = size or DEFAULT_SIZE
    if arguments.detect and size not in SIZES:
        known = " and ".join(f"{height},{width}" for height, width in SIZES)
        raise ValueError(
            f"--detect: crops of {size[0]},{size[1]}: the points that faces are aligned to are "
            f"known for {known}; align the photos yourself and give the crops"
        )
    return size


def vectors_of(
    network: Embedder, crops: Sequence[np.ndarray], arguments: argparse.Namespace
) -> np.ndarray:
    """Return the vectors, float32 (n, D) or (n, 2 D), of RGB crops as the flags want them."""
    plain, flipped = network.plain_and_flipped(crops, flip=arguments.flip != "none")
    parts = [plain] if flipped is None else [plain + flipped]
    if arguments.flip == "joined":
        parts = [plain, flipped]
    if arguments.normalize:
        parts = [unit_rows(part) for part in parts]
    return np.concatenate(parts, axis=1)


def _fields(outcome: Outcome) -> list[str]:
    facts = outcome.facts or {}
    return [outcome.reason, *(one_line(facts.get(name, "")) for name in FACTS)]


def write(
    output: Path,
    inputs: Inputs,
    vectors: np.ndarray,
    lines: Sequence[Sequence[str]],
    origin: dict[str, str],
    work: Work,
) -> int:
    """Write the files of the result, remove the work, print the counts; return the exit code."""
    places = np.arange(len(inputs.items)) if inputs.rows is None else inputs.rows
    reasons = [lines[place][0] for place in places]
    kept = [row for row, reason in enumerate(reasons) if not reason]
    named = _named(inputs)
    if not kept:
        work.remove()
        raise ValueError(f"{output}: none of {len(places)} images has a vector; the first: "
                         f"{named[0][0]}: {reasons[0]}")  # fmt: skip
    rows = places[kept]
    write_vectors(
        output,
        [named[row][0] for row in kept],
        lambda part: vectors[rows[part]],
        vectors.shape[1],
        [["name", "identity", "path", *FACTS]]
        + [[*named[row], *lines[places[row]][1:]] for row in kept],
        [[named[row][0], reason] for row, reason in enumerate(reasons) if reason],
        {"origin": origin, "count": len(kept), "failed": len(places) - len(kept)},
    )
    work.remove()
    # "score 0.812 below 0.9" and "score 0.79 below 0.9" are one reason.
    failures = Counter(re.sub(r"\d[\d.]*", "..", reason) for reason in reasons if reason)
    print(f"{output}: {len(kept)} vectors of {vectors.shape[1]} values, {failures.total()} of "
          f"{len(places)} images failed")  # fmt: skip
    for reason, count in failures.most_common(10):
        print(f"{count:6} {reason}")
    return SOME_FAILED if failures else 0


def _named(inputs: Inputs) -> list[list[str]]:
    """Return name, identity and path of each row."""
    if inputs.rows is None:
        return [[item.name, item.identity, item.path] for item in inputs.items]
    empty = [""] * len(inputs.names)
    columns = inputs.names, inputs.identities or empty, inputs.paths or empty
    return [[one_line(field) for field in fields] for fields in zip(*columns, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
