"""YouTube Faces: video pairs by k-fold cross validation.

    arcface-ytf --data-dir YTF --model model/r50,1 --features ytf_r50.npy
    arcface-ytf --data-dir YTF --model vendor=frames.npz --scores other.txt@lower

DIR/images/NAME/VIDEO/*.jpg are aligned frames; DIR/splits2.txt has a pair in each line: split,
number, name/video, name/video, 1 if same (other fields may follow in between).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
import hashlib
from pathlib import Path
import sys

from arcface_mxnet.checkpoints.network import file_fingerprint
from arcface_mxnet.cli import run
from arcface_mxnet.data.folders import LeftOut
from arcface_mxnet.data.image_files import image_fault
from arcface_mxnet.data.images import read_image
from arcface_mxnet.data.list_faults import all_faults, is_of_other_data, names_in, two_of_each
from arcface_mxnet.embedding.arguments import add_network_arguments
from arcface_mxnet.embedding.sources import Embeddings, Images, open_sources, source_facts
from arcface_mxnet.embedding.stored_embeddings import read_embeddings
from arcface_mxnet.embedding.vectors import cosines_of, refuse_zeros, unit_rows
from arcface_mxnet.eval.aliases import add_report_arguments, with_aliases
from arcface_mxnet.eval.evaluation import Evaluation, rates_at_fars
from arcface_mxnet.eval.frame_distances import DISTANCES, set_distances
from arcface_mxnet.eval.intervals import Interval, wilson
from arcface_mxnet.eval.pair_sets import names_fault
from arcface_mxnet.eval.protocols import VerificationResult, verify_distances
from arcface_mxnet.eval.report import Entry, write_report
from arcface_mxnet.eval.score_files import (
    add_source_arguments,
    check_names,
    evaluate_scores,
    parse_score_file,
    read_scores,
)
from arcface_mxnet.eval.scores import area_under_curve, equal_error_rate, roc
from arcface_mxnet.given import check_outputs, refuse_changed, whole
from arcface_mxnet.limits import shown
from arcface_mxnet.paths import inside
from arcface_mxnet.report.names import model_names
from arcface_mxnet.text import read_lines
import numpy as np
from tqdm import tqdm

TARGET = "ytf"
Splits = tuple[list[str], list[str], np.ndarray]  # left videos, right videos, is_genuine


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-ytf",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="folder with images/ and splits2.txt")
    add_source_arguments(parser)
    add("--distance", choices=DISTANCES, default="mean-feature", help="between two videos: squared "
        "L2 of their mean unit embeddings, or the least, mean or greatest of all pairs of frames "
        "(%(default)s)")  # fmt: skip
    add("--frames", type=whole(), default=0, help="frames of each video, evenly spread (0: all)")
    add(
        "--skip-missing",
        action="store_true",
        help="leave out pairs of videos without frames and "
        "frames that are no images; their numbers are told (default: an error that names them)",
    )
    add("--nfolds", type=whole(1), default=10, help="folds (%(default)s)")
    add_report_arguments(parser, "rates, curves, folds, thresholds, the names of wrong pairs")
    add_network_arguments(parser, batch_size=64)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Embed the frames that are not embedded yet and print the k-fold results."""
    check_outputs({"--report": arguments.report})
    if not arguments.model:
        of_models = ("features", "distance", "frames", "skip_missing")
        refuse_changed(build_parser(), arguments, of_models, "--scores without --model")
    sources = open_sources(arguments.model, arguments, arguments.features)
    scores = [parse_score_file(text, arguments.score_order) for text in arguments.scores]
    check_names([*(one.name for one in sources), *(one.name for one in scores)])
    if not sources and not scores:
        raise ValueError("give --model, or --scores")
    model_names([one.name for one in (*sources, *scores)], arguments.alias)  # early
    root = Path(arguments.data_dir)
    splits = read_splits(root / "splits2.txt")
    pack = file_fingerprint(root / "splits2.txt")
    entries = []
    is_one = len(sources) + len(scores) == 1
    listed = list_videos(root, splits, arguments.frames, skip=arguments.skip_missing) if (
        sources) else {}  # fmt: skip
    for source in sources:
        if not is_one:
            print(f"({source.name})")
        evaluation, pairs = _evaluate_source(source, listed, splits, arguments)
        facts = source_facts(source, TARGET) | {"flip": "sum"}
        entries.append(Entry(source.name, facts, pack, None, evaluation, pair_names=pairs))
    for one in scores:
        if not is_one:
            print(f"({one.name})")
        found = read_scores(one, TARGET, len(splits[2]))
        evaluation = evaluate_scores(TARGET, found, splits[2], folds=arguments.nfolds)
        result, (low, high) = evaluation.published, evaluation.accuracy_interval
        print(f"[ytf]{len(found)} pairs, ready scores")
        print(f"[ytf]Accuracy: {result.accuracy:1.5f}+-{result.std:1.5f} ({low:.5f} to {high:.5f}) "
              f"at score {one.given(result.threshold):.6g}")  # fmt: skip
        pairs = list(zip(*splits[:2], strict=True))
        entries.append(Entry(one.name, one.facts(TARGET), pack, None, evaluation, pair_names=pairs))
    if arguments.report:
        write_report(arguments.report, with_aliases(entries, arguments.alias), "YouTube Faces")


