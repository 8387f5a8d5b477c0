"""What every embedder does with images: batches, mirror images, unit length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
import threading

import numpy as np

from ..given import MOST_IMAGES
from .read_ahead import read_ahead
from .vectors import unit_rows


class ImageEmbedder(ABC):
    """What turns crops into embeddings, whatever runs the network.

    flip: add the embedding of the mirrored image, as published.  normalize: unit length.
    """

    def __init__(self, batch_size: int, flip: bool, normalize: bool):
        if not 1 <= batch_size <= MOST_IMAGES:
            raise ValueError(f"batch size {batch_size}: give 1 to {MOST_IMAGES} images")
        self.batch_size = batch_size
        self._lock = threading.Lock()
        self.flip = flip
        self.normalize = normalize

    @abstractmethod
    def forward(self, batch: np.ndarray) -> np.ndarray:
        """Return raw embeddings float32 (n, D) of float32 RGB (n, 3, H, W), n <= batch_size."""

    def __call__(self, rgb_nhwc: np.ndarray) -> np.ndarray:
        """Return float32 (N, D) embeddings of uint8 RGB crops (N, H, W, 3).

        Raises ValueError for another shape or dtype, or a size the network does not take.
        """
        rgb_nhwc = np.asarray(rgb_nhwc)
        if rgb_nhwc.ndim != 4 or rgb_nhwc.shape[3] != 3 or rgb_nhwc.dtype != np.uint8:
            raise ValueError(
                f"images are {rgb_nhwc.dtype} {rgb_nhwc.shape}; expected uint8 RGB (N, H, W, 3)"
            )
        plain, flipped = self.plain_and_flipped(rgb_nhwc, flip=self.flip)
        embeddings = plain if flipped is None else plain + flipped
        return unit_rows(embeddings) if self.normalize else embeddings

    def plain_and_flipped(
        self, images: Iterable[np.ndarray], *, flip: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return raw embeddings (N, D) of the images and of their mirror images, float32.

        images: any iterable of uint8 RGB (H, W, 3), all of one size; it is read in a thread
        ahead of the network, so that decoding in it costs no time.  Without flip the second is
        None.  Raises ValueError if there are no images, or an embedding is not finite.
        """
        plain, flipped = [], []
        batches = self._batches(images)
        if not isinstance(images, np.ndarray) or len(images) > self.batch_size:
            batches = read_ahead(batches)  # a thread, which one batch would only wait for
        for batch in batches:
            plain.append(self.forward(batch))
            if flip:
                flipped.append(self.forward(np.ascontiguousarray(batch[..., ::-1])))
        if not plain:
            raise ValueError("no images to embed")
        parts = np.concatenate(plain), np.concatenate(flipped) if flip else None
        if not all(np.isfinite(part).all() for part in parts if part is not None):
            raise ValueError(
                "an embedding is NaN or infinite: the network's parameters are those of a training "
                "that diverged, or damaged"
            )
        return parts

    def _batches(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield float32 (n, 3, H, W), n = batch_size but for the last."""
        rows: list[np.ndarray] = []
        for image in images:
            rows.append(image)
            if len(rows) == self.batch_size:
                yield _network_input(rows)
                rows = []
        if rows:
            yield _network_input(rows)


def _network_input(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 (n, 3, H, W) of uint8 RGB (H, W, 3) images, contiguous."""
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise ValueError(f"images of several sizes in one batch: {sorted(sizes)}")
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32, order="C")
