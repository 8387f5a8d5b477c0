"""Random changes of a training image, in the published order and strengths.

mirror, (shift,) re-compress, colour, cutoff.  The shift is this project's addition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

JITTER = 0.125  # of brightness, contrast and saturation.  Source: the published iterator.
QUALITY = (2, 20)  # of the JPEG re-compression, both ends included.  Likewise.
FILL = 128  # grey value of the blanked square.  Likewise.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G and B, as mx.image has them


@dataclass(frozen=True)
class Augmentation:
    """Which changes are made.  Called with RGB uint8 (H, W, 3) and a Generator it returns
    the changed image: uint8, or float32 where colour was changed; not clipped to 0..255, as
    published.

    mirror: flip half of the images.  shift: move by up to so many pixels in x and y, the edge
    repeated.  cutoff: side of the square blanked in half of the images.  color: 1 jitters
    brightness, contrast and saturation, 2 re-compresses half of the images before.
    recompress: (image, quality) -> image.
    """

    mirror: bool = False
    shift: int = 0
    cutoff: int = 0
    color: int = 0
    recompress: Callable[[np.ndarray, int], np.ndarray] | None = None

    @property
    def is_random(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.mirror or self.shift or self.cutoff or self.color)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.mirror and rng.random() < 0.5:
            image = image[:, ::-1]
        if self.shift:
            image = shifted(image, *rng.integers(-self.shift, self.shift, 2, endpoint=True))
        if self.color >= 2 and rng.random() < 0.5:
            quality = int(rng.integers(*QUALITY, endpoint=True))
            image = self.recompress(np.ascontiguousarray(image), quality)
        if self.color >= 1:
            image = jittered(image, rng)
        if self.cutoff and rng.random() < 0.5:
            y, x = rng.integers(image.shape[:2])
            image = blanked(image, int(y), int(x), self.cutoff)
        return image


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return the image moved by whole pixels, the edge repeated where it came from outside."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return image[rows[:, None], columns]


def jittered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with brightness, contrast and saturation changed in random order.

    float32 (H, W, 3), not clipped.  Each is a mixture of the image with black, with its mean
    grey, or with its own grey, in which the image has weight 1 +- JITTER.
    """
    image = image.astype(np.float32)
    for change in rng.permutation(3):
        weight = np.float32(1 + rng.uniform(-JITTER, JITTER))
        if change == 0:
            other = 0
        elif change == 1:
            other = (image @ LUMA).mean()
        else:
            other = (image @ LUMA)[:, :, None]
        image = weight * image + (1 - weight) * other
    return image


def blanked(image: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    """Return a copy with a grey square of 2 * (side // 2) pixels around (y, x), clipped."""
    half = side // 2
    image = image.copy()
    image[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = FILL
    return image
