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
from arcface_mxnet.data.folders import LeftOut
from arcface_mxnet.data.image_files import image_fault
from arcface_mxnet.data.images import read_image
from arcface_mxnet.data.list_faults import all_faults, is_of_other_data, names_in, two_of_each
from arcface_mxnet.embedding.arguments import add_network_arguments, embedding_facts, open_embedder
from arcface_mxnet.embedding.stored_embeddings import num_stored, read_embeddings, store_embeddings
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.eval.frame_distances import DISTANCES, set_distances
from arcface_mxnet.eval.intervals import wilson
from arcface_mxnet.eval.protocols import verify_distances
from arcface_mxnet.limits import shown
from arcface_mxnet.paths import inside
from arcface_mxnet.text import read_lines
import numpy as np
from tqdm import tqdm


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
    add(
        "--skip-missing",
        action="store_true",
        help="leave out pairs of videos without frames and "
        "frames that are no images; their numbers are told (default: an error that names them)",
    )
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
    splits = read_splits(root / "splits2.txt")
    frames = list_videos(root, splits, arguments.frames, skip=arguments.skip_missing)
    facts = embedding_facts(arguments, arguments.model)
    num_done = num_stored(arguments.features, facts | listing(frames, root), _count(frames))
    frames, num_bad = present_frames(frames, root, num_done, skip=arguments.skip_missing)
    is_there = [left in frames and right in frames for left, right, _ in zip(*splits, strict=True)]
    left, right = ([name for name, there in zip(names, is_there, strict=True) if there]
                   for names in splits[:2])  # fmt: skip
    is_genuine = splits[2][is_there]
    paths = [path for of_video in frames.values() for path in of_video]
    store_embeddings(
        arguments.features,
        facts | listing(frames, root),
        len(paths),
        lambda start: (read_image(path)[..., ::-1] for path in paths[start:]),
        lambda: open_embedder(arguments, arguments.model),
    )
    units = unit_features(arguments.features, len(paths))
    starts = np.cumsum([0, *(len(of_video) for of_video in frames.values())])
    row_of = {video: row for row, video in enumerate(frames)}
    pairs = np.array([[row_of[a], row_of[b]] for a, b in zip(left, right, strict=True)])
    distances = set_distances(units, starts, pairs, arguments.distance)
    result = verify_distances(distances, is_genuine, folds=arguments.nfolds)
    right_pairs = sum(round(fold.accuracy * fold.num_pairs) for fold in result.per_fold)
    low, high = wilson(right_pairs, len(is_genuine))
    print(f"[ytf]{len(is_genuine)} pairs of {len(frames)} videos, {len(paths)} frames")
    if not all(is_there) or num_bad:
        print(f"[ytf]left out: {is_there.count(False)} of {len(is_there)} pairs, whose videos have "
              f"no frames, and {num_bad} frames that are no images")  # fmt: skip
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


Splits = tuple[list[str], list[str], np.ndarray]  # left videos, right videos, is_genuine


def read_splits(path: Path) -> Splits:
    """Return (left videos, right videos, is_genuine) of splits2.txt, "name/video" each.

    Raises ValueError that counts the bad lines and names the first of them.
    """
    left, right, flags, faults = [], [], [], []
    for place, (number, line) in enumerate(read_lines(path, "list of video pairs")):
        fields = [field.strip() for field in line.split("," if "," in line else None)]
        if not any(fields) or (place == 0 and not fields[0].isdigit()):
            continue
        videos = fields[2:4]
        if len(fields) < 5 or fields[-1] not in ("0", "1"):
            faults.append(f"line {number}: expected split, number, video, video, .., 0|1")
            continue
        wrong = [
            video for video in videos
            if len(Path(video).parts) != 2 or ".." in Path(video).parts or video[0] == "/"
        ]  # fmt: skip
        if wrong:
            faults.append(f"line {number}: {shown(wrong[0])} is not name/video")
            continue
        left.append(videos[0])
        right.append(videos[1])
        flags.append(fields[-1] == "1")
    if faults:
        raise ValueError(all_faults(f"{path}: {len(faults)} bad lines:", faults))
    if not flags:
        raise ValueError(f"{path}: holds no pair of videos")
    return left, right, np.array(flags, dtype=bool)


def list_videos(root: Path, splits: Splits, limit: int, *, skip: bool) -> dict[str, list[Path]]:
    """Return the frames of each video of the pairs, in the order of the names.

    Raises ValueError that counts the videos without frames and names the first of them; with skip
    only if almost all are.
    """
    videos, missing = {}, {}
    names = sorted({*splits[0], *splits[1]})
    for video in tqdm(names, "videos", disable=None):
        try:
            videos[video] = list_frames(root / "images", video, limit)
        except FileNotFoundError as error:
            missing[video] = str(error)
    if not missing:
        return videos
    head = f"{root / 'splits2.txt'}: {len(missing)} of {len(names)} videos have no frames:"
    if is_of_other_data(len(videos), len(names)):
        sides = two_of_each(missing, names_in(root / "images"))
        raise ValueError(f"{head[:-1]}; is {root} the right folder? {sides}")
    if not skip:
        cure = "bring them, or give --skip-missing to leave their pairs out"
        raise ValueError(all_faults(head, list(missing.values()), cure))
    return videos


def present_frames(
    videos: dict[str, list[Path]], root: Path, num_done: int, *, skip: bool
) -> tuple[dict[str, list[Path]], int]:
    """Return the videos with the frames that may be images, and how many others there are.

    num_done: the first frames, that need no file any more.  Raises ValueError that counts the
    others and names the first of them; with skip only if almost all are.
    """
    paths = [path for frames in videos.values() for path in frames]
    faults = {}
    for path in tqdm(paths[num_done:], "check", unit=" frames", disable=None):
        fault = image_fault(path)
        if fault:
            faults[path] = fault
    if not faults:
        return videos, 0
    if not skip or is_of_other_data(len(paths) - len(faults), len(paths)):
        raise ValueError(all_faults(
            f"{root / 'images'}: {len(faults)} of {len(paths)} frames are no images:",
            [f"{path}: {fault}" for path, fault in faults.items()],
            "bring them, or give --skip-missing to leave them out",
        ))  # fmt: skip
    kept = {name: [path for path in frames if path not in faults]
            for name, frames in videos.items()}  # fmt: skip
    return {name: frames for name, frames in kept.items() if frames}, len(faults)


def listing(videos: dict[str, list[Path]], root: Path) -> dict[str, str]:
    """Return what of the frames decides the embeddings: their names and order."""
    names = [path.relative_to(root).as_posix() for frames in videos.values() for path in frames]
    text = "\n".join(names).encode("utf-8", "surrogateescape")
    return {"list": hashlib.sha256(text).hexdigest()}


def _count(videos: dict[str, list[Path]]) -> int:
    return sum(map(len, videos.values()))


def list_frames(images: Path, video: str, limit: int) -> list[Path]:
    """Return the frames of a video in order, at most `limit` evenly spread (0: all)."""
    folder = inside(images, video)
    frames = LeftOut(folder).entries(folder)[1] if folder.is_dir() else []
    if not frames:
        raise FileNotFoundError(f"{folder.absolute()}: no frames of this video")
    if limit and len(frames) > limit:
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, limit).round().astype(int)]
    return frames


if __name__ == "__main__":
    sys.exit(main())
