"""YouTube Faces: video pairs by k-fold cross validation.

    arcface-ytf --data-dir YTF --model model/r50,1 --features ytf_r50.npy

DIR/images/NAME/VIDEO/*.jpg are aligned frames; DIR/splits2.txt has a pair in each line: split,
number, name/video, name/video, 1 if same (other fields may follow in between).
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.data.folders import is_image
from arcface_mxnet.data.images import read_image
from arcface_mxnet.embedding.arguments import add_network_arguments, embedding_facts, open_embedder
from arcface_mxnet.embedding.stored_embeddings import read_embeddings, store_embeddings
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.eval.frame_distances import DISTANCES, set_distances
from arcface_mxnet.eval.intervals import wilson
from arcface_mxnet.eval.protocols import verify_distances
from arcface_mxnet.limits import shown
from arcface_mxnet.paths import inside
from arcface_mxnet.text import read_lines
import numpy as np


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-ytf",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="folder with images/ and splits2.txt")
    add("--model", required=True, help="checkpoint PREFIX,NUMBER or FILE.onnx")
    add("--features", required=True, help="where the embeddings are kept, FILE.npy")
    add("--distance", choices=DISTANCES, default="mean-feature", help="between two videos: squared "
        "L2 of their mean unit embeddings, or the least, mean or greatest of all pairs of frames "
        "(%(default)s)")  # fmt: skip
    add("--frames", type=int, default=0, help="frames of each video, evenly spread (0: all)")
    add("--nfolds", type=int, default=10, help="folds (%(default)s)")
    add_network_arguments(parser, batch_size=64)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Embed the frames that are not embedded yet and print the k-fold result."""
    root = Path(arguments.data_dir)
    left, right, is_genuine = read_splits(root / "splits2.txt")
    videos = sorted({*left, *right})
    frames = [list_frames(root / "images", video, arguments.frames) for video in videos]
    paths = [path for of_video in frames for path in of_video]
    listing = "\n".join(path.relative_to(root).as_posix() for path in paths)
    store_embeddings(
        arguments.features,
        embedding_facts(arguments, arguments.model)
        | {"list": hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()},
        len(paths),
        lambda start: (read_image(path)[..., ::-1] for path in paths[start:]),
        lambda: open_embedder(arguments, arguments.model),
    )
    units = unit_features(arguments.features, len(paths))
    starts = np.cumsum([0, *(len(of_video) for of_video in frames)])
    row_of = {video: row for row, video in enumerate(videos)}
    pairs = np.array([[row_of[a], row_of[b]] for a, b in zip(left, right, strict=True)])
    distances = set_distances(units, starts, pairs, arguments.distance)
    result = verify_distances(distances, is_genuine, folds=arguments.nfolds)
    right_pairs = sum(round(fold.accuracy * fold.num_pairs) for fold in result.per_fold)
    low, high = wilson(right_pairs, len(is_genuine))
    print(f"[ytf]{len(is_genuine)} pairs of {len(videos)} videos, {len(paths)} frames")
    print(f"[ytf]Accuracy-Flip: {result.accuracy:1.5f}+-{result.std:1.5f} ({low:.5f} to {high:.5f})"
          f" at cosine {result.threshold:.4f} = squared L2 {result.squared_l2:.4f}")  # fmt: skip


def unit_features(features_path: str, count: int) -> np.ndarray:
    """Return the unit embeddings of all frames, float32 (N, D), plain + flipped."""
    units = None
    for start, plain, flipped in read_embeddings(features_path, count):
        block = unit_rows(plain + flipped, np.float64)
        units = np.empty((count, block.shape[1]), np.float32) if units is None else units
        units[start : start + len(block)] = block
    return units


def read_splits(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Return (left videos, right videos, is_genuine) of splits2.txt, "name/video" each."""
    left, right, flags = [], [], []
    for place, (number, line) in enumerate(read_lines(path, "list of video pairs")):
        fields = [field.strip() for field in line.split("," if "," in line else None)]
        if not any(fields) or (place == 0 and not fields[0].isdigit()):
            continue
        videos = fields[2:4]
        if len(fields) < 5 or fields[-1] not in ("0", "1"):
            raise ValueError(f"{path} line {number}: expected split, number, video, video, .., 0|1")
        for video in videos:
            if len(Path(video).parts) != 2 or ".." in Path(video).parts or video[0] == "/":
                raise ValueError(f"{path} line {number}: {shown(video)} is not name/video")
        left.append(videos[0])
        right.append(videos[1])
        flags.append(fields[-1] == "1")
    if not flags:
        raise ValueError(f"{path}: holds no pair of videos")
    return left, right, np.array(flags, dtype=bool)


def list_frames(images: Path, video: str, limit: int) -> list[Path]:
    """Return the frames of a video in order, at most `limit` evenly spread (0: all)."""
    folder = inside(images, video)
    frames = []
    if folder.is_dir():
        frames = sorted(path for path in folder.iterdir() if is_image(path))
    if not frames:
        raise FileNotFoundError(f"{folder.absolute()}: no frames of this video")
    if limit and len(frames) > limit:
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, limit).round().astype(int)]
    return frames


if __name__ == "__main__":
    sys.exit(main())
