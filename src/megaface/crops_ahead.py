"""Aligned crops of a list, decoded by threads while others are embedded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..data.images import read_image
from ..errors import reason_of


def crops_ahead(
    root: Path, names: Sequence[str], size: tuple[int, int], at_once: int
) -> Iterator[tuple[Sequence[str], np.ndarray, dict[str, str]]]:
    """Yield (names, crops of the good ones, faults of the others).

    size: (height, width) that crops must have.  Crops are uint8 RGB (N, H, W, 3), at most `at_once`
    of them; the next are decoded meanwhile.
    """

    def read(name: str) -> np.ndarray | str:
        try:
            bgr = read_image(root / name)
        except (ValueError, OSError) as error:
            return reason_of(error)
        if bgr.shape[:2] != size:
            return f"is {bgr.shape[0]}x{bgr.shape[1]} (height x width); align it first"
        return bgr[:, :, ::-1]

    groups = [names[at : at + at_once] for at in range(0, len(names), at_once)]
    with ThreadPoolExecutor(4) as pool:
        ahead = [pool.submit(read, name) for name in groups[0]] if groups else []
        for position, group in enumerate(groups):
            images = [future.result() for future in ahead]
            following = groups[position + 1] if position + 1 < len(groups) else ()
            ahead = [pool.submit(read, name) for name in following]
            bad = {n: i for n, i in zip(group, images, strict=True) if isinstance(i, str)}
            good = [image for image in images if not isinstance(image, str)]
            yield group, np.stack(good) if good else np.zeros((0, *size, 3), np.uint8), bad
