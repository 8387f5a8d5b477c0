"""Pack face images into train.rec, train.idx and property.

    python face2rec2.py DATASET                      packs every DATASET/*.lst
    python face2rec2.py DATASET/train                packs DATASET/train*.lst
    python face2rec2.py DATASET --folder PHOTOS      packs PHOTOS/IDENTITY/IMAGE as train

property (NUM_CLASSES,HEIGHT,WIDTH) is read for the size of the crops if it is there, and
written.  docs/datasets.md describes the list, the records and what can go wrong.
"""

from __future__ import annotations

import argparse
from functools import partial
import logging
import os
from pathlib import Path
import sys

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.data.dataset import read_property
from arcface_mxnet.data.image_files import is_left_behind
from arcface_mxnet.data.lists import (
    Entry,
    check_files,
    check_numbers,
    group,
    list_folder,
    read_list,
    relabel,
)
from arcface_mxnet.data.packing import Packed, PackOptions, pack
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import MOST_THREADS, check_counts, file_name, refuse_changed, whole
from arcface_mxnet.text import read_text

DEFAULT_SIZE, DEFAULT_QUALITY = (112, 112), 95

# Published flags that did nothing there.  They are taken, with their value, and named.
WITHOUT_EFFECT = (
    "--list", "--exts", "--chunks", "--train-ratio", "--test-ratio", "--recursive", "--shuffle",
    "--pack-label",
)  # fmt: skip
SHOWN_FAULTS = 20

log = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="face2rec2.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "prefix", type=file_name(), help="dataset folder, or the beginning of the lists' paths"
    )
    parser.add_argument(
        "--folder",
        type=file_name(),
        help="pack this folder, with one folder per identity, as train",
    )
    parser.add_argument(
        "--identities", help="with --folder: pack just these, comma separated, in this order"
    )
    parser.add_argument(
        "--strict", action="store_true", help="with --folder: anything in it but images of "
        "identities is an error (left out and told otherwise)",
    )  # fmt: skip
    parser.add_argument(
        "--root", help="folder that the paths of a list are relative to and must lie in "
        "(default: the folder of the list)",
    )  # fmt: skip
    add_image_size_argument(parser, default=None, otherwise="as property says, else 112,112")
    parser.add_argument(
        "--fit", choices=("none", "pad"), default="none", help="what to do with aligned images "
        "of another size: none stores the file as it is, pad scales it in on black (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--relabel", action="store_true", help="number the identities of a list anew from 0 "
        "without gaps; LIST.names keeps the old numbers",
    )  # fmt: skip
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out images that cannot be packed and name "
        "them in the end, instead of stopping at the first; a folder without a good image gets no "
        "number, a number of a list without one is an error",
    )  # fmt: skip
    parser.add_argument(
        "--quality", type=whole(1, 100), default=DEFAULT_QUALITY,
        help="of images that are written anew: JPEG 1..100, "
        "PNG compression 1..9 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--encoding", choices=(".jpg", ".png"), default=".jpg", help="of images that are written "
        "anew, aligned or padded (default: .jpg)",
    )  # fmt: skip
    parser.add_argument(
        "--color", type=int, choices=(-1, 0, 1), default=1, help="how images to align are read: 1 "
        "colour, 0 grey, -1 as they are (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--num-thread", type=int, default=os.cpu_count() or 1, help="threads that read and encode; "
        "the result is the same for any number (default: the processors)",
    )  # fmt: skip
    for flag in WITHOUT_EFFECT:
        nargs = "+" if flag == "--exts" else 1
        parser.add_argument(flag, nargs=nargs, help=argparse.SUPPRESS)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: _work(arguments))


