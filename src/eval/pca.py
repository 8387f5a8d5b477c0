"""Verification on principal components, fitted on the training folds alone.

The decomposition is exact.  scikit-learn chooses by itself a randomised one for most shapes, in
the published code too: its accuracy is another one in every run (on 1,200 pairs of LFW and 8
components from 0.832 to 0.863).
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from ..embedding.vectors import unit_rows
from .protocols import (
    VerificationResult,
    fold_numbers,
    result_of,
    unit_distances,
    verify_distances,
)


def verify_components(
    left: np.ndarray,
    right: np.ndarray,
    is_genuine: np.ndarray,
    num_components: int,
    *,
    folds: int = 10,
) -> VerificationResult:
    """Return verify_pairs() on the first components of the embeddings.

    left, right: float (P, D), any length.  As published: they are made unit length first; for
    every fold a PCA is fitted on the images of the other folds, all pairs are projected by it and
    normalised again, and the threshold is chosen as ever.
    Raises ValueError as verify_pairs() does, and if there are too few images or dimensions.
    """
    is_genuine = np.asarray(is_genuine, dtype=bool)
    fold_of_pair = fold_numbers(is_genuine, folds)
    left, right = unit_rows(left, np.float64), unit_rows(right, np.float64)
    per_fold = []
    for fold in range(folds):
        train = fold_of_pair != fold if folds > 1 else np.ones(len(left), bool)
        images = np.concatenate([left[train], right[train]])
        if not 1 <= num_components <= min(images.shape):
            raise ValueError(
                f"{num_components} components: {len(images)} training images of {left.shape[1]} "
                f"numbers allow 1 to {min(images.shape)}"
            )
        pca = PCA(num_components, svd_solver="full").fit(images)
        distances = unit_distances(pca.transform(left), pca.transform(right))
        per_fold.append(verify_distances(distances, is_genuine, folds=folds).per_fold[fold])
    return result_of(per_fold)
