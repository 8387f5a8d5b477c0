"""Batches for training: drawn by a plan, read and augmented by threads ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import time
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..config import SamplingConfig, TrainConfig, ignored_options
from ..data.dataset import FaceDataset, UnreadableError
from .augment import Augmentation, refuse_beyond
from .bad_records import BadRecord, BadRecords
from .order import PLANS, Draw, Setting
from .planes import fastest
from .seeds import generator, seeds
from .triplets import Triplets  # noqa: F401 - registers its plan

AHEAD = 3  # batches that are read while the network works on one
CHUNK = 8  # images that a thread reads in one go
_AUGMENT = 1  # keeps the seeds of the augmentation apart from those of the order

Embed = Callable[[Any], Any]
# (number of the dataset, key of an image) -> what the image brings besides itself, float32
OfImage = Callable[[int, int], np.ndarray]


class Batch(NamedTuple):
    """data: float32 (B, 3, height, width), RGB, 0..255.  label: float32 (B,), the identity."""

    data: np.ndarray
    label: np.ndarray


def batches(
    plan: str,
    dataset: FaceDataset | Sequence[FaceDataset],
    config: TrainConfig,
    rng: np.random.Generator,
    embed: Embed | None = None,
    num_devices: int = 1,
    *,
    worker: int = 0,
    num_workers: int = 1,
) -> BatchSource:
    """Return the endless source of mx.io.DataBatch that a loss's batch plan asks for.

    data: float32 (B, 3, height, width), RGB, 0..255; label: float32 (B,), the identity; B is
    config.per_batch_size * num_devices and each device's share is contiguous.
    embed((B, 3, height, width)) -> (B, D), MXNet's arrays, for plans that mine: the network being
    trained, in evaluation mode; they are mined on its device.  rng: its next number seeds
    everything that is drawn.  worker of num_workers machines, all given the same rng: together
    they draw what one would with the whole batch.  Raises ValueError for a plan that is unknown
    or cannot be drawn from this dataset, and on drawing when more records do not decode than
    config.max_bad allows, or where a label is no identity.
    """
    datasets = [dataset] if isinstance(dataset, FaceDataset) else list(dataset)
    from .mxnet_batches import MxnetBatches

    return MxnetBatches(
        plan, datasets, config, rng, embed, num_devices, worker=worker, num_workers=num_workers
    )


class BatchSource:
    """Iterator of batches that tells its place and can go back to it; see batches().

    embed: float32 (B, 3, H, W) -> (B, D), numpy's.  to_device: what puts (M, D) where they are
    mined.
    epoch: passes over the data before the last batch.  batches_per_epoch: how many make one,
    None where that shows only in training.
    wait_seconds: time spent waiting for images to be read.  bad_records: those of the batches
    handed out.
    of_images: {name: (shape, function)}, what each image brings besides itself, whatever is done
    to its pixels.  beside: the same for the batch handed out last, by name, (B, *shape).
    """

    def __init__(
        self,
        plan: str,
        datasets: Sequence[FaceDataset],
        config: TrainConfig,
        rng: np.random.Generator,
        embed: Embed | None = None,
        num_devices: int = 1,
        *,
        to_device: Callable[[np.ndarray], Any] = np.asarray,
        worker: int = 0,
        num_workers: int = 1,
        of_images: Mapping[str, tuple[tuple[int, ...], OfImage]] = MappingProxyType({}),
    ):
        self._of_images, self.beside = of_images, {}
        self._datasets, self._embed, self._to_device = list(datasets), embed, to_device
        shapes = {dataset.image_shape for dataset in self._datasets}
        if len(shapes) > 1:
            raise ValueError(
                "--data-dir: the folders hold images of different height and width "
                f"{sorted(shapes)}; give --image-size"
            )
        refuse_beyond(config, *next(iter(shapes)))
        self._plan_name, self._num_devices = plan, num_devices
        self._worker, self._num_workers = worker, num_workers
        self._config = config
        self._augmentation = Augmentation(config)
        fastest()  # before threads would compile it
        self._pool = ThreadPoolExecutor(config.num_threads, thread_name_prefix="read")
        self._batch_size = config.per_batch_size * num_devices
        self.wait_seconds = 0.0
        self.bad_records = BadRecords(self._datasets, config.max_bad)
        self._bad_in_bag: list[BadRecord] = []
        self.epoch = 0
        self._begin(int(rng.integers(2**31)), None)

    def _begin(
        self, seed: int, state: dict[str, Any] | None, moved_from: int | None = None
    ) -> None:
        self._seed = seed
        setting = Setting(
            self._datasets, self._config, seed, self._num_devices, self._worker,
            self._num_workers, self._embed_keys if self._embed else None,
        )  # fmt: skip
        plan = PLANS[self._plan_name](setting)
        faults = ignored_options(
            self._config, SamplingConfig, plan.uses, f"batch plan {self._plan_name!r} of this loss"
        )
        if faults:
            raise ValueError("\n".join(faults))
        if state and moved_from:
            state = plan.moved(state, moved_from, self._batch_size * self._num_workers)
        self._state = state
        self.batches_per_epoch = plan.batches_per_epoch
        self._draws = plan.draws(state)
        self._pending: deque[_Reading] = deque()

    def __iter__(self) -> BatchSource:
        return self

    def __next__(self) -> Batch:
        self._draw_ahead()
        reading = self._pending.popleft()
        self._draw_ahead(after=reading.draw)
        data, labels = self._wait_for(reading)
        self.bad_records.take(reading.bad)
        if reading.empty:
            reason = max(reading.bad).reason
            raise ValueError(f"nothing can take the place of a bad record: {reason}")
        self._state, self.epoch = reading.draw.state, reading.draw.epoch
        self.beside = reading.beside
        return Batch(data, labels)

    def state(self) -> dict[str, Any]:
        """Return the place after the last batch handed out, JSON-able."""
        return {
            "plan": self._plan_name,
            "images_per_batch": self._batch_size,
            "seed": self._seed,
            "place": self._state,
            "bad_records": self.bad_records.state(),
        }

    def restore(self, state: dict[str, Any], moved_from: int | None = None) -> None:
        """Go on from state(): the next batches are those that came after it, bit for bit.

        moved_from: images of a batch of all machines where another number of them wrote it; then it
        goes on at the same image, or at the beginning of the batch that holds it.
        Raises ValueError if it was written with another plan or batch size.
        """
        for name, mine in (("plan", self._plan_name), ("images_per_batch", self._batch_size)):
            if state[name] != mine and (name == "plan" or moved_from is None):
                raise ValueError(
                    f"the interrupted run drew batches with {name} {state[name]}, this one has "
                    f"{mine}; resume with the same options, or start from its parameters with "
                    "--pretrained"
                )
        place = state["place"]
        if place is not None and set(place) != PLANS[self._plan_name].place:
            names = ", ".join(sorted(PLANS[self._plan_name].place))
            raise ValueError(
                f"the interrupted run's place in its batches must have {names}, not {sorted(place)}"
            )
        for reading in self._pending:
            reading.cancel()
        # Last states older than this count have none.
        self.bad_records.restore(state.get("bad_records", ()))
        self._begin(state["seed"], state["place"], moved_from)

    def close(self) -> None:
        """Stop reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _draw_ahead(self, after: Draw | None = None) -> None:
        """Have AHEAD batches read, but none beyond a draw that has yet to be trained on."""
        last = self._pending[-1].draw if self._pending else after
        while len(self._pending) < AHEAD and not (last and last.is_awaited):
            last = next(self._draws)
            bad, self._bad_in_bag = self._bad_in_bag, []
            self._pending.append(self._read(last, self._augmentation, bad, self._of_images))

    def _read(
        self,
        draw: Draw,
        augmentation: Augmentation,
        bad: list[BadRecord],
        of_images: Mapping[str, tuple[tuple[int, ...], OfImage]],
    ) -> _Reading:
        """Start reading a batch.  bad: what did not decode while it was drawn."""
        size = len(draw.keys)
        offset = self._worker * size  # of this machine's part in the batch of all
        data = np.empty((size, 3, *self._datasets[0].image_shape), np.float32)
        labels = np.empty(size, np.float32)
        if augmentation.is_random:
            words = (self._seed, _AUGMENT, draw.number)
            seeded = seeds(words, offset + np.arange(size))
        empty: list[int] = []
        beside = {
            name: np.zeros((size, *shape), np.float32) for name, (shape, _) in of_images.items()
        }

        def fill(begin: int) -> None:
            for place in range(begin, min(begin + CHUNK, size)):
                found = self._sample(draw, place, bad)
                if found is None:
                    empty.append(place)
                    data[place] = labels[place] = 0
                    continue
                image, labels[place], key = found
                for name, (_, function) in of_images.items():
                    beside[name][place] = function(int(draw.sources[place]), key)
                rng = generator(seeded[place]) if augmentation.is_random else None
                augmentation.write(image, rng, data[place])

        futures = [self._pool.submit(fill, begin) for begin in range(0, size, CHUNK)]
        return _Reading(draw, data, labels, futures, bad, empty, beside)

    def _sample(
        self, draw: Draw, place: int, bad: list[BadRecord]
    ) -> tuple[np.ndarray, int, int] | None:
        """Return image, identity and key of a place, from its key or the first substitute that
        decodes, None if none does.  Those that do not are added to bad."""
        source = int(draw.sources[place])
        dataset = self._datasets[source]
        for key in _candidates(draw, place):
            try:
                return *dataset.sample(key), key
            except UnreadableError as error:
                bad.append(BadRecord(source, key, str(error)))
                self.bad_records.refuse_excess(bad)
        return None

    def _wait_for(self, reading: _Reading) -> tuple[np.ndarray, np.ndarray]:
        began = time.perf_counter()
        try:
            for future in reading.futures:
                future.result()
        finally:
            self.wait_seconds += time.perf_counter() - began
        return reading.data, reading.labels

    def _embed_keys(self, source: int, keys: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return the embeddings of images without augmentation, (M, D) where they are mined, and
        which keys they belong to, int64 (M,): a bag goes without those that do not decode.

        The last batch is filled up with its own images, so any number of keys will do.
        """
        parts = [keys[i : i + self._batch_size] for i in range(0, len(keys), self._batch_size)]
        plain = Augmentation()

        def start(part: np.ndarray) -> _Reading:
            filled = np.resize(part, self._batch_size)
            draw = Draw(filled, np.full(len(filled), source), 0, 0, {})
            return self._read(draw, plain, self._bad_in_bag, {})

        readings = deque(start(part) for part in parts[:AHEAD])
        embedded, readable = [], []
        for number, part in enumerate(parts):
            reading = readings.popleft()
            data, _ = self._wait_for(reading)
            if number + AHEAD < len(parts):
                readings.append(start(parts[number + AHEAD]))
            rows = np.setdiff1d(np.arange(len(part)), reading.empty)
            readable.append(number * self._batch_size + rows)
            if len(rows):
                # A copy, because the network may write its next output over this one.
                embedded.append(self._embed(data)[rows])
        if not embedded:
            raise ValueError(f"no image of a bag decodes: {max(self._bad_in_bag).reason}")
        return self._to_device(np.concatenate(embedded)), np.concatenate(readable)


def _candidates(draw: Draw, place: int) -> Iterator[int]:
    yield int(draw.keys[place])
    yield from draw.substitutes(place)  # asked for only where that key does not decode


class _Reading:
    """A batch that threads are filling.  bad: what did not decode.  empty: places for which
    nothing did."""

    def __init__(
        self,
        draw: Draw,
        data: np.ndarray,
        labels: np.ndarray,
        futures: list[Future],
        bad: list[BadRecord],
        empty: list[int],
        beside: dict[str, np.ndarray],
    ):
        self.draw, self.data, self.labels, self.futures = draw, data, labels, futures
        self.bad, self.empty, self.beside = bad, empty, beside

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()
