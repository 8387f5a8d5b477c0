"""The network that is being trained, in evaluation mode."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from ..embedder import ImageEmbedder
from ..ops import fast_graph
from .plan import Plan
from .stepper import Stepper


class LiveEmbedder(ImageEmbedder):
    """Embeds with the parameters as they are after the last step: it shares their arrays.

    Batches are those of training: its per-device batch on each of its devices.
    """

    def __init__(self, plan: Plan, stepper: Stepper):
        super().__init__(plan.images_per_batch, flip=True, normalize=False)
        symbol = fast_graph(plan.embedding, plan.ctx, training=False)
        shape = plan.shapes["data"]
        self._share = shape[0]
        self._executors = [
            stepper.share(device, symbol, {"data": shape}) for device in range(len(plan.ctx))
        ]

    def embed(self, images: mx.nd.NDArray) -> mx.nd.NDArray:
        """Return embeddings (B, D) on the first device of one batch (B, 3, H, W)."""
        first = self._executors[0].arg_dict["data"].context
        for device, executor in enumerate(self._executors):
            share = images[device * self._share : (device + 1) * self._share]
            executor.forward(is_train=False, data=share)
        outputs = [executor.outputs[0].as_in_context(first) for executor in self._executors]
        return outputs[0] if len(outputs) == 1 else mx.nd.concat(*outputs, dim=0)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        rows = len(batch)
        if rows < self.batch_size:
            batch = np.resize(batch, (self.batch_size, *batch.shape[1:]))
        return self.embed(mx.nd.array(batch)).asnumpy()[:rows]
