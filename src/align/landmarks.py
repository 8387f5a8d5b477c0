"""LNet: each landmark corrected within a patch around it.

Source: the published MXNet detector with accurate_landmark, checkpoint det4.
"""

from __future__ import annotations

import numpy as np

from .boxes import sides
from .network_input import cut, normalised
from .networks import DetectorNetwork
from .shapes import filled_up

PATCH = 0.25  # side of a patch, in longer sides of the face box
LNET_SIDE = 24  # pixels of a patch as LNet takes it
MAX_MOVE = 0.35  # in patches; a landmark that would move farther stays where it was


def refine_landmarks(
    lnet: DetectorNetwork, bgr: np.ndarray, boxes: np.ndarray, landmarks: np.ndarray
) -> np.ndarray:
    """Return landmarks (N, 5, 2) corrected by LNet.

    boxes: (N, 4) of the faces; landmarks: (N, 5, 2), pixels.  lnet takes (N, 15, 24, 24), five
    patches in BGR, and gives five times (N, 2), the place of a landmark in its patch, 0..1.
    """
    if not len(boxes):
        return landmarks
    patch = np.rint(PATCH * sides(boxes).max(1))
    patch = (patch + patch % 2)[:, None, None]  # (N, 1, 1), even
    corners = np.rint(landmarks - patch / 2)  # (N, 5, 2)
    windows = np.concatenate([corners, corners + patch - 1], 2)  # (N, 5, 4)
    data = normalised([cut(bgr, window, LNET_SIDE) for face in windows for window in face])
    outputs = lnet.run(filled_up(data.reshape(len(boxes), 15, LNET_SIDE, LNET_SIDE)))
    places = np.stack(outputs, 1)[: len(boxes)]  # (N, 5, 2)
    too_far = (np.abs(places - 0.5) > MAX_MOVE).any(2, keepdims=True)
    return corners + np.where(too_far, 0.5, places) * patch
