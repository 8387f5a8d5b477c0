"""A teacher that is a network: its vectors are made once, and kept beside the checkpoints.

PREFIX-teacher-DIGITS.npy holds float32 or float16 (N, T), a row of length 1 for each image of a
dataset in the order of its keys, zeros for one that does not decode.  The digits are those of the
network, the dataset and the images taken, so a file of another teacher has another name; it serves
as ready vectors too.  While it is written it is PREFIX-teacher-DIGITS.npy.partial, and an
interrupted run goes on there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import json
import logging
from pathlib import Path
import time
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ..batches.bad_records import BadRecord, BadRecords
from ..checkpoints.network import model_fingerprint
from ..config import TrainConfig
from ..data.dataset import FaceDataset, UnreadableError
from ..embedding.arguments import embedding_facts, open_embedder
from ..embedding.image_embedder import ImageEmbedder
from ..embedding.npy import open_npy
from ..embedding.row_store import RowWriter
from ..embedding.source_text import NETWORK, SourceText
from ..embedding.vectors import unit_rows
from .machines import Machines, Word
from .teacher import Teacher, short_digest

if TYPE_CHECKING:
    from .engine import Engine

IMAGES_AT_ONCE = 2048  # written together
BATCH = 32  # images per forward pass
SEEN_WITHIN = 30.0  # seconds until a file of machine 0 must be seen by all

logger = logging.getLogger(__name__)


class NetworkTeacher(Teacher):
    """A checkpoint or an ONNX file, and where its vectors are kept.

    Raises ValueError for a network that does not take the images.
    """

    def __init__(
        self,
        source: SourceText,
        config: TrainConfig,
        datasets: Sequence[FaceDataset],
        engine: Engine,
    ):
        self.text, self._source = config.teacher, source
        self._datasets, self._max_bad = list(datasets), config.max_bad
        self._dtype = config.teacher_dtype
        self._arguments = argparse.Namespace(
            gpu=engine.teacher_gpu(), engine="auto", dtype="float32", batch_size=BATCH
        )
        self._embedder: ImageEmbedder | None = None
        if not source.model.endswith(NETWORK) and not source.options:
            self._embedder = engine.teacher_embedder(source.model, BATCH)
        if self._embedder:
            facts = {"model": model_fingerprint(source.model)}
        else:
            facts = embedding_facts(self._arguments, source)
        # The engine may be another one where a run goes on: it is the same network.
        facts = {name: fact for name, fact in facts.items() if name not in ("engine", "dtype")}
        self.fingerprint = short_digest(json.dumps(facts, sort_keys=True).encode())
        self._keys = [np.asarray(dataset.image_keys) for dataset in self._datasets]
        self.paths = [
            self._path(config.prefix, *each)
            for each in zip(self._datasets, self._keys, strict=True)
        ]
        self._rows: list[np.ndarray] = []
        self.size = self._find_size()

    def _path(self, prefix: str, dataset: FaceDataset, keys: np.ndarray) -> Path:
        facts = [self.fingerprint, dataset.fingerprint(), dataset.image_shape, self._dtype]
        return Path(f"{prefix}-teacher-{short_digest(json.dumps(facts).encode(), keys)}.npy")

    def _find_size(self) -> int:
        for path in self.paths:
            if path.is_file():
                return open_npy(path, ndim=2, dtypes=(self._dtype,)).shape[1]
        readable = self._readable(0, self._keys[0], [], BadRecords(self._datasets, 1 << 62))
        image = next(readable, None)
        if image is None:
            raise ValueError(f"no image of {self._datasets[0].folder} decodes")
        return self._network().plain_and_flipped([image], flip=False)[0].shape[1]

    def _network(self) -> ImageEmbedder:
        if self._embedder is None:
            self._embedder = open_embedder(self._arguments, self._source)
        return self._embedder

    def prepare(self, machines: Machines) -> None:
        if machines.rank == 0:
            bad_records = BadRecords(self._datasets, self._max_bad)
            for number in range(len(self.paths)):
                self._fill(number, bad_records)
        if machines.count > 1:
            machines.tell(Word.GO)  # wait for the one that makes them
        self._embedder = None
        self._rows = [
            self._opened(path, len(keys)) for path, keys in zip(self.paths, self._keys, strict=True)
        ]

    def _fill(self, number: int, bad_records: BadRecords) -> None:
        """Make the vectors of a dataset, or those that are missing."""
        path, keys = self.paths[number], self._keys[number]
        if path.is_file():
            logger.info("teacher: vectors of %d images are in %s", len(keys), path)
            return
        with RowWriter(path, (len(keys), self.size), self._dtype) as writer:
            done = writer.done
            bar = tqdm(total=len(keys), initial=done, desc="teacher", unit=" images", disable=None)
            with bar:
                for begin in range(done, len(keys), IMAGES_AT_ONCE):
                    part = keys[begin : begin + IMAGES_AT_ONCE]
                    writer.write(self._vectors(number, part, bad_records))
                    writer.sync()
                    bar.update(len(part))
        logger.info("teacher: made vectors of %d images, %s", len(keys) - done, path)

    def _vectors(self, number: int, keys: np.ndarray, bad_records: BadRecords) -> np.ndarray:
        """Return float32 (n, T) of length 1, zeros for images that do not decode."""
        rows = np.zeros((len(keys), self.size), np.float32)
        places: list[int] = []
        images = self._readable(number, keys, places, bad_records)
        first = next(images, None)
        if first is not None:
            both = self._network().plain_and_flipped(_chained(first, images))
            rows[places] = unit_rows(both[0] + both[1])
        return rows

    def _readable(
        self, number: int, keys: np.ndarray, places: list[int], bad_records: BadRecords
    ) -> Iterator[np.ndarray]:
        """Yield the images that decode, each after its place among the keys was appended."""
        for place, key in enumerate(keys.tolist()):
            try:
                image, _ = self._datasets[number].sample(key)
            except UnreadableError as error:
                bad_records.take([BadRecord(number, key, str(error))])
                continue
            places.append(place)
            yield image

    def _opened(self, path: Path, count: int) -> np.ndarray:
        until = time.monotonic() + SEEN_WITHIN
        while not path.is_file() and time.monotonic() < until:  # a network file system is late
            time.sleep(0.1)
        rows = open_npy(path, ndim=2, dtypes=(self._dtype,))
        if rows.shape != (count, self.size):
            raise ValueError(
                f"{path}: holds {rows.shape}, wanted are ({count}, {self.size}); remove it"
            )
        return rows

    def vector(self, source: int, key: int) -> np.ndarray:
        row = np.asarray(self._rows[source][np.searchsorted(self._keys[source], key)], np.float32)
        if not (row.any() and np.isfinite(row).all()):
            reason = "is damaged" if row.any() else "did not decode when it was made"
            raise ValueError(
                f"{self.paths[source]}: has no vector for record {key}, which {reason}; remove the "
                "file to make it anew"
            )
        return row


def _chained(first: np.ndarray, images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from images
