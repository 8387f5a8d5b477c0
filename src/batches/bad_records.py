"""Records that do not decode: told by key, counted, and bounded.

Training goes on with another image in their place (order.py says which); a few are what every
large dataset has, many are a disk that fails or a file cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import logging
from typing import Any

ALLOWED_SHARE = 1000  # one image in so many, unless --max-bad says otherwise

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class BadRecord:
    """source: number of the dataset.  reason: the error's text, which names file and key."""

    source: int
    key: int
    reason: str


class BadRecords:
    """Those met so far.  Each counts once, however often it is drawn.

    datasets: FaceDataset.  max_bad: how many may be met, -1 for a thousandth of the images and
    at least 1.
    """

    def __init__(self, datasets: Sequence[Any], max_bad: int):
        self._folders = [str(dataset.folder) for dataset in datasets]
        self.limit, self._rule = max_bad, ""
        if max_bad < 0:
            images = sum(len(dataset.image_keys) for dataset in datasets)
            self.limit = max(1, images // ALLOWED_SHARE)
            self._rule = f" (a thousandth of {images} images, at least 1)"
        self._met: set[tuple[int, int]] = set()

    def take(self, found: Iterable[BadRecord]) -> None:
        """Log and count the new ones among these.  Raises ValueError beyond the limit."""
        new = self.refuse_excess(found)
        for place in sorted(new):
            self._met.add(place)
            logger.warning("left out, bad record %d: %s", len(self._met), new[place].reason)

    def refuse_excess(self, found: Iterable[BadRecord]) -> dict[tuple[int, int], BadRecord]:
        """Return the new ones among these by dataset and key; count none.  May be called from
        any thread.  Raises ValueError if they are beyond the limit."""
        found = {(bad.source, bad.key): bad for bad in found}
        new = {place: bad for place, bad in found.items() if place not in self._met}
        count = len(self._met) + len(new)
        if new and count > self.limit:
            raise ValueError(
                f"records that do not decode: {count}; --max-bad allows {self.limit}{self._rule}. "
                f"One of them: {max(new.values()).reason}; or raise --max-bad and go on with "
                "--resume"
            )
        return new

    def state(self) -> list[list[int]]:
        """Return those met as [number of the dataset, key], in order; JSON-able."""
        return [list(place) for place in sorted(self._met)]

    def restore(self, state: Iterable[Sequence[int]]) -> None:
        """Count those of state(), and no others.  Raises ValueError for a dataset that is not."""
        self._met = {(int(source), int(key)) for source, key in state}
        if any(source >= len(self._folders) for source, _ in self._met):
            raise ValueError(f"its bad records are of more than {len(self._folders)} datasets")

    def facts(self) -> dict[str, Any]:
        """Return their number, and their keys by folder, as run.json has them."""
        keys: dict[str, list[int]] = {}
        for source, key in sorted(self._met):
            keys.setdefault(self._folders[source], []).append(key)
        return {"count": len(self._met), "keys": keys}
