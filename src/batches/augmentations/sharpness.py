"""Augmentations that take detail from an image: low resolution and blur."""

from __future__ import annotations

import math

import cv2
import numpy as np

from . import AUGMENTATIONS


@AUGMENTATIONS.register("blur")
def blur(
    image: np.ndarray, rng: np.random.Generator, share: float, *, blur_sigma: tuple[float, ...]
) -> np.ndarray:
    """Blur a share of the images as a lens out of focus does: with a Gaussian."""
    if rng.random() >= share:
        return image
    return blurred(image, rng.uniform(blur_sigma[0], blur_sigma[-1]))


@AUGMENTATIONS.register("motion_blur")
def motion_blur(
    image: np.ndarray,
    rng: np.random.Generator,
    share: float,
    *,
    motion_blur_length: tuple[float, ...],
) -> np.ndarray:
    """Blur a share of the images as a movement in any direction does."""
    if rng.random() >= share:
        return image
    length = rng.uniform(motion_blur_length[0], motion_blur_length[-1])
    return smeared(image, length, rng.uniform(0, 180))


@AUGMENTATIONS.register("low_res")
def low_res(
    image: np.ndarray, rng: np.random.Generator, share: float, *, low_res_size: tuple[int, ...]
) -> np.ndarray:
    """Bring a share of the images down to few pixels, and up again."""
    if rng.random() >= share:
        return image
    return coarse(image, int(rng.integers(low_res_size[0], low_res_size[-1], endpoint=True)))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the image after a Gaussian of sigma pixels, the edge repeated."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def smeared(image: np.ndarray, length: float, degrees: float) -> np.ndarray:
    """Return the image averaged along a line of `length` pixels, the edge repeated.

    degrees: of the line, counter-clockwise from the x axis.
    """
    return cv2.filter2D(image, -1, line_kernel(length, degrees), borderType=cv2.BORDER_REPLICATE)


def line_kernel(length: float, degrees: float) -> np.ndarray:
    """Return the float32 (K, K) weights, which add up to 1, of a line through the middle.

    Points at every quarter of a pixel share their weight among the four pixels around them.
    """
    half = (length - 1) / 2
    reach = math.ceil(half)
    along = np.linspace(-half, half, 4 * (2 * reach) + 1)
    x = reach + along * math.cos(math.radians(degrees))
    y = reach - along * math.sin(math.radians(degrees))
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - abs(x - left - right)) * (1 - abs(y - top - down))
            np.add.at(kernel, (top + down, left + right), weight)
    kernel = kernel[: 2 * reach + 1, : 2 * reach + 1]
    return (kernel / kernel.sum()).astype(np.float32)


def coarse(image: np.ndarray, size: int) -> np.ndarray:
    """Return what is left of a crop whose face had `size` pixels.

    size: height in pixels of the whole crop, which a face fills.  Down each pixel is the mean of
    the area it covers, as a sensor sees it; up is bilinear, as a small face in a photo is aligned.
    """
    height, width = image.shape[:2]
    small = (max(round(size * width / height), 1), size)
    image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
