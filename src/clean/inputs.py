"""What is cleaned and what it is compared with: datasets and pair sets with their vectors."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checkpoints.network import file_fingerprint
from ..data.dataset import FaceDataset
from ..data.identity_lists import names_of
from ..embedding.arguments import embedding_facts, open_embedder
from ..embedding.npy import open_npy
from ..embedding.ready_vectors import ReadyVectors
from ..embedding.source_text import SourceText, parse_source
from ..embedding.stored_embeddings import store_embeddings
from ..embedding.vector_index import check_index
from ..eval.pair_sets import read_pair_set
from .faces import Faces, in_order
from .spread import sums


class ReadyRows:
    """Rows of ready vectors as Faces wants them: plain, or plain + flipped of joined halves."""

    def __init__(self, ready: ReadyVectors):
        self._ready = ready
        self.shape = (len(ready.vectors), ready.dim)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        plain, flipped = self._ready.rows(rows)
        return plain if plain is flipped else plain + flipped


@dataclass(frozen=True)
class Reference:
    """What a dataset must not overlap with.  centres: unit float32 (M, D).  names: of its rows."""

    name: str
    centres: np.ndarray
    names: list[str]


def facts_of(arguments: argparse.Namespace, text: str) -> dict[str, str]:
    """Return what decides the vectors of a source."""
    source = parse_source(text)
    if source.is_vectors:
        return {"vectors": file_fingerprint(Path(source.model)), **source.options}
    return embedding_facts(arguments, source)


def faces_of(
    dataset: FaceDataset, text: str, arguments: argparse.Namespace, kept: Path
) -> Faces:  # fmt: skip
    """Return the images of a dataset with their vectors: of a file, or made by a network.

    text: a source of vectors (embedding/source_text.py).  kept: FILE.npy of a network's vectors.
    Raises ValueError for vectors that are not those of the images.
    """
    keys = np.asarray(dataset.image_keys)
    identities = dataset.identities(keys)
    source = parse_source(text)
    if source.is_vectors:
        ready = ReadyVectors(source.model, source.options)
        names = [str(key) for key in keys.tolist()] if ready.names is not None else ()
        places = ready.places(len(keys), [names], str(dataset.folder))
        check_index(ready.path, dataset, keys, in_order=ready.names is None)
        return in_order(ReadyRows(ready), places, keys, identities)

    def images(start: int) -> Iterator[np.ndarray]:
        return (dataset.sample(key)[0] for key in keys[start:].tolist())

    facts = {"dataset": dataset.fingerprint(), "size": str(dataset.image_shape)}
    vectors = _made(source, arguments, kept, facts, len(keys), images)
    return in_order(vectors, np.arange(len(keys)), keys, identities)


def reference_of(text: str, model: str, arguments: argparse.Namespace, folder: Path) -> Reference:
    """Return a pair set or dataset to compare with.

    text: PATH, whose images the network of `model` embeds, or PATH=VECTORS.  folder: where a
    network's vectors are kept.  A dataset gives the centres of its identities, as published; of a
    pair set each image counts.  Raises ValueError where there are no vectors for it.
    """
    path, vectors = _parts_of(text)
    source = parse_source(vectors or model)
    if not vectors and source.is_vectors:
        raise ValueError(
            f"--against {text}: {model} holds vectors of the dataset alone; give "
            f"--against {path}=VECTORS, or a network as --model"
        )
    kept = folder / f"against-{Path(path).name}.npy"
    if Path(path).is_dir():
        dataset = FaceDataset(path)
        try:
            faces = faces_of(dataset, vectors or model, arguments, kept)
        finally:
            dataset.close()
        names = names_of(Path(path))
        total = sums(faces)
        lengths = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
        labels = [names.get(number, str(number)) for number in faces.numbers.tolist()]
        return Reference(str(path), total / lengths, labels)
    return _of_pair_set(Path(path), source, arguments, kept)


def _of_pair_set(
    path: Path, source: SourceText, arguments: argparse.Namespace, kept: Path
) -> Reference:  # fmt: skip
    pairs = read_pair_set(path)
    numbers, _ = pairs.distinct()
    labels = [
        pairs.identities[number] if pairs.identities else pairs.describe(number)
        for number in numbers.tolist()
    ]
    if source.is_vectors:
        ready = ReadyVectors(source.model, source.options)
        ready.refuse_other_images(path)
        count = len(pairs.images)
        names = [str(number) for number in range(count)] if ready.names is not None else ()
        rows = ReadyRows(ready)[ready.places(count, [names], str(path))[numbers]]
    else:

        def images(start: int) -> Iterable[np.ndarray]:
            return pairs.decoded(numbers=numbers[start:].tolist())

        facts = {"pairs": file_fingerprint(path)}
        rows = _made(source, arguments, kept, facts, len(numbers), images)
    count = len(numbers)
    faces = Faces(rows, np.arange(count), numbers, np.zeros(count, np.int64))
    return Reference(str(path), np.concatenate([part for _, part in faces.blocks()]), labels)


def _parts_of(text: str) -> tuple[str, str]:
    if Path(text).exists():
        return text, ""
    path, equals, vectors = text.partition("=")
    if not Path(path).exists():
        raise FileNotFoundError(f"--against {path}: no dataset folder or pair set of that name")
    return path, vectors


def _made(
    source: SourceText, arguments: argparse.Namespace, kept: Path, facts: dict, count: int, images
) -> np.ndarray:
    origin = embedding_facts(arguments, source) | facts
    store_embeddings(kept, origin, count, images, lambda: open_embedder(arguments, source))
    return open_npy(kept, ndim=3, dtypes=("float32",))
