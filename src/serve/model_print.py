"""What tells whether stored embeddings can be compared with those of the network at hand.

Every stored embedding names the facts of the model that made it: the fingerprint of symbol and
parameters, engine, dtype and alignment.  Equal facts, equal embeddings.  Where they differ (an
export, an INT8 copy, bfloat16, another engine) the probe decides: embeddings of a real face.

probe.png is a crop of a portrait of the astronaut Eileen Collins: NASA, in the public domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..embedding.vectors import unit_rows

PROBE = Path(__file__).parent / "probe.png"  # 112x112, aligned
# Least mean cosine between probes of networks whose embeddings may be compared.  Measured with m1:
# docs/serve.md.
SAME_NETWORK = 0.97
SAME_RAMP = 0.9999  # the same of the first form of stores, whose probe was a ramp of grey levels


@dataclass(frozen=True, eq=False)
class ModelPrint:
    """facts: by name, such as network, engine, dtype, alignment.  probe: float32 (K, D), unit rows:
    the embeddings of probe_crops.  ramp: float32 (D,), unit: of a ramp, for the first stores."""

    facts: Mapping[str, str]
    probe: np.ndarray
    ramp: np.ndarray

    @classmethod
    def of(
        cls,
        embed_crops: Callable[[np.ndarray], np.ndarray],
        size: tuple[int, int],
        facts: Mapping[str, str],
    ) -> ModelPrint:
        """embed_crops: uint8 BGR (N, H, W, 3) -> (N, D), unit rows.  size: (height, width)."""
        ramp = np.linspace(0, 255, size[0] * size[1] * 3).astype(np.uint8).reshape(1, *size, 3)
        rows = embed_crops(np.concatenate([probe_crops(size), ramp]))
        rows = unit_rows(np.asarray(rows, np.float32)).astype(np.float32)
        return cls(dict(sorted(facts.items())), rows[:-1], rows[-1])

    def is_like(self, probe: np.ndarray) -> bool:
        """Tell whether the network of another probe gives embeddings that these compare with."""
        if probe.shape != self.probe.shape:
            return False
        return bool(np.mean(np.sum(probe * self.probe, axis=1)) >= SAME_NETWORK)

    def is_like_ramp(self, ramp: np.ndarray) -> bool:
        """Tell the same by the probe of the first form of stores."""
        return ramp.shape == self.ramp.shape and bool(ramp @ self.ramp >= SAME_RAMP)


def probe_crops(size: tuple[int, int] = (112, 112)) -> np.ndarray:
    """Return real crops of a face, uint8 BGR (8, height, width, 3)."""
    face = cv2.imread(str(PROBE))
    if face is None:
        raise ValueError(f"{PROBE.absolute()}: the probe of the service is missing or damaged")
    return np.stack([cv2.resize(view, (size[1], size[0])) for view in _views(face)])


def _views(face: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the face as other photos would have it, and each of them mirrored."""
    height, width = face.shape[:2]
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 1.06)
    for view in (
        face,
        cv2.convertScaleAbs(face, alpha=0.6, beta=10),
        cv2.GaussianBlur(face, (0, 0), 1.5),
        cv2.warpAffine(face, turned, (width, height), borderMode=cv2.BORDER_REPLICATE),
    ):
        yield view
        yield cv2.flip(view, 1)
