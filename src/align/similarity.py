"""The least-squares similarity from detected landmarks to the reference points."""

from __future__ import annotations

import numpy as np

from .template import template


def similarity_transform(landmarks: np.ndarray, size: tuple[int, int] = (112, 112)) -> np.ndarray:
    """Return the matrix float64 (2, 3), or (N, 2, 3), that takes landmarks to the template.

    landmarks: (5, 2) or (N, 5, 2), (x, y) in pixels: left eye, right eye, nose, left and right
    mouth corner.  size: (height, width) of the crop.  The map is a rotation, one scale and a
    translation, never a mirror image.
    Raises ValueError for another shape, for numbers that are not finite, and for five
    landmarks in one place.
    Source: Umeyama, PAMI 13(4) 1991, eq. 40-43.
    """
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.shape[-2:] != (5, 2) or landmarks.ndim not in (2, 3):
        raise ValueError(f"landmarks of shape {landmarks.shape}: give (5, 2) or (N, 5, 2), x and y")
    return fit_similarity(landmarks, template(size))


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the matrix (..., 2, 3) of the similarity nearest to source -> target.

    source: (..., K, 2), target: (K, 2) or the shape of source.  Raises ValueError as above.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if not np.isfinite(source).all():
        raise ValueError("landmarks hold numbers that are not finite")
    # In the plane, scale and rotation together are one complex factor, and the least-squares
    # factor is a quotient: no singular value decomposition is needed.
    source, target = source @ (1, 1j), target @ (1, 1j)  # (..., K)
    source_mean, target_mean = source.mean(-1), target.mean(-1)
    source, target = source - source_mean[..., None], target - target_mean[..., None]
    spread = (np.abs(source) ** 2).sum(-1)
    if (spread < 1e-12).any():
        raise ValueError("all landmarks lie in one place: no similarity can be fitted")
    factor = (source.conj() * target).sum(-1) / spread
    shift = target_mean - factor * source_mean
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))  # (..., 2, 3)
