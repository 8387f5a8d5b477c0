"""Align FaceScrub and the MegaFace distractors, or check images aligned by others.

    python -m arcface_mxnet.megaface.align facescrub --input-dir DATA --output-dir OUT
    python -m arcface_mxnet.megaface.align megaface --input-dir DATA --output-dir OUT
    python -m arcface_mxnet.megaface.align check --root IMAGES --list facescrub_lst

facescrub: DATA holds facescrub/NAME/NAME_NUMBER.jpg, facescrub_actors.txt,
    facescrub_actresses.txt and facescrub_uncropped_features_list.json; only images of that list
    are taken.  Writes OUT/NAME/NAME_NUMBER.png.
megaface: DATA holds megaface/A/ALBUM/FILE.jpg and FILE.jpg.json (bounding_box, landmarks)
    beside each.  Writes OUT/A/ALBUM/FILE.jpg.
Both write OUT/lst, lines `1 TAB path TAB label`, and OUT/attempts.tsv, which says how each crop
was made (align_attempts.py has the order).  Started again, crops that are there stay.

Exit code 0 if all is well, 1 if some images failed, 2 for bad input.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import sys

from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.align.detectors import Detector
from arcface_mxnet.align.template import crop_size
from arcface_mxnet.cli import add_image_size_argument, run
from arcface_mxnet.data.images import read_image
from arcface_mxnet.data.list_faults import refuse_other_data
from arcface_mxnet.engines.arguments import add_engine_arguments
from arcface_mxnet.errors import reason_of
from arcface_mxnet.files import naming, replace_file
from arcface_mxnet.given import MOST_THREADS, check_counts, path_name
from arcface_mxnet.megaface.align_attempts import crop_with_hint
from arcface_mxnet.megaface.align_photos import Photo, facescrub_photos, megaface_photos
from arcface_mxnet.megaface.lists import read_names
from arcface_mxnet.text import WRITTEN, read_lines
import cv2
from tqdm import tqdm

SOME_FAILED = 1
THRESHOLDS = (0.6, 0.7, 0.7)  # Source: the published MegaFace alignment.
THERE = "there already"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("facescrub", "megaface"):
        command = commands.add_parser(name, help=f"align {name}")
        add_engine_arguments(command)
        add = command.add_argument
        add("--input-dir", type=path_name, required=True, help="folder of the data set")
        add("--output-dir", type=path_name, required=True, help="folder for the crops")
        add_image_size_argument(command)
        add("--threads", type=int, default=2, help="photos at once (%(default)s)")
        add_detector_arguments(command, "--model-dir", min_size=None)
        if name == "megaface":
            add("--name", default="megaface", help="folder in --input-dir (%(default)s)")
        else:
            add("--number", choices=("face_id", "image_id"), default="face_id",
                help="column of the actor lists that numbers the files (%(default)s)")  # fmt: skip
            add("--skip-missing", action="store_true", help="photos without a box in the actor "
                "lists fail; without it nothing is begun")  # fmt: skip
    command = commands.add_parser("check", help="check aligned images")
    add = command.add_argument
    add("--root", type=path_name, required=True, help="folder of the images")
    add("--list", type=path_name, required=True, help="their names: text or JSON list")
    add_image_size_argument(command)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: check(arguments) if arguments.command == "check" else align(arguments))


def align(arguments: argparse.Namespace) -> int:
    """Write the crops, the list and the attempts; return the exit code."""
    size, out = crop_size(arguments.image_size), arguments.output_dir
    check_counts(arguments, threads=MOST_THREADS)
    if arguments.command == "facescrub":
        photos = list(facescrub_photos(
            arguments.input_dir, arguments.number, skip=arguments.skip_missing
        ))  # fmt: skip
    else:
        photos = list(megaface_photos(arguments.input_dir / arguments.name))
    if not photos:
        raise ValueError(f"{arguments.input_dir}: no photo found there")
    todo = [photo.path for photo in photos if not (out / photo.crop).is_file()]
    refuse_other_data(arguments.input_dir, arguments.input_dir, todo)
    detector = chosen_detector(arguments, {"mtcnn": {"thresholds": THRESHOLDS}})
    notes = out / "attempts.tsv"
    before = _read_attempts(notes)
    out.mkdir(parents=True, exist_ok=True)
    # Unbuffered, so that a kill loses no note of a crop that is there.
    with notes.open("ab", buffering=0) as log, ThreadPoolExecutor(arguments.threads) as pool:

        def note(photo: Photo, attempt: str) -> None:
            with naming(notes):
                log.write(f"{photo.crop}\t{attempt}\n".encode("utf-8", "surrogateescape"))

        done = pool.map(lambda photo: _align_one(detector, photo, out, size, note), photos)
        bar = tqdm(done, total=len(photos), desc=arguments.command, unit="photo", disable=None)
        try:
            attempts = list(bar)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    is_crop = [not attempt.startswith("failed") for attempt in attempts]
    with replace_file(out / "lst", "w", **WRITTEN) as file:
        file.writelines(
            f"1\t{photo.crop}\t{photo.label}\n"
            for photo, good in zip(photos, is_crop, strict=True)
            if good
        )
    _write_attempts(notes, photos, attempts, before)
    counts = Counter(attempt.split(":")[0] for attempt in attempts)
    print(", ".join(f"{count} {attempt}" for attempt, count in counts.most_common()))
    return 0 if all(is_crop) else SOME_FAILED


def check(arguments: argparse.Namespace) -> int:
    """Print the images that are missing, unreadable or of another size; return the exit code."""
    size, names = crop_size(arguments.image_size), read_names(arguments.list)
    refuse_other_data(arguments.list, arguments.root, [arguments.root / name for name in names])
    faults = 0
    for name in tqdm(names, desc="check", unit="image", disable=None):
        try:
            height, width = read_image(arguments.root / name).shape[:2]
            fault = "" if (height, width) == size else f"is {height}x{width} (height x width)"
        except (ValueError, OSError) as error:
            fault = reason_of(error)
        if fault:
            faults += 1
            print(f"{name}\t{fault}")
    print(f"{len(names) - faults} of {len(names)} images are well")
    return SOME_FAILED if faults else 0


def _align_one(
    detector: Detector,
    photo: Photo,
    out: Path,
    size: tuple[int, int],
    note: Callable[[Photo, str], None],
) -> str:
    """Write a crop if it is not there, noting how; return how it was made, or "failed: why"."""
    path = out / photo.crop
    try:
        if path.is_file():
            return _fault_of_old(path, size) or THERE
        if isinstance(photo.hint, str):
            raise ValueError(photo.hint)
        crop, attempt = crop_with_hint(detector, read_image(photo.path), photo.hint, size)
    except (ValueError, OSError, cv2.error) as error:
        return f"failed: {reason_of(error)}"
    note(photo, attempt)
    with replace_file(path) as file:
        file.write(cv2.imencode(path.suffix, crop)[1].tobytes())
    return attempt


def _fault_of_old(path: Path, size: tuple[int, int]) -> str:
    """Return why a crop made by an earlier start cannot stay, or ""."""
    height, width = read_image(path).shape[:2]
    if (height, width) == size:
        return ""
    return f"failed: {path} is there already, {height}x{width} (height x width): delete it"


def _read_attempts(path: Path) -> dict[str, str]:
    """Return what earlier starts noted, by crop; of several notes the last."""
    if not path.is_file():
        return {}
    lines = (line for _, line in read_lines(path, "list of attempts", exact=True))
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def _write_attempts(
    path: Path, photos: list[Photo], attempts: list[str], before: dict[str, str]
) -> None:
    """Write how every crop was made, in the order of the photos."""
    with replace_file(path, "w", **WRITTEN) as file:
        for photo, attempt in zip(photos, attempts, strict=True):
            told = before.get(photo.crop, attempt) if attempt == THERE else attempt
            file.write(f"{photo.crop}\t{told}\n")


if __name__ == "__main__":
    sys.exit(main())
