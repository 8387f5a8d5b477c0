"""Features of the aligned FaceScrub and MegaFace images.

    arcface-gen-megaface --model '../model/r100,0' --algo r100 --output feature_out \\
        --facescrub-lst data/facescrub_lst --facescrub-root data/facescrub_images \\
        --megaface-lst data/megaface_lst --megaface-root data/megaface_images
    arcface-gen-megaface --model 'r100,0|r50,0' --store float16 --shard 1/8 ...

A feature is the embedding of the image plus that of its mirror image, with unit length; those
of several models (|) are joined and brought to unit length again.  A model may be a network of
others (FILE.onnx@PRESET) or ready vectors with names, which need no image.  Writes
OUTPUT/facescrub/NAME_ALGO.bin and OUTPUT/megaface/NAME_ALGO.bin, or with --store the packed
stores OUTPUT/facescrub_ALGO.npy and OUTPUT/megaface_ALGO.npy.  Started again it goes on where it
stopped.

Exit code 0 if there is a feature of every image, 1 if some images failed, 2 for bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import json
from pathlib import Path
import sys

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.embedding.arguments import (
    add_embedding_arguments,
    embedding_facts,
    open_embedder,
)
from arcface_mxnet.embedding.image_embedder import ImageEmbedder
from arcface_mxnet.embedding.row_store import partial_path
from arcface_mxnet.embedding.source_text import parse_source
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import path_name
from arcface_mxnet.megaface.crops_ahead import crops_ahead
from arcface_mxnet.megaface.features import feature_dim, write_feature
from arcface_mxnet.megaface.image_checks import check_images
from arcface_mxnet.megaface.lists import algorithm_name, read_names
from arcface_mxnet.megaface.packed import DTYPES, FeatureStore, StoreWriter
from arcface_mxnet.megaface.ready_model import ReadyModel
from arcface_mxnet.text import WRITTEN, read_json
import numpy as np
from tqdm import tqdm

SOME_FAILED = 1
BATCHES_AT_ONCE = 8  # decoded ahead while as many are embedded
ONLY_ZERO = {
    "mean": "the networks normalise their input themselves; 1 gave useless features",
    "concat": "was never used; several models are always joined",
    "fsall": "the list says which images are taken",
}
LARGEST_NOTE = 1 << 20  # bytes


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-gen-megaface",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", required=True, help="PREFIX,NUMBER, FILE.onnx, or ready vectors with "
        "names (FILE.npz, ..); several joined by |")  # fmt: skip
    add("--algo", default="insightface", help="name in the file endings (%(default)s)")
    add(
        "--output",
        type=path_name,
        default=Path("feature_out"),
        help="folder to write (%(default)s)",
    )
    for name in ("facescrub", "megaface"):
        add(f"--{name}-lst", type=path_name, default=Path(f"data/{name}_lst"),
            help="images, paths below the root: text or JSON list (%(default)s)")  # fmt: skip
        add(f"--{name}-root", type=path_name, default=Path(f"data/{name}_images"),
            help="folder of the aligned images (%(default)s)")  # fmt: skip
    add_image_size_argument(parser)
    add("--batch_size", "--batch-size", type=int, default=8,
        help="images per forward pass (%(default)s)")  # fmt: skip
    add("--store", choices=DTYPES, help="write packed stores of this type")
    add("--shard", default="1/1", help="I/N: only part I of N, as on one of N machines; parts of "
        "stores are joined by `python -m arcface_mxnet.megaface.convert merge`")  # fmt: skip
    add("--skip", type=int, default=0,
        help="leave out FaceScrub and the first images of MegaFace, as published")  # fmt: skip
    add("--mf", type=int, default=1, choices=(0, 1), help="0: only FaceScrub")
    add("--seed", type=int, default=727, help="published flag; nothing here is random")
    for name, reason in ONLY_ZERO.items():
        add(f"--{name}", type=int, default=0, help=f"published flag, only 0: {reason}")
    add_embedding_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: generate(arguments))


def generate(arguments: argparse.Namespace) -> int:
    """Write the features of both sets; return the exit code."""
    for name, reason in ONLY_ZERO.items():
        if getattr(arguments, name):
            raise ValueError(f"--{name} {getattr(arguments, name)}: only 0 here; {reason}")
    if arguments.store and arguments.skip:
        raise ValueError("--skip goes with feature files; a store goes on by itself")
    if arguments.batch_size < 1 or arguments.skip < 0:
        raise ValueError("--batch_size must be at least 1 and --skip at least 0")
    algorithm_name(f"_{arguments.algo}.bin")
    size = parse_size(arguments.image_size, channels=True)  # published: 3,112,112
    shard = _shard(arguments.shard)
    sets = ["facescrub"] * (arguments.skip == 0) + ["megaface"] * arguments.mf
    jobs = {name: _images(name, arguments, shard) for name in sets}
    sources = [parse_source(text) for text in arguments.model.split("|")]
    are_ready = [source.is_vectors for source in sources]
    if any(are_ready) and not all(are_ready):
        raise ValueError(f"--model {arguments.model}: give networks, or ready vectors, not both")
    for name, names in jobs.items() if not any(are_ready) else ():
        place = arguments.output / f"{name}_{arguments.algo}{_part(shard)}.npy"
        done = arguments.output / name
        ending = f"_{arguments.algo}.bin"
        todo = (
            _todo_of_store(place, names) if arguments.store
            else [one for one in names if not _is_whole(done / (one + ending))]
        )  # fmt: skip
        check_images(
            getattr(arguments, f"{name}_lst"), todo, getattr(arguments, f"{name}_root"),
            place if arguments.store else None,
        )  # fmt: skip
    model = ReadyModel(sources) if any(are_ready) else Model(arguments, size)
    failed = 0
    for name, names in jobs.items():
        _claim(arguments.output / f"{name}_{arguments.algo}.json", model)
        root = getattr(arguments, f"{name}_root")
        if arguments.store:
            path = arguments.output / f"{name}_{arguments.algo}{_part(shard)}.npy"
            fill_store(path, names, root, model, arguments.store, f"_{arguments.algo}.bin")
        else:
            listing = arguments.output / f"{name}_{arguments.algo}{_part(shard)}_failed.tsv"
            failed += fill_folder(
                arguments.output / name, names, root, model, f"_{arguments.algo}.bin", listing
            )
    return SOME_FAILED if failed else 0


class Model:
    """One or several networks: crops to features of unit length."""

    def __init__(self, arguments: argparse.Namespace, size: tuple[int, int]):
        self.names, self.size = arguments.model.split("|"), size
        self.group = BATCHES_AT_ONCE * arguments.batch_size
        self._embedders: list[ImageEmbedder] = [
            open_embedder(arguments, name) for name in self.names
        ]
        self._facts = [embedding_facts(arguments, name) for name in self.names]

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Return unit features float32 (N, D) of uint8 RGB crops (N, H, W, 3)."""
        return unit_rows(np.concatenate([embed(crops) for embed in self._embedders], axis=1))

    @property
    def dim(self) -> int:
        """Return D."""
        return self(np.zeros((1, *self.size, 3), np.uint8)).shape[1]

    def batches(
        self, root: Path, names: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], np.ndarray, dict[str, str]]]:
        """Yield (names, crops of the good ones, faults of the others)."""
        return crops_ahead(root, names, self.size, self.group)

    def describe(self) -> dict:
        """Return what decides the features, for telling one job from another."""
        first = self._facts[0]
        inputs = [facts.get("declared", facts.get("preset", "")) for facts in self._facts]
        return {
            "models_sha256": [facts["model"] for facts in self._facts],
            "engine": first["engine"],
            "dtype": first["dtype"],
            "height_width": list(self.size),
            "flip": "sum",
        } | ({"inputs": inputs} if any(inputs) else {})


