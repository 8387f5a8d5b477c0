"""The offsets of an index, compared with each other."""

from __future__ import annotations

import numpy as np

from .framing import REBUILD

LEAST = 8 + 24  # bytes of a record: its frame and its header


def check_offsets(keys: np.ndarray, offsets: np.ndarray, idx_path: object) -> None:
    """Raise ValueError if two keys, int64 (N,), have the same record or overlapping ones, or an
    offset (bytes) is where none can begin."""
    wrong = np.flatnonzero((offsets < 0) | (offsets % 4 != 0))
    if len(wrong):
        key, offset = keys[wrong[0]], offsets[wrong[0]]
        raise ValueError(
            f"{idx_path}: key {key} is at byte {offset}, but records begin on multiples of 4; "
            f"{len(wrong)} such; {REBUILD}"
        )
    keys, offsets = in_file_order(keys, offsets)
    near = np.flatnonzero(np.diff(offsets) < LEAST)
    if len(near):
        at = near[0]
        raise ValueError(
            f"{idx_path}: key {keys[at]} is at byte {offsets[at]} and key {keys[at + 1]} at byte "
            f"{offsets[at + 1]}, too near for two records; {len(near)} such; {REBUILD}"
        )


def in_file_order(keys: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and offsets, int64 (N,), in the order of offsets."""
    if (np.diff(offsets) >= 0).all():
        return keys, offsets
    order = np.argsort(offsets, kind="stable")
    return keys[order], offsets[order]


def descents(keys: np.ndarray, past_last: int) -> np.ndarray:
    """Return keys of images, 1 <= key < past_last, that stand in the file before a smaller one,
    and that smaller one, int64 (2, n); keys: in the order of the file."""
    keys = keys[(keys >= 1) & (keys < past_last)]
    at = np.flatnonzero(np.diff(keys) < 0)
    return np.stack([keys[at], keys[at + 1]])
