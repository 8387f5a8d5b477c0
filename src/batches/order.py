"""In which order images are drawn: batch plans that need nothing but keys.

A plan is a class PLANS[name](setting) with batches_per_epoch, draws(state), an endless
iterator of Draw, uses, the options of group "sampling" that it reads, place, the names in
the state of a Draw, is_common, whether that is the same on all machines, and moved(state, before,
after), that state in batches of `after` images of all machines where it was one in batches of
`before`, or of rank 0 on another one.  Each Draw carries the state from which
draws() goes on after it, and all randomness comes from (seed, epoch, ...), so that a resumed run
draws what it would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
    num_workers machines that draw together.  embed_keys(dataset number, keys) -> (M, D) on
    the device that mines, and which of the keys they belong to, int64 (M,): those that decode; or
    None.
    """

    datasets: Sequence[Any]
    config: Any
    seed: int
    num_devices: int = 1
    worker: int = 0
    num_workers: int = 1
    embed_keys: Callable[[int, np.ndarray], tuple[Any, np.ndarray]] | None = None

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
    state: where draws() goes on after it; JSON-able.  substitutes(place): the keys to be tried,
    in turn, if that at keys[place] does not decode; they follow from the seed alone, so that
    neither threads nor a resumed run change them.
    is_awaited: the next draw depends on training with this one, so nothing may be drawn ahead
    of it.
    """

    keys: np.ndarray
    sources: np.ndarray
    number: int
    epoch: int
    state: dict[str, Any]
    is_awaited: bool = False
    substitutes: Callable[[int], Iterable[int]] = lambda place: ()


@PLANS.register("shuffled")
class Shuffled:
    """Every image once an epoch, in random order; what does not fill a batch is left out.

    A dataset smaller than one batch is drawn several times for one: an epoch is one batch.
    Several machines share the same order, each taking its part of every batch.  For an image
    that does not decode comes the one that stands a batch later in the order, so that it
    is not in the batch already; then those after it.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    place: ClassVar[frozenset[str]] = frozenset({"epoch", "batch"})
    is_common: ClassVar[bool] = True

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
                yield Draw(
                    order[begin : begin + size],
                    np.zeros(size, int),
                    number,
                    epoch,
                    after,
                    substitutes=partial(self._substitutes, order, begin),
                )
            epoch, batch = epoch + 1, 0

    def moved(self, state: dict[str, Any], before: int, after: int) -> dict[str, Any]:
        batch = state["batch"] * before // after
        ends = batch >= self.batches_per_epoch
        return {"epoch": state["epoch"] + ends, "batch": 0 if ends else batch}

    def _substitutes(self, order: np.ndarray, begin: int, place: int) -> Iterator[int]:
        return from_place(order, begin + place + self._total)

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

    For an image that does not decode comes another of the same identity; if none of it does,
    the whole block shows an identity that is not in the share.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"images_per_identity"})
    place: ClassVar[frozenset[str]] = frozenset({"number"})
    is_common: ClassVar[bool] = True
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
        # The pass whose order of identities is at hand, and that order: replaced as one, since
        # threads that read ask for substitutes.
        self._drawn: tuple[int, np.ndarray] = -1, np.empty(0, np.int64)

    def draws(self, state: dict[str, Any] | None = None) -> Iterator[Draw]:
        number = state["number"] if state else 0
        devices, worker = self._setting.num_devices, self._setting.worker
        while True:
            first = number * self._stride + worker * devices
            keys = np.concatenate([self._share_keys(first + i) for i in range(devices)])
            epoch = number // self.batches_per_epoch
            number += 1
            yield Draw(
                keys,
                np.zeros(len(keys), int),
                number - 1,
                epoch,
                {"number": number},
                substitutes=partial(self._substitutes, first),
            )

    def moved(self, state: dict[str, Any], before: int, after: int) -> dict[str, Any]:
        return {"number": state["number"] * before // after}

    def _share_keys(self, share: int) -> np.ndarray:
        """Return the keys of one share, counted from the beginning of training."""
        blocks, _ = self._blocks(share)
        return np.concatenate([np.resize(keys, self._each) for keys in blocks])

    def _order_of(self, a_pass: int) -> np.ndarray:
        """Return the order of the identities' numbers in a pass."""
        drawn = self._drawn
        if drawn[0] != a_pass:
            order = self._setting.rng(a_pass).permutation(len(self._groups))
            self._drawn = drawn = a_pass, order
        return drawn[1]

    def _blocks(self, share: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Return all keys of each identity of a share, and the identities outside it, both in
        random order."""
        a_pass, place = divmod(share, self._shares_per_pass)
        order = self._order_of(a_pass)
        begin, end = place * self._share, (place + 1) * self._share
        rng = self._setting.rng(a_pass, place)
        blocks = [rng.permutation(self._groups[i]) for i in order[begin:end]]
        return blocks, np.concatenate([order[end:], order[:begin]])

    def _substitutes(self, first: int, place: int) -> Iterator[int]:
        """Yield other images of the identity, then those of identities that no other block of
        the share may take; all places of a block come to the same identity."""
        share, place = divmod(place, self._setting.config.per_batch_size)
        block, within = divmod(place, self._each)
        blocks, outside = self._blocks(first + share)
        yield from from_place(blocks[block], within + self._each)
        for identity in outside[block :: len(blocks)]:
            yield from from_place(self._groups[identity], within)


@PLANS.register("pairs")
class Pairs(Identities):
    """Blocks of two images of one identity, unless --images-per-identity says more."""

    default_images: ClassVar[int] = 2  # as published for loss 11


def from_place(keys: np.ndarray, place: int) -> Iterator[int]:
    """Yield every key once, from a place on, which counts on from the beginning at the end."""
    return (int(keys[(place + i) % len(keys)]) for i in range(len(keys)))
