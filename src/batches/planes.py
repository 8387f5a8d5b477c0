"""The last step of an image into a batch, compiled (planes.cc) or with OpenCV.

write(image, planes, weights, square): an image, RGB uint8 (H, W, 3), becomes float32 planes
(3, H, W), C order.  weights: of colors.recolored, None where the colours stay.  square: (y, x,
side) of covering.blanked, None for none.  The two ways give the same bits, but colours are rounded
in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
import functools
import logging
from pathlib import Path

import cv2
import numpy as np

from ..compiler import BuildError, LibraryRecipe, load_cached, reason_of
from .augmentations.colors import LUMA, recolored
from .augmentations.covering import FILL, blanked

UNCHANGED = (1.0, 1.0, 1.0)
RECIPE = LibraryRecipe(
    "loader",
    (Path(__file__).with_name("planes.cc"),),
    flags=("-fopenmp-simd",),
    trial="arcface_mxnet.batches.planes:try_library",
)

logger = logging.getLogger(__name__)


class Plain:
    """With OpenCV."""

    def write(
        self,
        image: np.ndarray,
        planes: np.ndarray,
        weights: Sequence[float] | None = None,
        square: tuple[int, int, int] | None = None,
    ) -> None:
        """See the head of this file."""
        if weights is not None:
            image = recolored(image, weights)
        if square is not None:
            image = blanked(image, *square)
        _put(image, planes)


class Compiled:
    """In C++, of a compiled library, in one pass while other threads run.

    Raises OSError or AttributeError if it does not load.
    """

    def __init__(self, path: Path) -> None:
        self._write = ctypes.CDLL(str(path)).write_planes
        array, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
        self._write.argtypes = [
            *(array, number, number, number, array, real, real, real),
            *(number, number, number, ctypes.c_float, array),
        ]
        self._write.restype = None
        self._luma = LUMA.ctypes.data

    def write(
        self,
        image: np.ndarray,
        planes: np.ndarray,
        weights: Sequence[float] | None = None,
        square: tuple[int, int, int] | None = None,
    ) -> None:
        """See the head of this file."""
        if image.strides[1:] != (3, 1):
            image = np.ascontiguousarray(image)
        y, x, side = square or (0, 0, 0)
        half = min(side // 2, max(image.shape))  # what is added to y and x must not overflow
        self._write(
            *(image.ctypes.data, image.shape[0], image.shape[1], image.strides[0], self._luma),
            *(weights or UNCHANGED),
            *(y, x, half, FILL, planes.ctypes.data),
        )


@functools.cache
def fastest() -> Plain | Compiled:
    """Return Compiled, or Plain, said once with the reason, where that cannot be had."""
    try:
        return load_cached(RECIPE, Compiled)
    except (BuildError, OSError, AttributeError) as error:
        logger.warning("loading: with OpenCV, slower than compiled, because: %s", reason_of(error))
        return Plain()


def try_library(path: str) -> None:
    """Load the library of this path and use it; for a process of its own."""
    compiled, planes = Compiled(Path(path)), np.empty((3, 40, 70), np.float32)
    compiled.write(np.zeros((40, 70, 3), np.uint8), planes, (1.1, 0.9, 1.05), (3, 60, 20))


def _put(image: np.ndarray, planes: np.ndarray) -> None:
    """Write an image (H, W, 3), of uint8 or floats, into float32 (3, H, W); a transposed copy
    takes twice as long."""
    if image.dtype == np.float32:
        cv2.split(image, list(planes))
    else:
        for plane, channel in zip(planes, cv2.split(image), strict=True):
            plane[:] = channel
