"""The network that is being trained, embedding as a checkpoint of its last step would."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.nodes import Graph
from ..checkpoints.parts import embedding_part
from ..embedding.image_embedder import ImageEmbedder
from .graph import Program


class TensorEmbedder(ImageEmbedder):
    """Embeds with tensors that belong to another, as they are now.

    graph: a training symbol.  tensors: returns parameters and statistics by name.  dtype: of the
    products, None for float32.
    """

    def __init__(
        self,
        graph: Graph,
        tensors: Callable[[], Mapping[str, Tensor]],
        device: torch.device,
        batch_size: int,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(batch_size, flip=True, normalize=False)
        self._program = Program(embedding_part(graph), training=False, dtype=dtype)
        self._tensors, self._device = tensors, device

    def forward(self, batch: np.ndarray) -> np.ndarray:
        data = torch.as_tensor(batch, dtype=torch.float32)
        data = data.to(self._device, memory_format=torch.channels_last)
        with torch.no_grad():
            values = {**self._tensors(), "data": data}
            (embeddings,), _ = self._program(values, device=self._device)
        return embeddings.float().cpu().numpy()
