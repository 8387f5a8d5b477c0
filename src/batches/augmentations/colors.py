"""Augmentations of colours, and JPEG compression."""

from __future__ import annotations

from collections.abc import Sequence
import threading

import cv2
import numpy as np

from ..recompress import recompress
from . import AUGMENTATIONS

JITTER = 0.125  # of brightness, contrast and saturation.  Source: the published iterator.
QUALITY = (2, 20)  # of the JPEG re-compression, both ends included.  Likewise.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G and B, as mx.image has them
_thread = threading.local()  # its buffers: new ones for each image cost as much as the colour


@AUGMENTATIONS.register("grey")
def grey(image: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Take the colour from a share of the images."""
    if rng.random() >= share:
        return image
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


@AUGMENTATIONS.register("jpeg")
def jpeg(
    image: np.ndarray, rng: np.random.Generator, share: float, *, jpeg_quality: tuple[int, ...]
) -> np.ndarray:
    """Compress a share of the images as JPEG, and read them again."""
    if rng.random() >= share:
        return image
    return recompress(image, int(rng.integers(jpeg_quality[0], jpeg_quality[-1], endpoint=True)))


@AUGMENTATIONS.register("color")
def color(image: np.ndarray, rng: np.random.Generator, level: int) -> np.ndarray:
    """Jitter the colours; from level 2 on re-compress half of the images before."""
    image, drawn = draw_color(image, rng, level)
    return recolored(image, **drawn)


def draw_color(
    image: np.ndarray, rng: np.random.Generator, level: int
) -> tuple[np.ndarray, dict[str, list[float]]]:
    """Return the image, re-compressed or not, and the weights that recolored() shall give it."""
    if level >= 2 and rng.random() < 0.5:
        image = recompress(image, int(rng.integers(*QUALITY, endpoint=True)))
    return image, {"weights": draw_weights(rng)}


def jittered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with brightness, contrast and saturation changed in random order, as
    recolored() does."""
    return recolored(image, draw_weights(rng))


def draw_weights(rng: np.random.Generator) -> list[float]:
    """Draw the weights of brightness, contrast and saturation, each 1 +- JITTER."""
    weights = [1.0, 1.0, 1.0]
    order, draws = rng.permutation(3), rng.random(3)  # of uniform(-JITTER, JITTER), but faster
    for change, draw in zip(order, draws.tolist(), strict=True):
        weights[change] = 1 - JITTER + 2 * JITTER * draw
    return weights


def recolored(image: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Return the image with brightness, contrast and saturation changed.

    float32 (H, W, 3), not clipped; the thread's next call writes over it.  Each is a mixture of
    the image with black, with its mean grey, or with its own grey, in which the image has its
    weight.
    """
    matrix = jitter_matrix(*weights, cv2.mean(image))
    whole, out = _buffers(image.shape)
    np.copyto(whole, image)
    return cv2.transform(whole, matrix, dst=out)


def _buffers(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return this thread's two buffers, float32 of a shape."""
    if getattr(_thread, "shape", None) != shape:
        _thread.pair = np.empty(shape, np.float32), np.empty(shape, np.float32)
        _thread.shape = shape
    return _thread.pair


def jitter_matrix(
    brightness: float, contrast: float, saturation: float, mean: tuple[float, ...]
) -> np.ndarray:
    """Return the float32 (3, 4) matrix, applied to (R, G, B, 1), of the three changes in a row.

    mean: of R, G and B over the image.  Whatever their order, the three give the same:
    saturation keeps the grey of a pixel, since the parts of LUMA add up to 1; so the mean grey
    that contrast mixes in is the image's own, times brightness where that came before, and
    brightness scales it where it comes after.
    """
    red, green, blue = LUMA.tolist()
    scale = brightness * contrast
    own, others = scale * saturation, scale * (1 - saturation)
    grey = brightness * (1 - contrast) * (red * mean[0] + green * mean[1] + blue * mean[2])
    r, g, b = others * red, others * green, others * blue
    rows = (own + r, g, b, grey, r, own + g, b, grey, r, g, own + b, grey)
    return np.array(rows, np.float32).reshape(3, 4)