def _todo_of_store(path: Path, names: Sequence[str]) -> Sequence[str]:
    """Return the names whose rows are not written; of a store that is there, none."""
    return [] if path.exists() else names


def fill_folder(
    folder: Path,
    names: Sequence[str],
    root: Path,
    model: Model | ReadyModel,
    ending: str,
    listing: Path,
) -> int:
    """Write the feature files that are not there yet; return how many images failed.

    listing: file to write, which says of each image that failed why.
    """
    todo = [name for name in names if not _is_whole(folder / (name + ending))]
    faults: dict[str, str] = {}
    with tqdm(total=len(names), initial=len(names) - len(todo), desc=folder.name, unit="image",
              disable=None) as bar:  # fmt: skip
        for group, crops, bad in model.batches(root, todo):
            faults |= bad
            good = [name for name in group if name not in bad]
            for name, vector in zip(good, model(crops) if good else (), strict=True):
                write_feature(folder / (name + ending), vector)
            bar.update(len(group))
    if faults:
        with replace_file(listing, "w", **WRITTEN) as file:
            file.writelines(f"{name}\t{fault}\n" for name, fault in faults.items())
        print(f"{folder.name}: {len(faults)} of {len(names)} images failed, see {listing}")
    else:
        listing.unlink(missing_ok=True)  # of an earlier start
        print(f"{folder.name}: {len(names)} features in {folder}")
    return len(faults)


