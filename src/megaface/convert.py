"""Between the kit's feature files and a packed store, exactly in both directions.

    python -m arcface_mxnet.megaface.convert import ROOT _r100.bin megaface.npy --list LIST
    python -m arcface_mxnet.megaface.convert export megaface.npy ROOT [--ending _r100.bin]
    python -m arcface_mxnet.megaface.convert merge megaface.npy PART.npy PART.npy ...

Started again after an interruption, each goes on where it stopped.  Float32 is exact; an import
as float16 rounds once, and from then on export and import agree exactly.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.data.image_files import is_left_behind
from arcface_mxnet.given import path_name
from arcface_mxnet.megaface.feature_source import FeatureFolder
from arcface_mxnet.megaface.features import feature_bytes, write_feature
from arcface_mxnet.megaface.lists import check_paths, read_names
from arcface_mxnet.megaface.packed import DTYPES, FeatureStore, StoreWriter, batches
from arcface_mxnet.paths import inside
import numpy as np
from tqdm import tqdm


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("import", help="feature files into a store").add_argument
    add("root", type=path_name, help="folder of feature files")
    add("ending", help="what follows the image name, such as _r100.bin")
    add("store", type=path_name, help="store to write, NAME.npy")
    add("--list", type=path_name, help="images to take, in this order: a JSON list, or text with a "
        "name a line (default: every file below ROOT with the ending, sorted)")  # fmt: skip
    add("--dtype", choices=DTYPES, default="float32", help="(%(default)s)")
    add = commands.add_parser("export", help="a store into feature files").add_argument
    add("store", type=path_name, help="store to read")
    add("root", type=path_name, help="folder for the feature files")
    add("--ending", help="what follows the image name (default: as the store says)")
    add = commands.add_parser("merge", help="stores, such as shards, into one").add_argument
    add("store", type=path_name, help="store to write, NAME.npy")
    add("parts", type=path_name, nargs="+", help="stores to read, in this order")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    if arguments.command == "import":
        return run(lambda: import_files(**_options(arguments)))
    if arguments.command == "export":
        return run(lambda: export_files(**_options(arguments)))
    return run(lambda: merge(**_options(arguments)))


def import_files(root: Path, ending: str, store: Path, list: Path | None, dtype: str) -> None:
    """Write the features of a folder into a store."""
    names = _names_below(root, ending) if list is None else read_names(list)
    features = FeatureFolder(root, names, ending)
    with StoreWriter(store, names, features.dim, dtype, ending) as writer:
        for rows in _bar(len(names), writer.done, "import"):
            writer.write(features.read(np.arange(rows.start, rows.stop)))


def export_files(store: Path, root: Path, ending: str | None) -> None:
    """Write every vector of a store as a feature file; those that hold it already stay."""
    source = FeatureStore(store)
    ending = source.ending if ending is None else ending
    if not ending:
        raise ValueError(f"{store} names no file ending; give --ending, such as _r100.bin")
    for rows in _bar(len(source), 0, "export"):
        vectors = source.read(np.arange(rows.start, rows.stop))
        for name, vector in zip(source.names[rows.start : rows.stop], vectors, strict=True):
            path = inside(root, name + ending, str(store))
            if not _holds(path, vector):
                write_feature(path, vector)


def merge(store: Path, parts: list[Path]) -> None:
    """Write the rows of several stores into one, in the order of parts."""
    sources = [FeatureStore(part) for part in parts]
    first = sources[0]
    kinds = {(one.dim, one.vectors.dtype.name, one.ending) for one in sources}
    if len(kinds) > 1:
        raise ValueError(f"the parts differ in dimension, type or ending: {sorted(kinds)}")
    names = [name for one in sources for name in one.names]
    check_paths(store, names)
    starts = np.cumsum([0, *map(len, sources)])
    with StoreWriter(store, names, first.dim, first.vectors.dtype.name, first.ending) as writer:
        while writer.done < len(names):
            part = int(starts.searchsorted(writer.done, side="right")) - 1
            for rows in _bar(len(sources[part]), writer.done - starts[part], parts[part].name):
                writer.write(sources[part].vectors[rows.start : rows.stop])


def _holds(path: Path, vector: np.ndarray) -> bool:
    return path.is_file() and path.read_bytes() == feature_bytes(vector)


def _options(arguments: argparse.Namespace) -> dict:
    return {name: value for name, value in vars(arguments).items() if name != "command"}


def _names_below(root: Path, ending: str) -> list[str]:
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such feature folder")
    found = (path.relative_to(root) for path in root.rglob(f"*{ending}"))
    paths = (path.as_posix() for path in found if not any(map(is_left_behind, path.parts)))
    names = sorted(path[: -len(ending)] for path in paths)
    if not names:
        raise FileNotFoundError(f"{root}: no file below it ends in {ending}")
    return names


def _bar(count: int, start: int, text: str):  # noqa: ANN202  ranges, with a progress bar
    with tqdm(total=count, initial=int(start), desc=text, unit="feature", disable=None) as bar:
        for rows in batches(count, int(start)):
            yield rows
            bar.update(len(rows))


if __name__ == "__main__":
    sys.exit(main())
