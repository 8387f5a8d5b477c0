"""Batches of triplets: bags of images embedded by the network as it is, mined, laid out.

Source: the published sampler.  Identities in random order, at most --images-per-identity
random images of each; a bag is the next --triplet-bag-size images of that order, and the
order is drawn anew when less than a bag is left.
"""

from __future__ import annotations

from collections.abc import Iterator
import logging
import time
from typing import Any, ClassVar

import numpy as np

from .grouped import GroupedOrder
from .mining import Mined, mine
from .order import PLANS, Draw, Setting

MAX_EMPTY_BAGS = 10  # in a row, before training is given up
_ORDER, _MINING = 0, 1  # keep the seeds of the two apart

log = logging.getLogger(__name__)


@PLANS.register("triplets")
class Triplets:
    """Triplets of one bag after another; several datasets take turns, bag by bag.

    In each device's share of a batch stand the anchors, then the positives, then the
    negatives.  What does not fill a batch waits for the next bag.  Each bag is mined after
    training with the one before, so nothing is drawn ahead of that.  Machines mine each its
    own bags.  A bag goes without the images that do not decode.
    """

    uses: ClassVar[frozenset[str]] = frozenset(
        {"images_per_identity", "triplet_bag_size", "triplet_mining", "triplet_max_ap"}
        | {"triplet_dtype"}
    )
    place: ClassVar[frozenset[str]] = frozenset({"bag", "number", "waiting"})
    is_common: ClassVar[bool] = False
    default_images: ClassVar[int] = 5  # as published for losses 12 and 13
    batches_per_epoch: ClassVar[None] = None  # how many triplets there are shows in training

    def __init__(self, setting: Setting):
        config = setting.config
        if config.per_batch_size % 3:
            raise ValueError(
                f"--per-batch-size {config.per_batch_size}: triplets need a multiple of 3"
            )
        if setting.embed_keys is None:
            raise ValueError("triplets are mined from embeddings: give embed")
        self._setting = setting
        self._each = config.images_per_identity or self.default_images
        self._orders = [GroupedOrder(d.keys_by_identity, self._each) for d in setting.datasets]
        self._rounds = [-1] * len(self._orders)  # which of its rounds each is in
        self._sizes = [min(config.triplet_bag_size, order.length) for order in self._orders]
        for dataset, size in zip(setting.datasets, self._sizes, strict=True):
            if size < config.triplet_bag_size:
                log.info(
                    "%s has %d images with at most %d per identity: a bag holds them all",
                    dataset.folder,
                    size,
                    self._each,
                )
        self._trained_since = time.perf_counter()

    def draws(self, state: dict[str, Any] | None = None) -> Iterator[Draw]:
        setting = self._setting
        share = setting.config.per_batch_size // 3
        need = share * setting.num_devices
        state = state or {"bag": 0, "number": 0, "waiting": []}
        bag, number = state["bag"], state["number"]
        # One row for each triplet: dataset, then the keys of anchor, positive, negative.
        waiting = np.array(state["waiting"], np.int64).reshape(-1, 4)
        empty = 0
        while True:
            while len(waiting) < need:
                found = self._bag(bag)
                bag += 1
                empty = 0 if len(found) else empty + 1
                if empty == MAX_EMPTY_BAGS:
                    raise ValueError(self._advice())
                waiting = np.concatenate([waiting, found])
            chosen, waiting = waiting[:need].reshape(-1, share, 4), waiting[need:]
            keys = chosen[:, :, 1:].transpose(0, 2, 1).ravel()  # (devices, 3, share)
            sources = np.repeat(chosen[:, None, :, 0], 3, axis=1).ravel()
            after = {"bag": bag, "number": number + 1, "waiting": waiting.ravel().tolist()}
            yield Draw(keys, sources, number, self._epoch(bag - 1), after, len(waiting) < need)
            number += 1

    def moved(self, state: dict[str, Any], before: int, after: int) -> dict[str, Any]:
        """The triplets that wait are those of rank 0."""
        waiting = [] if self._setting.worker else state["waiting"]
        number = state["number"] * before // after
        return {"bag": state["bag"], "number": number, "waiting": waiting}

    def _epoch(self, bag: int) -> int:
        turn, source = divmod(bag, len(self._orders))
        return turn // self._bags_per_order(source)

    def _bags_per_order(self, source: int) -> int:
        return max(self._orders[source].length // self._sizes[source], 1)

    def _bag(self, bag: int) -> np.ndarray:
        """Return the triplets of a bag in random order, int64 (T, 4), and report on it."""
        began = time.perf_counter()
        config, worker = self._setting.config, self._setting.worker
        turn, source = divmod(bag, len(self._orders))
        a_round, place = divmod(turn, self._bags_per_order(source))
        if self._rounds[source] != a_round:
            self._orders[source].start(self._setting.rng(_ORDER, worker, source, a_round))
            self._rounds[source] = a_round
        size = self._sizes[source]
        keys, owners = self._orders[source].part(place * size, (place + 1) * size)
        embeddings, readable = self._setting.embed_keys(source, keys)
        keys, owners = keys[readable], owners[readable]
        embedded = time.perf_counter()
        rng = self._setting.rng(_MINING, worker, source, turn)
        mined = mine(
            embeddings,
            owners,
            config.triplet_alpha,
            config.triplet_max_ap,
            rng,
            config.triplet_mining,
        )
        done = time.perf_counter()
        _report(bag, mined, began - self._trained_since, embedded - began, done - embedded)
        self._trained_since = done
        triplets = rng.permutation(keys[mined.triplets])
        return np.concatenate([np.full((len(triplets), 1), source), triplets], axis=1)

    def _advice(self) -> str:
        config = self._setting.config
        return (
            f"{MAX_EMPTY_BAGS} bags in a row gave no triplet with --triplet-mining "
            f"{config.triplet_mining}, --triplet-alpha {config.triplet_alpha}, --triplet-max-ap "
            f"{config.triplet_max_ap}, --triplet-bag-size {config.triplet_bag_size} and "
            f"{self._each} images per identity. If d_ap above was near 0 for all, the network "
            "gives one embedding to everyone: lower --lr or start from better --pretrained "
            "parameters. If not, it separates these identities already: enlarge the bag, raise "
            "--triplet-alpha, lift --triplet-max-ap, or stop here. Identities with a single image "
            "give no pair (`arcface-rec info FOLDER` counts them)"
        )


def _report(bag: int, mined: Mined, training: float, embedding: float, mining: float) -> None:
    count, share = len(mined.triplets), len(mined.triplets) / max(mined.num_pairs, 1)
    what = f"bag {bag}: found triplets {count} from {share:.1%} of {mined.num_pairs} pairs"
    if count:
        what += f", d_ap {mined.d_ap.mean():.3f}, d_an {mined.d_an.mean():.3f}"
    else:
        what += ", skipped"
    log.info(
        "%s; embedding %.1f s, mining %.2f s, training before it %.1f s",
        what,
        embedding,
        mining,
        training,
    )
