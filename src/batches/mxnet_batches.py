"""Batches as MXNet's iterators hand them out, for scripts that train with MXNet themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mxnet as mx
import numpy as np

from ..config import TrainConfig
from ..data.dataset import FaceDataset
from .source import BatchSource


class MxnetBatches(BatchSource):
    """A BatchSource of mx.io.DataBatch; embed gets and gives MXNet's arrays.

    provide_data, provide_label: names and shapes, as a Module binds them.
    """

    def __init__(
        self,
        plan: str,
        datasets: Sequence[FaceDataset],
        config: TrainConfig,
        rng: np.random.Generator,
        embed: Callable[[mx.nd.NDArray], mx.nd.NDArray] | None,
        num_devices: int,
        **machines: int,
    ):
        self._context = mx.cpu()  # of the embeddings that came last

        def on_mxnet(images: np.ndarray) -> np.ndarray:
            found = embed(mx.nd.array(images))
            self._context = found.context
            return found.asnumpy()

        def to_device(rows: np.ndarray) -> mx.nd.NDArray:
            return mx.nd.array(rows, ctx=self._context)

        arrays = embed and on_mxnet
        super().__init__(
            plan, datasets, config, rng, arrays, num_devices, to_device=to_device, **machines
        )
        shape = (config.per_batch_size * num_devices, 3, *datasets[0].image_shape)
        self.provide_data = [mx.io.DataDesc("data", shape)]
        self.provide_label = [mx.io.DataDesc("softmax_label", shape[:1])]

    def __next__(self) -> Any:
        data, label = super().__next__()
        return mx.io.DataBatch(
            [mx.nd.array(data)],
            [mx.nd.array(label)],
            pad=0,
            provide_data=self.provide_data,
            provide_label=self.provide_label,
        )
