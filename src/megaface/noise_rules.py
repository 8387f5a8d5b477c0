"""What becomes of wrong images: the published rule of the 513th value, and two others'.

Source of the published rule: the original remove_noises.py of 2018; of the others: public
re-implementations of the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..embedding.vectors import unit_rows

FAR_VALUE = 100.0  # 513th value of a wrong distractor.  Source: the published script.
NOISE = 0.001  # half the range of the noise on a person's sum.  Likewise.

PUBLISHED, DROP, ZERO = "published", "drop", "zero"
RULES = (PUBLISHED, DROP, ZERO)


def clean_probes(
    vectors: np.ndarray,
    people: Sequence[str],
    is_wrong: np.ndarray,
    rule: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the probe features after the rule, float32 (P, D + 1), (P, D) or fewer rows.

    vectors: float32 (P, D).  people: who is meant to be on each.  is_wrong: bool (P,).
    published: a wrong image becomes the sum of its person's right ones plus uniform noise in
    -0.001 .. 0.001, with unit length; a 0 is appended to all.  zero: the sum, with unit length.
    Raises ValueError naming people of whom every image is wrong.
    """
    if rule == DROP:
        return vectors[~is_wrong]
    names, person = np.unique(np.asarray(people), return_inverse=True)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, person[~is_wrong], vectors[~is_wrong])
    empty = np.setdiff1d(person[is_wrong], person[~is_wrong])
    if len(empty):
        listing = ", ".join(names[empty][:5])
        raise ValueError(f"every image of {len(empty)} people is on the noise list: {listing}")
    cleaned = vectors.astype(np.float64)
    for row in np.flatnonzero(is_wrong):
        value = sums[person[row]]
        if rule == PUBLISHED:
            value = value + rng.uniform(-NOISE, NOISE, len(value))
        cleaned[row] = unit_rows(value[None])[0]
    cleaned = cleaned.astype(np.float32)
    return np.pad(cleaned, ((0, 0), (0, 1))) if rule == PUBLISHED else cleaned


def clean_distractors(vectors: np.ndarray, is_wrong: np.ndarray, rule: str) -> np.ndarray:
    """Return the distractor features after the rule, float32 (N, D + 1), (N, D) or fewer rows.

    published: 100 is appended to a wrong one, 0 to the others.  zero: a wrong one is all zeros.
    """
    if rule == DROP:
        return vectors[~is_wrong]
    if rule == ZERO:
        return np.where(is_wrong[:, None], np.float32(0), vectors)
    return np.column_stack([vectors, FAR_VALUE * is_wrong]).astype(np.float32)
