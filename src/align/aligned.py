"""Tell a crop from a photo of the same size: in a crop the landmarks lie at the template."""

from __future__ import annotations

import numpy as np

from .detectors import Detector
from .face import main_face
from .template import template
from .trust import find_faces

# Of the distance between the template's eyes, mean over the five points.  Crops aligned by other
# detectors lie within 0.15; a face cut out without landmarks is told apart where it matters.
NEAR = 0.3


def is_aligned(crop: np.ndarray, detector: Detector) -> bool | None:
    """Tell whether an image of the size of a crop is one; None if no face is found in it.

    crop: BGR uint8 (H, W, 3).  Raises ValueError for a size without a template.
    """
    reference = template(crop.shape[:2])
    faces = find_faces(detector.detect, crop, detector.trust)
    if not faces:
        return None
    face = main_face(faces, crop.shape)
    apart = np.linalg.norm(face.landmarks - reference, axis=1).mean()
    return bool(face.turn == 0 and apart <= NEAR * np.linalg.norm(reference[1] - reference[0]))