def _evaluate_source(
    source: Embeddings,
    frames: dict[str, list[Path]],
    splits: Splits,
    arguments: argparse.Namespace,
) -> tuple[Evaluation, list[tuple[str, str]]]:
    """Print the k-fold result of one source; return it with the names of the pairs that are left.

    frames: those that are listed.
    """
    root = Path(arguments.data_dir)
    num_done = source.num_ready(frame_images(frames, root))
    frames, num_bad = present_frames(frames, root, num_done, skip=arguments.skip_missing)
    is_there = [left in frames and right in frames for left, right, _ in zip(*splits, strict=True)]
    left, right = ([name for name, there in zip(names, is_there, strict=True) if there]
                   for names in splits[:2])  # fmt: skip
    is_genuine = splits[2][is_there]
    images = frame_images(frames, root)
    units = unit_rows_of(source.blocks(images), images.count)
    starts = np.cumsum([0, *(len(of_video) for of_video in frames.values())])
    row_of = {video: row for row, video in enumerate(frames)}
    pairs = np.array([[row_of[a], row_of[b]] for a, b in zip(left, right, strict=True)])
    distances = set_distances(units, starts, pairs, arguments.distance)
    result = verify_distances(distances, is_genuine, folds=arguments.nfolds)
    right_pairs = sum(round(fold.accuracy * fold.num_pairs) for fold in result.per_fold)
    low, high = wilson(right_pairs, len(is_genuine))
    print(f"[ytf]{len(is_genuine)} pairs of {len(frames)} videos, {images.count} frames")
    if not all(is_there) or num_bad:
        print(f"[ytf]left out: {is_there.count(False)} of {len(is_there)} pairs, whose videos have "
              f"no frames, and {num_bad} frames that are no images")  # fmt: skip
    print(f"[ytf]Accuracy-Flip: {result.accuracy:1.5f}+-{result.std:1.5f} ({low:.5f} to {high:.5f})"
          f" at cosine {result.threshold:.4f} = squared L2 {result.squared_l2:.4f}")  # fmt: skip
    evaluation = evaluation_of(distances, is_genuine, result, (low, high))
    return evaluation, list(zip(left, right, strict=True))


def evaluation_of(
    distances: np.ndarray, is_genuine: np.ndarray, result: VerificationResult, interval: Interval
) -> Evaluation:
    """Return what a report shows of squared distances of videos, (P,), and their k-fold result."""
    cosines = cosines_of(distances)
    genuine, impostor = cosines[is_genuine], cosines[~is_genuine]
    return Evaluation(
        target=TARGET,
        protocol={"FlipL2": result},
        xnorm=None,
        auc=area_under_curve(genuine, impostor),
        eer=equal_error_rate(roc(genuine, impostor)).far,
        rates=rates_at_fars(cosines, is_genuine),
        accuracy_interval=interval,
        cosines=cosines,
        is_genuine=is_genuine,
    )


def frame_images(frames: dict[str, list[Path]], root: Path) -> Images:
    """Return the frames of all videos, in order, as a source of embeddings takes them."""
    paths = [path for of_video in frames.values() for path in of_video]
    names = [path.relative_to(root / "images").as_posix() for path in paths]
    return Images(
        TARGET,
        len(paths),
        lambda start: (read_image(path)[..., ::-1] for path in paths[start:]),
        [names],
        listing(frames, root),
    )


def unit_features(features_path: str, count: int) -> np.ndarray:
    """Return unit_rows_of() the embeddings that are kept in a file."""
    return unit_rows_of(read_embeddings(features_path, count), count)


def unit_rows_of(blocks: Iterable[tuple[int, np.ndarray, np.ndarray]], count: int) -> np.ndarray:
    """Return the unit embeddings of all frames, float32 (N, D), plain + flipped."""
    units = None
    for start, plain, flipped in blocks:
        refuse_zeros(both := plain + flipped, f"the frames from {start} on, frame")
        block = unit_rows(both, np.float64)
        units = np.empty((count, block.shape[1]), np.float32) if units is None else units
        units[start : start + len(block)] = block
    return units


def read_splits(path: Path) -> Splits:
    """Return (left videos, right videos, is_genuine) of splits2.txt, "name/video" each.

    Raises ValueError that counts the bad lines and names the first of them.
    """
    left, right, flags, faults = [], [], [], []
    first: dict[frozenset[str], tuple[bool, int]] = {}  # of two videos: what is said, and where
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
        is_same = fields[-1] == "1"
        said, where = first.setdefault(
            frozenset(videos), (is_same or videos[0] == videos[1], number)
        )
        if said != is_same:
            other = f", against line {where}" if where != number else ""
            people = "one person" if is_same else "two people"
            faults.append(f"line {number}: {videos[0]} and {videos[1]} are {people}{other}")
            continue
        left.append(videos[0])
        right.append(videos[1])
        flags.append(is_same)
    if faults:
        raise ValueError(all_faults(f"{path}: {len(faults)} bad lines:", faults))
    if not flags:
        raise ValueError(f"{path}: holds no pair of videos")
    names = [Path(video).parts[0] for two in zip(left, right, strict=True) for video in two]
    if fault := names_fault(names, flags):
        raise ValueError(f"{path}: {fault.partition(';')[0]}; is it the right list?")
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
