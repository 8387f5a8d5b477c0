"""How evenly images are spread over identities."""

from __future__ import annotations

import numpy as np


def balance(counts: np.ndarray) -> dict[str, float]:
    """Return how evenly images are spread over identities.  counts: images of each, all > 0.

    effective: the number of identities of equal size that would be as even, exp of the entropy.
    """
    share = counts / counts.sum()
    top = np.sort(counts)[::-1][: max(len(counts) // 100, 1)]
    return {
        "identities": len(counts),
        "images": int(counts.sum()),
        "least": int(counts.min()),
        "median": float(np.median(counts)),
        "most": int(counts.max()),
        "single": int((counts == 1).sum()),
        "share_of_largest_1_percent": round(float(top.sum() / counts.sum()), 4),
        "effective": round(float(np.exp(-(share * np.log(share)).sum())), 1),
    }