def _work(arguments: argparse.Namespace) -> None:
    for flag in WITHOUT_EFFECT:
        if getattr(arguments, flag.strip("-").replace("-", "_")) is not None:
            log.warning("%s has no effect, as published", flag)
    check_counts(arguments, num_thread=MOST_THREADS)
    if arguments.identities and not arguments.folder:
        raise ValueError("--identities: goes with --folder; a list names its images itself")
    if arguments.folder:
        refuse_changed(build_parser(), arguments, ("relabel",), "--folder, which numbers anyway,")
    if arguments.encoding == ".png" and arguments.quality not in (*range(1, 10), DEFAULT_QUALITY):
        raise ValueError(f"--quality {arguments.quality}: PNG compression is 1 to 9")
    if arguments.strict and not arguments.folder:
        raise ValueError("--strict: goes with --folder; every line of a list must be good anyway")
    prefix = Path(arguments.prefix).absolute()
    folder = prefix if prefix.is_dir() or arguments.folder else prefix.parent
    size, is_new = DEFAULT_SIZE, True
    if (folder / "property").is_file():
        size, is_new = read_property(folder / "property")[1], False
    if arguments.image_size is not None:
        size = parse_size(arguments.image_size)
    options = PackOptions(
        size, arguments.fit, arguments.color, arguments.encoding, arguments.quality,
        arguments.num_thread, arguments.skip_bad, bool(arguments.folder or arguments.relabel),
    )  # fmt: skip
    num_classes, property_path = 0, folder / "property"
    for stem, entries, names in _sources(arguments, prefix, folder):
        counts = is_new or stem.name == "train"  # another file beside train.rec changes no classes
        beside = {Path(f"{stem}.names"): partial(_names_text, stem, names)}
        if stem.name == "train":
            beside[property_path] = lambda packed, others=num_classes: _property_text(
                max(others, packed.num_identities), size
            )
        packed = pack(entries, stem, options, beside=beside, progress=sys.stderr.isatty())
        print("\n".join(_statement(stem, packed, names)))
        num_classes = max(num_classes, packed.num_identities) if counts else num_classes
    if num_classes:
        text = _property_text(num_classes, size)
        if stem.name != "train":
            with replace_file(property_path, "w") as file:
                file.write(text)
        print(f"wrote {property_path}: {text.strip()} (identities, height, width)")


def _property_text(num_classes: int, size: tuple[int, int]) -> str:
    return f"{num_classes},{size[0]},{size[1]}\n"


def _names_text(stem: Path, names: list[str], packed: Packed) -> str | None:
    """Return what NAME.names shall hold, None where there shall be none.

    Without new names those that came with the list stay, as arcface-align writes them: not older
    than it, and one of each identity.  Others are of another packing.
    """
    if names:
        lines = (f"{number}\t{names[old]}\n" for number, old in enumerate(packed.identities))
        return "".join(lines)
    path, list_path = Path(f"{stem}.names"), Path(f"{stem}.lst")
    if not path.is_file():
        return None
    text = read_text(path, "list of names", names=True)
    is_older = path.stat().st_mtime_ns < list_path.stat().st_mtime_ns
    if is_older or text.count("\n") != packed.num_identities:
        log.warning("%s: of another packing than this list; removed", path)
        return None
    return text


def _sources(
    arguments: argparse.Namespace, prefix: Path, folder: Path
) -> list[tuple[Path, list[Entry], list[str]]]:
    """Return (path without ending, entries, names of the identities) of each file to write."""
    if arguments.folder:
        chosen = arguments.identities.split(",") if arguments.identities else None
        entries, names = list_folder(arguments.folder, chosen, strict=arguments.strict)
        return [(folder / "train", entries, names)]
    lists = sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else [])
        if path.suffix == ".lst"
        and str(path).startswith(str(prefix))
        and not is_left_behind(path.name)
    )
    if not lists:
        raise FileNotFoundError(
            f"no list {prefix}*.lst or {prefix / '*.lst'}; write one (docs/datasets.md) or give "
            "--folder PHOTOS, a folder with one folder per identity"
        )
    sources = []
    for path in lists:
        names: list[str] = []
        entries = read_list(path, arguments.root)
        if arguments.relabel:
            entries, names = relabel(entries)
        check_numbers(entries, path)
        if not arguments.skip_bad:
            check_files(entries, path, arguments.root)
        entries, was_moved = group(entries)
        if was_moved:
            log.warning("%s: was not grouped by identity; packed in the order of identities", path)
        sources.append((path.with_suffix(""), entries, names))
    # train last: property counts the classes of all, and becomes valid together with train.rec.
    return sorted(sources, key=lambda source: source[0].name == "train")


def _statement(stem: Path, packed: Packed, names: list[str]) -> list[str]:
    images, identities = packed.num_images, packed.num_identities
    lines = [
        f"wrote {stem}.rec and .idx: {images} images of {identities} identities, "
        f"{packed.smallest} to {packed.largest} images each",
        f"  {packed.num_records} records = {images} images + 1 header + {identities} identity "
        "records, which say where each identity's images are; no image stands there twice",
    ]
    if packed.num_left_out:
        lines.append(
            f"  left out: {packed.num_left_out} images marked 0 (not aligned) without landmarks"
        )
    if packed.emptied:
        emptied = ", ".join(names[identity] for identity in packed.emptied[:SHOWN_FAULTS])
        lines.append(
            f"  left out: {len(packed.emptied)} identities without an image that can be packed "
            f"({emptied}); the others are numbered without gaps"
        )
    if packed.faults:
        lines.append(f"  left out: {len(packed.faults)} images that could not be packed")
        lines += [f"    {fault}" for fault in packed.faults[:SHOWN_FAULTS]]
        if len(packed.faults) > SHOWN_FAULTS:
            lines.append("    ...")
    return lines


if __name__ == "__main__":
    sys.exit(main())
