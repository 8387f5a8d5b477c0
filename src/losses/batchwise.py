"""What the losses without a classifier share: they compare the embeddings of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..batches.order import PLANS
from ..lazy_mxnet import mx
from .base import Loss
from .reports import Metric, mean_of


@dataclass(frozen=True)
class BatchLoss(Loss):
    """A loss on the embeddings of one device's share of a batch.

    Outputs: the embedding, "loss" (1,), and the label, which the graph may not need
    otherwise.
    """

    per_batch_size: int

    def value(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        """Return the loss, (1,)."""
        raise TypeError(f"{type(self).__name__} has no value")

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        loss = mx.sym.MakeLoss(self.value(embedding, label), name="loss")
        outputs = [mx.sym.BlockGrad(embedding, name="embedding"), loss]
        return mx.sym.Group([*outputs, mx.sym.BlockGrad(label, name="label")])

    def reports(self) -> list[Metric]:
        return [mean_of("loss", "lossvalue")]


@dataclass(frozen=True)
class IdentityLoss(BatchLoss):
    """A loss on batches of several images per identity, one identity after the other."""

    images_per_identity: int

    batch_plan: ClassVar[str] = "identities"

    def images_each(self) -> int:
        """Return how many images of an identity stand together, the plan's number for 0."""
        return self.images_per_identity or PLANS[self.batch_plan].default_images

    def faults(self) -> list[str]:
        each, batch = self.images_each(), self.per_batch_size
        if each < 2:
            return [f"--images-per-identity {each}: at least 2 are compared"]
        if batch % each or batch < 2 * each:
            return [
                f"--per-batch-size {batch}: must hold two or more identities with "
                f"{each} images each, so a multiple of {each} from {2 * each} on"
            ]
        return []


def unit(embedding: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the embeddings at length 1, (N, D)."""
    return mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")
