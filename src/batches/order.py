"""In which order images are drawn: batch plans that need nothing but keys.

A plan is a class PLANS[name](setting) with batches_per_epoch, draws(state), an endless
iterator of Draw, uses, the options of group "sampling" that it reads, and place, the names in
the state of a Draw.  Each Draw carries the state from which draws() goes on after it, and all
randomness comes from (seed, epoch, ...), so that a resumed run draws what it would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import logging
from typing import Any, ClassVar

import numpy as np

from ..registry import Registry

PLANS = Registry("batch plan")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What a plan may draw from.

    datasets: FaceDataset, several only for triplets.  config: TrainConfig.  seed: of all
    randomness.  num_devices shares of config.per_batch_size images make a batch.  worker of
    num_workers machines that draw together.  embed_keys(dataset number, keys) -> (N, D) on
    its device, or None.
    """

    datasets: Sequence[Any]
    config: Any
    seed: int
    num_devices: int = 1
    worker: int = 0
    num_workers: int = 1
    embed_keys: Callable[[int, np.ndarray], Any] | None = None

    @property
    def batch_size(self) -> int:
        return self.config.per_batch_size * self.num_devices

    def rng(self, *place: int) -> np.random.Generator:
        """Return the random state of one place in the order, such as an epoch."""
        return np.random.default_rng([self.seed, *place])


@dataclass(frozen=True)
class Draw:
    """One batch, still to be read.

    keys: int64 (B,).  sources: (B,) number of the dataset of each key.  number: how many
    draws came before, which seeds the augmentation.  epoch: passes over the data before it.
    state: where draws() goes on after it; JSON-able.  is_awaited: the next draw depends on
    training with this one, so nothing may be drawn ahead of it.
    """

    keys: np.ndarray
    sources: np.ndarray
    number: int
    epoch: int
    state: dict[str, Any]
    is_awaited: bool = False


@PLANS.register("shuffled")
class Shuffled:
    """Every image once an epoch, in random order; what does not fill a batch is left out.

    A dataset smaller than one batch is drawn several times for one: an epoch is one batch.
    Several machines share the same order, each taking its part of every batch.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    place: ClassVar[frozenset[str]] = frozenset({"epoch", "batch"})

    def __init__(self, setting: Setting):
        self._setting = setting
        self._keys = setting.datasets[0].image_keys
        self._total = setting.batch_size * setting.num_workers
        self.batches_per_epoch = max(len(self._keys) // self._total, 1)
        if len(self._keys) < self._total:
            log.info(
                "%d images do not fill a batch of %d: each batch draws them more than once",
                len(self._keys),
                self._total,
            )

    def draws(self, state: dict[str, Any] | None = None) -> Iterator[Draw]:
        epoch, batch = (state["epoch"], state["batch"]) if state else (0, 0)
        size, part = self._setting.batch_size, self._setting.worker
        while True:
            order = self._order(epoch)
            while batch < self.batches_per_epoch:
                begin = batch * self._total + part * size
                number = epoch * self.batches_per_epoch + batch
                batch += 1
                ends = batch == self.batches_per_epoch
                after = {"epoch": epoch + ends, "batch": 0 if ends else batch}
                keys = order[begin : begin + size]
                yield Draw(keys, np.zeros(size, int), number, epoch, after)
            epoch, batch = epoch + 1, 0

    def _order(self, epoch: int) -> np.ndarray:
        rng = self._setting.rng(epoch)
        rounds = -(-self._total // len(self._keys)) if self.batches_per_epoch == 1 else 1
        return np.concatenate([rng.permutation(self._keys) for _ in range(rounds)])


@PLANS.register("identities")
class Identities:
    """Blocks of --images-per-identity images of one identity, for losses that compare images
    within a device's share: each share holds per_batch_size / images_per_identity identities,
    no identity twice.

    An epoch shows each identity once; identities that do not fill a share are left out.
    Images of an identity with fewer are repeated.  Source: the published sampler.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"images_per_identity"})
    place: ClassVar[frozenset[str]] = frozenset({"number"})
    default_images: ClassVar[int] = 16  # as published for losses 9 and 10

    def __init__(self, setting: Setting):
        self._setting = setting
        config = setting.config
        self._each = config.images_per_identity or self.default_images
        if config.per_batch_size % self._each:
            raise ValueError(
                f"--per-batch-size {config.per_batch_size}: must be a multiple of "
                f"--images-per-identity {self._each}"
            )
        self._groups = setting.datasets[0].keys_by_identity
        self._share = config.per_batch_size // self._each
        if len(self._groups) < self._share:
            raise ValueError(
                f"--per-batch-size {config.per_batch_size} holds {self._share} identities with "
                f"--images-per-identity {self._each}, but the dataset has {len(self._groups)}; "
                "lower the first or raise the second"
            )
        shares = len(self._groups) // self._share
        self._stride = setting.num_devices * setting.num_workers
        self.batches_per_epoch = max(shares // self._stride, 1)
        self._shares_per_pass = shares
        self._order_of = -1  # the pass whose order of identities is at hand

    def draws(self, state: dict[str, Any] | None = None) -> Iterator[Draw]:
        number = state["number"] if state else 0
        devices, worker = self._setting.num_devices, self._setting.worker
        while True:
            first = number * self._stride + worker * devices
            keys = np.concatenate([self._share_keys(first + i) for i in range(devices)])
            epoch = number // self.batches_per_epoch
            number += 1
            yield Draw(keys, np.zeros(len(keys), int), number - 1, epoch, {"number": number})

    def _share_keys(self, share: int) -> np.ndarray:
        """Return the keys of one share, counted from the beginning of training."""
        a_pass, place = divmod(share, self._shares_per_pass)
        if self._order_of != a_pass:
            self._order = self._setting.rng(a_pass).permutation(len(self._groups))
            self._order_of = a_pass
        chosen = self._order[place * self._share : (place + 1) * self._share]
        rng = self._setting.rng(a_pass, place)
        return np.concatenate([wrapped(self._groups[i], self._each, rng) for i in chosen])


@PLANS.register("pairs")
class Pairs(Identities):
    """Blocks of two images of one identity, unless --images-per-identity says more."""

    default_images: ClassVar[int] = 2  # as published for loss 11


def wrapped(keys: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` of the keys in random order, repeated only if there are fewer."""
    return np.resize(rng.permutation(keys), count)
