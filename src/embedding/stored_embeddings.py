"""Embeddings of many images on the disk: a store FILE.npy, float32 (N, 2, D), plain and flipped.

It is written image by image in list order, so an interrupted run goes on where it was.
FILE.npy.json says of what model and list it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..files import replace_file
from ..limits import parse_json, read_limited, shown
from .image_embedder import ImageEmbedder
from .npy import open_npy
from .row_store import RowWriter, has_rows

IMAGES_AT_ONCE = 2048
LARGEST_FACTS = 1 << 20  # bytes
LARGEST_DIMENSION = 1 << 20
FACTS = "note of where embeddings are from"


def store_embeddings(
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
    path, about = Path(path), Path(f"{path}.json")
    is_begun = path.is_file() or has_rows(path)
    known = _read_facts(about) if is_begun and about.is_file() else None
    if known and (known["origin"] != origin or known["count"] != count):
        raise ValueError(
            f"{path}: holds features of another model or list ({_facts_shown(known['origin'])}); "
            "name another file or remove it"
        )
    if path.is_file():
        if not known:
            raise ValueError(
                f"{path}: no {about.name} says of what model and list it is; remove it"
            )
        return
    with ExitStack() as stack:
        writer = None
        if known:
            writer = stack.enter_context(_writer(path, count, known["dimension"]))
        done = writer.done if writer else 0
        network = embed()
        images = iter(images_from(done))
        bar = stack.enter_context(tqdm(total=count, initial=done, unit=" images", disable=None))
        while done < count:
            block = list(islice(images, min(IMAGES_AT_ONCE, count - done)))
            if not block:
                raise ValueError(f"{done} images instead of {count}")
            embeddings = np.stack(network.plain_and_flipped(block), axis=1)  # (n, 2, D)
            if writer is None:
                dimension = embeddings.shape[2]
                writer = stack.enter_context(_writer(path, count, dimension, anew=True))
                with replace_file(about, "w") as file:
                    json.dump({"origin": origin, "count": count, "dimension": dimension}, file)
            writer.write(embeddings)
            writer.sync()
            done += len(block)
            bar.update(len(block))


def _read_facts(about: Path) -> dict:
    facts = parse_json(read_limited(about, LARGEST_FACTS, FACTS), str(about), f"a {FACTS}")
    is_sound = (
        isinstance(facts, dict)
        and isinstance(facts.get("origin"), dict)
        and type(facts.get("count")) is int
        and type(facts.get("dimension")) is int
        and 0 < facts["dimension"] <= LARGEST_DIMENSION
    )
    if not is_sound:
        raise ValueError(
            f"{about}: not a {FACTS}: wanted are origin, count and dimension; remove it and "
            f"{about.stem}"
        )
    return facts


def _facts_shown(origin: dict) -> str:
    return ", ".join(f"{key} {shown(value)}" for key, value in list(origin.items())[:10])


def num_stored(path: str | os.PathLike, origin: dict[str, str], count: int) -> int:
    """Return how many of `count` images have embeddings at path already: those need no image.

    origin: as for store_embeddings(); of another, none has.
    """
    path, about = Path(path), Path(f"{path}.json")
    known = _read_facts(about) if about.is_file() else None
    if not known or (known["origin"], known["count"]) != (origin, count):
        return 0
    if path.is_file():
        return count
    if not has_rows(path):
        return 0
    with _writer(path, count, known["dimension"]) as writer:
        return writer.done


def _writer(path: Path, count: int, dimension: int, *, anew: bool = False) -> RowWriter:
    return RowWriter(path, (count, 2, dimension), np.float32, anew=anew)


def read_embeddings(
    path: str | os.PathLike, count: int | None = None
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (first image number, plain (n, D), flipped (n, D)) block by block.

    count: images that there should be.  Raises FileNotFoundError, or ValueError for a file of
    anything else.
    """
    rows = open_npy(path, ndim=3, dtypes=("float32",))
    count = len(rows) if count is None else count
    if rows.shape[:2] != (count, 2) or not rows.shape[2]:
        raise ValueError(f"{path}: holds {rows.shape}, wanted are ({count}, 2, D): remove it")
    for start in range(0, len(rows), IMAGES_AT_ONCE):
        block = np.array(rows[start : start + IMAGES_AT_ONCE])
        yield start, block[:, 0], block[:, 1]
