"""Lists in the kit's form from a folder of aligned faces, PERSON/IMAGE below it.

    python -m arcface_mxnet.megaface.folder_lists CROPS LISTS --min-images 4
    python -m arcface_mxnet.megaface.folder_lists CROPS LISTS --probes s31,s32,s33

People with at least --min-images images, or those named, become probes, all others distractors.
Writes
LISTS/NAME_features_list.json (path, id), LISTS/others_features_list.json_SIZE_1 for the kit's
sizes and for all distractors, and the text lists LISTS/facescrub_lst and LISTS/megaface_lst that
gen_megaface.py reads.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
import json
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.data.folders import STRAY, LeftOut, find_images
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import path_name, whole
from arcface_mxnet.megaface.lists import SIZES, check_paths
from arcface_mxnet.text import WRITTEN
import numpy as np

OTHERS = "others_features_list.json_{}_1"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("crops", type=path_name, help="folder of aligned faces, one subfolder per person")
    add("lists", type=path_name, help="folder to write")
    add("--name", default="faces", help="name of the probe set (%(default)s)")
    add("--probes", default="", help="people to be probes, PERSON,PERSON (default: all with at "
        "least --min-images)")  # fmt: skip
    add("--min-images", type=int, default=4, help="images that make a probe (%(default)s)")
    add("--max-images", type=int, default=50, help="most images of a probe (%(default)s)")
    add("--strict", action="store_true", help="anything in CROPS but images of people is an error "
        "(left out and told otherwise)")  # fmt: skip
    add("--seed", type=whole(), default=727, help="seed of the distractors' order (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: write_lists(arguments))


def write_lists(arguments: argparse.Namespace) -> None:
    """Write the lists and print what is on them."""
    if arguments.min_images < 2 or arguments.max_images < 2:
        raise ValueError("give --min-images and --max-images of at least 2: a probe needs a mate")
    if not arguments.name.isalnum():
        raise ValueError(f"--name {arguments.name!r}: give letters and figures alone")
    people = defaultdict(list)
    stray = LeftOut(arguments.crops)
    for path in find_images(arguments.crops, strict=arguments.strict):
        relative = path.relative_to(arguments.crops)
        if len(relative.parts) > 1:
            people[relative.parts[0]].append(relative.as_posix())
        else:
            stray.note(STRAY, path)
    stray.tell(arguments.strict)
    named = [name.strip() for name in arguments.probes.split(",") if name.strip()]
    few = [name for name in named if len(people.get(name, ())) < arguments.min_images]
    if few:
        raise ValueError(
            f"--probes {','.join(few)}: no {arguments.min_images} images in {arguments.crops}; "
            "name others or lower --min-images"
        )
    probes = {
        person: paths[: arguments.max_images]
        for person, paths in people.items()
        if len(paths) >= arguments.min_images and (not named or person in named)
    }
    distractors = [path for person in people if person not in probes for path in people[person]]
    if not probes or not distractors:
        raise ValueError(
            f"{arguments.crops}: {len(probes)} people with {arguments.min_images} images and "
            f"{len(distractors)} images of others; choose another --min-images"
        )
    distractors = np.random.default_rng(arguments.seed).permutation(distractors).tolist()
    paths = [path for person in probes for path in probes[person]]
    check_paths(arguments.crops, paths + distractors)
    content = {"path": paths, "id": [Path(path).parts[0] for path in paths]}
    sizes = [size for size in SIZES if size < len(distractors)] + [len(distractors)]
    lists = {OTHERS.format(size): distractors[:size] for size in sizes}
    stale = [path for path in arguments.lists.glob(OTHERS.format("*")) if path.name not in lists]
    if stale:
        raise ValueError(
            f"{stale[0]}: is of earlier lists, whose distractors may be probes now; delete it, or "
            "name another folder"
        )
    _json(arguments.lists / f"{arguments.name}_features_list.json", content)
    for name, members in lists.items():
        _json(arguments.lists / name, {"path": members})
    for name, members in (("facescrub_lst", paths), ("megaface_lst", distractors)):
        with replace_file(arguments.lists / name, "w", **WRITTEN) as file:
            file.writelines(f"{member}\n" for member in members)
    print(f"{len(paths)} probes of {len(probes)} people; distractors: {' '.join(map(str, sizes))}")


def _json(path: Path, content: dict) -> None:
    with replace_file(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


if __name__ == "__main__":
    sys.exit(main())
