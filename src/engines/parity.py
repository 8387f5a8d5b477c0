"""Do two engines give the same?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Parity:
    """How near two results for the same images are, over all outputs of the network.

    min_cosine: of the vectors of one image.  max_difference: as a share of the largest value.
    """

    MIN_COSINE: ClassVar[float] = 0.99999  # of a faithful conversion
    MAX_DIFFERENCE: ClassVar[float] = 1e-3  # rounding makes about 1e-5

    min_cosine: float
    max_difference: float

    @classmethod
    def of(cls, reference: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Parity:
        """Return the parity of lists of outputs, each (N, ...).

        Raises ValueError if they differ in number or shape.
        """
        shapes = [[output.shape for output in outputs] for outputs in (reference, found)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"outputs of shapes {shapes[1]}, the reference gives {shapes[0]}")
        parts = [_compare(*pair) for pair in zip(reference, found, strict=True)]
        cosines, differences = zip(*parts, strict=True)
        return cls(float(np.min(cosines)), float(np.max(differences)))

    @property
    def is_faithful(self) -> bool:
        """False for NaN too."""
        near = self.min_cosine >= self.MIN_COSINE
        return near and self.max_difference <= self.MAX_DIFFERENCE

    def __str__(self) -> str:
        return (
            f"lowest cosine {self.min_cosine:.7f}, largest difference {self.max_difference:.2g} of "
            "the largest value"
        )


def _compare(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    one = one.reshape(len(one), -1).astype(np.float64)
    other = other.reshape(len(other), -1).astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    both_zero = (one == other).all(axis=1)  # vectors of zeros have no direction
    cosines = np.where(both_zero, 1.0, (one * other).sum(axis=1) / np.maximum(lengths, 1e-300))
    return float(cosines.min()), float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-30))
