"""What is measured of the images of a dataset themselves, without any network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import hashlib

import cv2
import numpy as np
from tqdm import tqdm

from ..data.dataset import FaceDataset
from ..data.images import CROP_PIXELS, decode_bgr

AT_ONCE = 256  # images a thread takes
DIGEST = 16  # bytes
COLUMNS = ("bytes", "height", "width", "brightness", "contrast", "sharpness", "is_grey")


@dataclass(frozen=True)
class Measures:
    """table: float32 (N, 7), of COLUMNS; NaN where an image does not decode.  digests: of the
    images' bytes.  faults: by key.

    brightness, contrast: mean and deviation of grey, 0..255.  sharpness: variance of the Laplacian
    of grey, low is blurred.  is_grey: 1 where the three channels are equal.
    """

    table: np.ndarray
    digests: list[bytes]
    faults: dict[int, str]

    def column(self, name: str) -> np.ndarray:
        """Return the values of a column that are known."""
        values = self.table[:, COLUMNS.index(name)]
        return values[~np.isnan(values)]


def measure(
    dataset: FaceDataset, keys: np.ndarray, *, num_threads: int = 1, progress: bool = False
) -> Measures:  # fmt: skip
    """Return the measures of the images of some keys.  Memory is 60 bytes for each."""
    parts = [keys[at : at + AT_ONCE].tolist() for at in range(0, len(keys), AT_ONCE)]
    table, digests, faults = np.full((len(keys), len(COLUMNS)), np.nan, np.float32), [], {}
    with (
        ThreadPoolExecutor(num_threads) as pool,
        tqdm(total=len(keys), unit=" images", disable=not progress) as bar,
    ):
        for number, rows in enumerate(pool.map(lambda part: _some(dataset, part), parts)):
            for at, (key, row) in enumerate(zip(parts[number], rows, strict=True)):
                digest, values, fault = row
                digests.append(digest)
                table[number * AT_ONCE + at] = values
                if fault:
                    faults[key] = fault
            bar.update(len(rows))
    return Measures(table, digests, faults)


def _some(
    dataset: FaceDataset, keys: Sequence[int]
) -> list[tuple[bytes, Sequence[float], str]]:  # fmt: skip
    return [_one(dataset, key) for key in keys]


def _one(dataset: FaceDataset, key: int) -> tuple[bytes, Sequence[float], str]:
    nothing = [np.nan] * len(COLUMNS)
    try:
        payload = dataset.records.read(key).payload
        digest = hashlib.blake2b(payload, digest_size=DIGEST).digest()
    except ValueError as error:
        return b"", nothing, str(error)
    try:
        bgr = decode_bgr(payload, f"record {key}", max_pixels=CROP_PIXELS)
    except ValueError as error:
        return digest, [len(payload), *nothing[1:]], str(error)
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))[1]
    blue, green, red = cv2.split(bgr)
    is_grey = not cv2.absdiff(blue, green).any() and not cv2.absdiff(green, red).any()
    return digest, [
        len(payload), *bgr.shape[:2], mean[0, 0], deviation[0, 0], edges[0, 0] ** 2, is_grey,
    ], ""  # fmt: skip


def equal_images(
    digests: Sequence[bytes], keys: np.ndarray, identities: np.ndarray
) -> list[tuple[list[int], list[int]]]:
    """Return the groups of images of the same bytes: keys and identities, the largest first."""
    groups: dict[bytes, list[int]] = {}
    for place, digest in enumerate(digests):
        if digest:
            groups.setdefault(digest, []).append(place)
    found = [places for places in groups.values() if len(places) > 1]
    found.sort(key=lambda places: (-len(places), places[0]))
    return [(keys[places].tolist(), identities[places].tolist()) for places in found]
