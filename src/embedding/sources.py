"""One interface to embeddings, whether a network makes them or a file has them.

    embeddings = open_source("vendor=vectors.npy", arguments)
    for start, plain, flipped in embeddings.blocks(images): ...

What a protocol evaluates asks an Embeddings for the vectors of Images.  A network reads them; ready
vectors look up their names, or take them in order, and need no pixel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
import os
from pathlib import Path

import numpy as np

from .arguments import check_declared, embedding_facts, open_embedder
from .embedder import Embedder
from .ready_vectors import ReadyVectors
from .source_text import SourceText, check_aliases, parse_source
from .stored_embeddings import num_stored, read_embeddings, store_embeddings

ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class Images:
    """What a protocol wants embeddings of.

    what: the list in messages.  count: images.  read(start): yields uint8 RGB (H, W, 3), all of
    one size, from number start on.  names: lists of `count` names that the images go by, the most
    particular first.  facts: what of the images decides their embeddings, as text.
    """

    what: str
    count: int
    read: Callable[[int], Iterable[np.ndarray]]
    names: Sequence[Sequence[str]] = ()
    facts: dict[str, str] | None = None


class Embeddings(ABC):
    """Vectors for images.

    name: for people; alias: the same where it was given one, else "".  facts: what decides the
    vectors besides the images.  reads_images: False if the vectors are there already.
    """

    name: str
    alias: str
    facts: dict[str, str]
    reads_images: bool

    @abstractmethod
    def blocks(self, images: Images) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield (number of the first image, plain (n, D), flipped (n, D)), float32, in order.

        Raises ValueError if the source has no vectors for these images.
        """

    def num_ready(self, images: Images) -> int:
        """Return how many of the first images need not be read."""
        return 0 if self.reads_images else images.count


def source_facts(source: Embeddings, target: str) -> dict[str, str]:
    """Return the facts of a source, of ready vectors those of the file for a target."""
    return source.facts_of(target) if isinstance(source, ReadyEmbeddings) else source.facts


class NetworkEmbeddings(Embeddings):
    """A network, and where its embeddings are kept, FILE.npy, so that they are made once.

    kept: None keeps them nowhere.
    """

    reads_images = True

    def __init__(self, source: SourceText, arguments: argparse.Namespace, kept: str | None = None):
        self.name, self.alias = source.name, source.alias
        self._source, self._arguments, self.kept = source, arguments, kept

    @cached_property
    def facts(self) -> dict[str, str]:
        return embedding_facts(self._arguments, self._source)

    def embedder(self) -> Embedder:
        """Return the network opened."""
        return open_embedder(self._arguments, self._source)

    def num_ready(self, images: Images) -> int:
        if self.kept is None:
            return 0
        return num_stored(self.kept, self.facts | (images.facts or {}), images.count)

    def blocks(self, images: Images) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        if self.kept is None:
            return self._made(images)
        origin = self.facts | (images.facts or {})
        store_embeddings(self.kept, origin, images.count, images.read, self.embedder)
        return read_embeddings(self.kept, images.count)

    def _made(self, images: Images) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        network, pixels = self.embedder(), iter(images.read(0))
        for start in range(0, images.count, ROWS_AT_ONCE):
            block = list(islice(pixels, min(ROWS_AT_ONCE, images.count - start)))
            yield start, *network.plain_and_flipped(block)


class ReadyEmbeddings(Embeddings):
    """Vectors of a file; in its path {target} stands for the name of what is evaluated."""

    reads_images = False

    def __init__(self, source: SourceText):
        self.name, self.alias, self._source = source.name, source.alias, source
        self._opened: dict[str, ReadyVectors] = {}
        if "{target}" not in source.model:
            self.vectors("")

    @property
    def is_of_one_target(self) -> bool:
        """Tell whether nothing but the number of its rows says what the file is of."""
        return "{target}" not in self._source.model and self.vectors("").is_by_order

    def vectors(self, target: str) -> ReadyVectors:
        """Return the file for a target.  Raises as ReadyVectors does."""
        path = self._source.model.replace("{target}", target)
        if path not in self._opened:
            self._opened[path] = ReadyVectors(path, self._source.options)
        return self._opened[path]

    @property
    def facts(self) -> dict[str, str]:
        return self.facts_of("")

    def facts_of(self, target: str) -> dict[str, str]:
        """Return the facts of the file for a target."""
        kind = "joined vectors" if "joined" in self._source.options else "vectors"
        return {"model": self.vectors(target).fingerprint, "engine": f"ready {kind}",
                "dtype": str(self.vectors(target).vectors.dtype)}  # fmt: skip

    def blocks(self, images: Images) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        vectors = self.vectors(images.what)
        places = vectors.places(images.count, images.names, images.what)
        for start in range(0, len(places), ROWS_AT_ONCE):
            yield start, *vectors.rows(places[start : start + ROWS_AT_ONCE])


def open_sources(
    texts: Sequence[str],
    arguments: argparse.Namespace,
    kept: str | None = None,
    *,
    are_kept: bool = True,
) -> list[Embeddings]:
    """Return the embeddings of each text (source_text.py).

    are_kept: False if the networks' embeddings are kept nowhere.  kept: path of the networks'
    embeddings; of several networks it has {model} in it, which stands for their names.
    Raises ValueError for two of one name.
    """
    sources = [parse_source(text) for text in texts]
    check_aliases(sources)
    if sources:
        check_declared(arguments, sources)
    networks = [source for source in sources if not source.is_vectors]
    if networks and kept is None and are_kept:
        raise ValueError("--features FILE.npy: where the embeddings of the network are kept")
    if len(networks) > 1 and "{model}" not in (kept or "{model}"):
        raise ValueError(
            f"--features {kept}: {len(networks)} networks; put {{model}} into it, which stands for "
            "the name of each, such as features_{model}.npy"
        )
    return [
        ReadyEmbeddings(source) if source.is_vectors
        else NetworkEmbeddings(source, arguments, kept_path(kept, source.name))
        for source in sources
    ]  # fmt: skip


def kept_path(kept: str | None, name: str) -> str | None:
    """Return where a network's embeddings are kept; {model} is its name without folders."""
    return kept and kept.replace("{model}", Path(name.replace(os.sep, "_")).name.lstrip("._"))
