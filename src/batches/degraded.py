"""Crops changed once and for all, as augmentations change them in training.

What is drawn for a crop follows from a seed and from its encoded bytes alone: the same crop comes
out the same from a folder or a pair set, in whatever order and however often it stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import hashlib

import cv2
import numpy as np

from ..config import AugmentationConfig
from ..data.images import CROP_PIXELS, decode_rgb
from ..flags import option
from .augment import Augmentation, refuse_beyond


@dataclass(frozen=True)
class DegradeConfig(AugmentationConfig):
    """The augmentations, where none is made unless it is asked for."""

    rand_mirror: int = option(0, "mirror half of the images", choices=(0, 1))


class Degrader:
    """Changes encoded crops.  encoding: .png or .jpg, of what comes out.  quality: of .jpg, 1..100.

    Raises ValueError if no change is asked for, or the quality is none.
    """

    def __init__(self, options: AugmentationConfig, seed: int, encoding: str, quality: int):
        if not 1 <= quality <= 100:
            raise ValueError(f"--quality {quality}: give 1 to 100")
        self._options, self._augmentation = options, Augmentation(options)
        if not self._augmentation.is_random:
            raise ValueError("no change is asked for: give one, such as --low-res 1")
        self._seed, self._encoding = seed, encoding
        self._how = [cv2.IMWRITE_JPEG_QUALITY, quality] if encoding == ".jpg" else []

    def pixels(self, crop: bytes, name: str, more: int = 0) -> np.ndarray:
        """Return the changed crop, RGB uint8 (H, W, 3), rounded and clipped to 0..255.

        name: the crop in messages.  more: added to the seed.  Raises ValueError if it does not
        decode or cannot be changed.
        """
        image = decode_rgb(crop, name, max_pixels=CROP_PIXELS)
        words = np.frombuffer(hashlib.sha256(crop).digest(), "<u4").tolist()
        try:
            refuse_beyond(self._options, *image.shape[:2])
            image = self._augmentation(image, np.random.default_rng([self._seed + more, *words]))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def __call__(self, crop: bytes, name: str) -> bytes:
        """Return the changed crop, encoded.  Raises ValueError as pixels() does."""
        bgr = cv2.cvtColor(self.pixels(crop, name), cv2.COLOR_RGB2BGR)
        return cv2.imencode(self._encoding, bgr, self._how)[1].tobytes()


def sheet(degrader: Degrader, crops: Sequence[tuple[str, bytes]], columns: int) -> np.ndarray:
    """Return a picture, RGB uint8: a row for each crop, first as it is, then changed in so many
    ways, of one seed after the other.

    crops: names and encoded bytes.  Raises ValueError as Degrader does, and if the crops are of
    several sizes.
    """
    rows = []
    for name, crop in crops:
        ways = [degrader.pixels(crop, name, more) for more in range(columns)]
        rows.append(np.hstack([decode_rgb(crop, name, max_pixels=CROP_PIXELS), *ways]))
        if rows[-1].shape != rows[0].shape:
            raise ValueError(f"{name}: crops of one sheet must be of one size, as {crops[0][0]} is")
    return np.vstack(rows)
