"""Which images a triplet run trained on, and how far apart a checkpoint finds them."""

from __future__ import annotations

from pathlib import Path

from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.embedder import Embedder
import numpy as np

from tests.end_to_end.commands import Step


class Bag:
    """The images of a dataset as a checkpoint embeds them: unit length, not mirrored."""

    def __init__(self, folder: Path, checkpoint: str):
        dataset = FaceDataset(folder)
        samples = [dataset.sample(key) for key in dataset.image_keys]
        self._images = np.stack([image for image, _ in samples])  # (M, H, W, 3)
        self.identities = np.array([identity for _, identity in samples])
        self._embeddings = Embedder(checkpoint, flip=False)(self._images)

    def rows(self, data: np.ndarray) -> np.ndarray:
        """Return which image each of data (N, 3, H, W) is, mirrored or not; (N,)."""
        known = self._images.transpose(0, 3, 1, 2)
        either = np.stack([known, known[..., ::-1]])  # (2, M, 3, H, W)
        found = [np.flatnonzero((either == image).all((2, 3, 4)).any(0)) for image in data]
        return np.concatenate(found)

    def triplets(self, step: Step) -> np.ndarray:
        """Return rows of anchor, positive, negative of all shares of a step, (T, 3)."""
        return np.concatenate([self.rows(s.data).reshape(3, -1).T for s in step.shares])

    def distances(self, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return squared distances to the positive and to the negative, (T,) each."""
        a, p, n = (self._embeddings[column] for column in triplets.T)
        return ((a - p) ** 2).sum(axis=1), ((a - n) ** 2).sum(axis=1)
