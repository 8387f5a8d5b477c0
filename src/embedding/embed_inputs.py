"""What arcface-embed embeds: a folder, a list, a record file or a pair set, image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path

import numpy as np

from ..checkpoints.network import file_fingerprint
from ..data.folders import find_images
from ..data.images import CROP_PIXELS, decode_bgr, read_image
from ..data.lists import read_list
from ..data.ranges import layout_of
from ..data.records import RecordReader
from ..eval.pair_containers import PAIR_CONTAINERS
from ..eval.pair_sets import read_pair_set
from ..megaface.lists import check_paths, read_names
from ..paths import inside

LIST, RECORDS, PACKED_FOLDER = ".lst", ".rec", "train.rec"


@dataclass(frozen=True)
class Item:
    """One image.  name: in the index.  read(max_pixels): BGR uint8; raises ValueError or OSError.

    identity, path: "" where they are unknown.  landmarks: (5, 2) where a list gives them.
    is_aligned: whether it is a crop already, None where nobody says.
    """

    name: str
    read: Callable[[int], np.ndarray]
    identity: str = ""
    path: str = ""
    landmarks: np.ndarray | None = None
    is_aligned: bool | None = None


@dataclass(frozen=True)
class Inputs:
    """items: different images.  rows: which of them each row of the result is, None for one each
    in order; then names are those of the rows.  fingerprint: of what is embedded, and its order."""

    items: Sequence[Item]
    fingerprint: str
    rows: np.ndarray | None = None
    names: Sequence[str] = ()
    paths: Sequence[str] = ()
    identities: Sequence[str] = ()


def read_inputs(source: Path, root: Path | None = None, *, strict: bool = False) -> Inputs:
    """Return what a folder of images, a dataset folder, a list, FILE.rec or a pair set holds.

    root: the folder that paths of a list are relative to, None for its own.
    Raises FileNotFoundError, and ValueError for what is none of these, or names images by names
    that no index can hold.
    """
    kind = kind_of(source)
    if kind == "dataset":
        return _of_records(source / PACKED_FOLDER if source.is_dir() else source)
    if kind == "folder":
        return _of_folder(source, strict)
    return _of_pair_set(source) if kind == "pair set" else _of_list(source, root)


def kind_of(source: Path) -> str:
    """Return what is to be embedded: "folder", "dataset", "pair set" or "list"."""
    if source.is_dir():
        return "dataset" if (source / PACKED_FOLDER).is_file() else "folder"
    if not source.is_file():
        raise FileNotFoundError(f"no folder, list, .rec or pair set {source.absolute()}")
    if source.suffix == RECORDS:
        return "dataset"
    return "pair set" if source.suffix in PAIR_CONTAINERS else "list"


def _of_folder(folder: Path, strict: bool) -> Inputs:
    paths = find_images(folder, strict=strict)
    names = [path.relative_to(folder).as_posix() for path in paths]
    check_paths(folder, names)
    items = [
        Item(name, _reading(path), Path(name).parent.as_posix() if "/" in name else "", str(path))
        for name, path in zip(names, paths, strict=True)
    ]
    return Inputs(items, _digest(names, paths))


def _of_list(list_path: Path, root: Path | None) -> Inputs:
    base = root if root is not None else list_path.parent
    if list_path.suffix == LIST:
        entries = read_list(list_path, root, are_aligned=False)
        real = os.path.realpath(base)
        names = [os.path.relpath(os.path.realpath(entry.path), real) for entry in entries]
        items = [
            Item(name, _reading(entry.path), str(entry.identity), str(entry.path),
                 entry.landmarks, entry.is_aligned)
            for name, entry in zip(names, entries, strict=True)
        ]  # fmt: skip
    else:
        names = read_names(list_path)
        paths = [inside(base, name, str(list_path)) for name in names]
        items = [Item(name, _reading(path), "", str(path))
                 for name, path in zip(names, paths, strict=True)]  # fmt: skip
    check_paths(list_path, names)
    return Inputs(items, _digest(names, [Path(item.path) for item in items], map(_listed, items)))


def _of_records(rec_path: Path) -> Inputs:
    idx_path = rec_path.with_suffix(".idx")
    reader = RecordReader(rec_path, idx_path if idx_path.is_file() else None)
    layout = layout_of(reader)
    keys = reader.sorted_keys
    if layout.kind != "plain":
        keys = np.arange(1, layout.num_images + 1)
    labels = reader.headers(keys)["labels"][:, 0]

    def reading(key: int) -> Callable[[int], np.ndarray]:
        name = f"{rec_path}: record {key}"
        return lambda most: decode_bgr(reader.read(key).payload, name, max_pixels=most)

    items = [
        Item(str(key), reading(key), f"{label:.8g}")
        for key, label in zip(keys.tolist(), labels.tolist(), strict=True)
    ]
    return Inputs(items, file_fingerprint(rec_path))


def _of_pair_set(path: Path) -> Inputs:
    pairs = read_pair_set(path)
    numbers, rows = pairs.distinct()

    def reading(number: int) -> Callable[[int], np.ndarray]:
        name = f"{path}: {pairs.describe(number)}"
        return lambda most: decode_bgr(
            pairs.images[number], name, max_pixels=min(most, CROP_PIXELS)
        )

    items = [Item(str(number), reading(number)) for number in numbers.tolist()]
    names = [str(number) for number in range(len(rows))]
    return Inputs(
        items, file_fingerprint(path), rows, names, list(pairs.paths), list(pairs.identities)
    )


def _reading(path: Path) -> Callable[[int], np.ndarray]:
    return lambda most: read_image(path, max_pixels=most)


def _listed(item: Item) -> str:
    """Return what a list says of an image besides its name."""
    landmarks = "" if item.landmarks is None else item.landmarks.tolist()
    return f"{item.identity}\n{item.is_aligned}\n{landmarks}\n"


def _digest(names: Sequence[str], paths: Sequence[Path], facts: Iterable[str] = ()) -> str:
    """Return a fingerprint of names, order and sizes of files, and of what is said of them; their
    bytes are not read twice."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(fact.encode())
    for name, path in zip(names, paths, strict=True):
        try:
            size = os.stat(path).st_size  # noqa: PTH116 - millions
        except OSError:
            size = -1
        digest.update(f"{name}\n{size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