def fill_store(
    path: Path, names: Sequence[str], root: Path, model: Model | ReadyModel, dtype: str, ending: str
) -> None:
    """Write the rows of a store that are not there yet.

    Raises ValueError for a bad image, and for a store of another list or type.
    """
    if path.exists():
        there = FeatureStore(path)
        if there.names != list(names) or there.vectors.dtype != dtype:
            raise ValueError(f"{path}: holds another list or type; delete it or choose --output")
        print(f"{path} is complete")
        return
    with (
        StoreWriter(path, names, model.dim, dtype, ending) as store,
        tqdm(
            total=len(names), initial=store.done, desc=path.stem, unit="image", disable=None
        ) as bar,
    ):
        for group, crops, bad in model.batches(root, names[store.done :]):
            for name, fault in bad.items():
                raise ValueError(
                    f"{root / name}: {fault}; a store has a row for every image: repair it, or "
                    f"take it off the list and delete {partial_path(path).name}"
                )
            store.write(model(crops))
            bar.update(len(group))
    print(f"{path}: {len(names)} features")


def _images(name: str, arguments: argparse.Namespace, shard: tuple[int, int]) -> list[str]:
    names = read_names(getattr(arguments, f"{name}_lst"))
    if name == "megaface":
        names = names[arguments.skip :]
    part, parts = shard
    return names[len(names) * (part - 1) // parts : len(names) * part // parts]


def _claim(path: Path, model: Model | ReadyModel) -> None:
    """Note what the features of this name are of; raise ValueError if they are of another."""
    described = model.describe()
    try:
        before = read_json(path, "note of an earlier start", limit=LARGEST_NOTE)
    except FileNotFoundError:
        with replace_file(path, "w", encoding="utf-8") as file:
            json.dump(described, file, indent=1)
        return
    except ValueError as error:
        raise ValueError(f"{error}; delete it") from None
    if before != described:
        raise ValueError(
            f"{path}: the features there are of another model or image size; choose another "
            "--algo or --output"
        )


def _is_whole(path: Path) -> bool:
    try:
        return feature_dim(path) > 0
    except (ValueError, OSError):
        return False


def _part(shard: tuple[int, int]) -> str:
    return "" if shard[1] == 1 else f".{shard[0]}-of-{shard[1]}"


def _shard(text: str) -> tuple[int, int]:
    try:
        part, parts = (int(number) for number in text.split("/"))
    except ValueError:
        part = parts = 0
    if not 1 <= part <= parts:
        raise ValueError(f"--shard {text!r}: give I/N with 1 <= I <= N, such as 3/8")
    return part, parts


if __name__ == "__main__":
    sys.exit(main())
