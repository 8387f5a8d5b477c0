"""One image of arcface-embed to the crop that is embedded, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from ..align.aligner import NO_FACE, Aligner, Outcome, one_line
from ..errors import reason_of
from .embed_inputs import Item

UNALIGNED = "listed as a photo, without landmarks: give --detect"
Prepared = tuple[np.ndarray | None, Outcome]  # RGB uint8 (H, W, 3), and what became of the image


def prepared_blocks(
    items: Sequence[Item], block: int, pool: ThreadPoolExecutor, aligner: Aligner
) -> Iterator[list[Prepared]]:
    """Yield the crops of `block` items at a time; those of the next are prepared meanwhile."""

    def prepare(item: Item) -> Prepared:
        try:
            return prepared(item, aligner)
        except (ValueError, OSError, MemoryError, cv2.error) as error:
            return None, Outcome(one_line(reason_of(error)))

    def submitted(start: int) -> list[Future]:
        return [pool.submit(prepare, item) for item in items[start : start + block]]

    ahead = submitted(0)
    try:
        for start in range(0, len(items), block):
            now, ahead = ahead, submitted(start + block)
            yield [future.result() for future in now]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def prepared(item: Item, aligner: Aligner) -> Prepared:
    """Return the crop of an item, RGB uint8, or None, and what became of it."""
    bgr = item.read(aligner.max_pixels)
    landmarks = None if item.is_aligned else item.landmarks
    is_crop = item.is_aligned or (item.is_aligned is None and aligner.detector is None)
    if not is_crop and landmarks is None and aligner.detector is None:
        return None, Outcome(UNALIGNED)
    if is_crop and bgr.shape[:2] != aligner.size:
        height, width = aligner.size
        return None, Outcome(
            f"is {bgr.shape[0]}x{bgr.shape[1]} (height x width), crops of {height}x{width} are "
            "embedded: align it, or give --detect"
        )
    crop, outcome = aligner.crop_of(bgr, landmarks=landmarks, is_aligned=bool(is_crop))
    if crop is None:
        return None, outcome if outcome.reason else Outcome(NO_FACE)
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), outcome
