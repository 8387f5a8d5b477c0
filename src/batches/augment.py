"""Random changes of a training image, in the published order and strengths.

mirror, (shift,) re-compress, colour, cutoff: the order of AugmentationConfig.  The shift is this
project's addition.  An augmentation is a function change(image, rng, value) -> image registered
under the name of its option, and called where the option is not 0.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from ..config import AugmentationConfig
from ..registry import Registry
from .recompress import recompress

JITTER = 0.125  # of brightness, contrast and saturation.  Source: the published iterator.
QUALITY = (2, 20)  # of the JPEG re-compression, both ends included.  Likewise.
FILL = 128  # grey value of the blanked square.  Likewise.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G and B, as mx.image has them
AUGMENTATIONS = Registry("augmentation")  # keys: the fields of AugmentationConfig
ORDER = tuple(field.name for field in fields(AugmentationConfig))


class Augmentation:
    """The changes that options ask for; without any, none.  Called with RGB uint8 (H, W, 3) and
    a Generator it returns the changed image: uint8, or float32 where colour was changed; not
    clipped to 0..255, as published.

    is_random: whether anything is changed at all.
    """

    def __init__(self, options: AugmentationConfig | None = None):
        self._changes = [
            (AUGMENTATIONS[name], getattr(options, name))
            for name in (ORDER if options else ())
            if getattr(options, name)
        ]
        self.is_random = bool(self._changes)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for change, value in self._changes:
            image = change(image, rng, value)
        return image


@AUGMENTATIONS.register("rand_mirror")
def mirror(image: np.ndarray, rng: np.random.Generator, _: int) -> np.ndarray:
    """Flip half of the images."""
    return image[:, ::-1] if rng.random() < 0.5 else image


@AUGMENTATIONS.register("rand_shift")
def shift(image: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Move by up to so many pixels in x and y, the edge repeated."""
    return shifted(image, *rng.integers(-most, most, 2, endpoint=True))


@AUGMENTATIONS.register("color")
def color(image: np.ndarray, rng: np.random.Generator, level: int) -> np.ndarray:
    """Jitter the colours; from level 2 on re-compress half of the images before."""
    if level >= 2 and rng.random() < 0.5:
        quality = int(rng.integers(*QUALITY, endpoint=True))
        image = recompress(np.ascontiguousarray(image), quality)
    return jittered(image, rng)


@AUGMENTATIONS.register("cutoff")
def cutoff(image: np.ndarray, rng: np.random.Generator, side: int) -> np.ndarray:
    """Blank a square of this side in half of the images."""
    if rng.random() < 0.5:
        y, x = rng.integers(image.shape[:2])
        image = blanked(image, int(y), int(x), side)
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
