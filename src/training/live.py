"""The network that is being trained, as it would be saved now."""

from __future__ import annotations

import numpy as np

from ..embedding.embedder import ParameterEmbedder
from ..embedding.image_embedder import ImageEmbedder
from .plan import Plan
from .stepper import Stepper


class LiveEmbedder(ImageEmbedder):
    """Embeds with the parameters as they are after the last step, statistics averaged over devices.

    So what is verified, and what is mined, is what a checkpoint of this step would embed: the
    published symbol, run by the engine that runs checkpoints.  dtype: of the products.
    """

    def __init__(self, plan: Plan, stepper: Stepper, dtype: str = "float32"):
        super().__init__(plan.images_per_batch, flip=True, normalize=False)
        self._plan, self._stepper, self._dtype = plan, stepper, dtype
        self._embedder: ParameterEmbedder | None = None
        self._taken_at = -1  # what stepper.changes was

    def forward(self, batch: np.ndarray) -> np.ndarray:
        if self._taken_at != self._stepper.changes:
            self._take_parameters()
            self._taken_at = self._stepper.changes
        return self._embedder.forward(batch)

    def _take_parameters(self) -> None:
        parameters, plan = self._stepper.params(), self._plan
        if self._embedder is None:
            self._embedder = ParameterEmbedder(
                plan.published,
                *parameters,
                plan.ctx,
                batch_size=self.batch_size,
                dtype=self._dtype,
            )
        else:
            self._embedder.set_parameters(*parameters)
