"""Embeddings of many images on the disk: FILE.npy float32 (N, 2, D), plain and flipped.

It is written image by image in list order; FILE.npy.part grows until all are there, so an
interrupted run goes on where it was.  FILE.npy.json says of what model and list it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..files import replace_file
from .image_embedder import ImageEmbedder

IMAGES_AT_ONCE = 2048


def store_features(
    path: str | os.PathLike,
    origin: dict[str, str],
    count: int,
    images_from: Callable[[int], Iterable[np.ndarray]],
    embed: Callable[[], ImageEmbedder],
) -> None:
    """Write the embeddings of `count` images to path, or go on with what is there.

    origin: what they depend on, such as fingerprints of model and list; a file of another
    origin is an error.  images_from(start) yields uint8 RGB images from number start on.
    embed() opens the network, if there is work for it.
    Raises ValueError for a file of another origin or a wrong number of images.
    """
    path = Path(path)
    part, about = Path(f"{path}.part"), Path(f"{path}.json")
    if about.is_file():
        known = json.loads(about.read_text())
        if known["origin"] != origin or known["count"] != count:
            raise ValueError(
                f"{path}: holds features of another model or list ({known['origin']}); "
                "name another file or remove it"
            )
    elif path.is_file():
        raise ValueError(f"{path}: no {about.name} says of what model and list it is; remove it")
    if path.is_file():
        return
    done, dimension = _resume(part, about)
    network = embed()
    images = iter(images_from(done))
    with tqdm(total=count, initial=done, unit=" images", disable=None) as bar:
        while done < count:
            block = list(islice(images, min(IMAGES_AT_ONCE, count - done)))
            if not block:
                raise ValueError(f"{done} images instead of {count}")
            features = np.stack(network.plain_and_flipped(block), axis=1)  # (n, 2, D)
            if not done:
                dimension = features.shape[2]
                _begin(part, about, origin, count, dimension)
            with part.open("ab") as file:
                file.write(features.astype("<f4").tobytes())
                file.flush()
                os.fsync(file.fileno())
            done += len(block)
            bar.update(len(block))
    part.replace(path)


def _begin(part: Path, about: Path, origin: dict[str, str], count: int, dimension: int) -> None:
    with replace_file(about, "w") as file:
        json.dump({"origin": origin, "count": count, "dimension": dimension}, file)
    with replace_file(part) as file:  # a header that is cut short could not be gone on with
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, 2, dimension)}
        np.lib.format.write_array_header_1_0(file, header)


def _resume(part: Path, about: Path) -> tuple[int, int]:
    """Return (images that are complete, dimension), cutting off a half-written image."""
    if not (part.is_file() and about.is_file()):
        return 0, 0
    dimension = json.loads(about.read_text())["dimension"]
    begin = _data_offset(part)
    done = max(part.stat().st_size - begin, 0) // (8 * dimension)
    os.truncate(part, begin + done * 8 * dimension)
    return done, dimension


def _data_offset(path: Path) -> int:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def read_features(path: str | os.PathLike) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (first image number, plain (n, D), flipped (n, D)) block by block."""
    path = Path(path)
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (count, _, dimension), _, _ = np.lib.format.read_array_header_1_0(file)
        for start in range(0, count, IMAGES_AT_ONCE):
            rows = min(IMAGES_AT_ONCE, count - start)
            block = np.fromfile(file, "<f4", rows * 2 * dimension)
            if block.size != rows * 2 * dimension:
                raise ValueError(
                    f"{path}: ends within image {start + block.size // dimension // 2}"
                )
            block = block.reshape(rows, 2, dimension)
            yield start, block[:, 0], block[:, 1]
