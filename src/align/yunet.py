"""YunetDetector: faces and their five landmarks by OpenCV's FaceDetectorYN.

Source: YuNet (Wu, Peng, Yu: Machine Intelligence Research 2023); the network is the
file models/yunet.onnx, which `arcface-fetch fetch sface` writes.  OpenCV runs it on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import threading
from typing import Any

import cv2
import numpy as np

from ..data.images import as_bgr
from .boxes import overlaps, suppress
from .caps import most_certain
from .face import Face
from .network_input import MOST_BEYOND
from .trust import Trust

FILE = "yunet.onnx"
SCORE = 0.6  # a candidate must reach
LIMITED_SCORE = 0.3  # where a face is known to be
NMS = 0.3  # share of the union; OpenCV's default
SMALLEST_SEEN = 10  # pixels; YuNet is trained for faces of 10 to 300
SHORT_PHOTO = 640  # pixels; up to this side a photo is searched as it is
LONGEST = 1600  # pixels, of what is searched: more takes memory, 24 megapixels 1.8 GB
# Pixels.  Up to 31 YuNet says nothing at all, and no error; with a side of 32 OpenCV 4.11 returns
# boxes of 1e17 pixels and a score of 1 now and then.  Such images get a black border.
LEAST_SIDE = 96
FACE_SIDE = 160  # pixels, to which a given box is brought
AROUND = 0.5  # of a given box, added on each side


class YunetDetector:
    """A detector, safe to share between threads; they take turns.

    min_size: pixels, smallest face looked for.  model_dir: folder with yunet.onnx.  ctx and engine
    are those of other detectors and change nothing: OpenCV runs this one, on the CPU.
    Raises FileNotFoundError if the file is absent, ValueError if OpenCV cannot read it or for
    options out of range.
    """

    # Chosen on people A to K of LFW's fold 1; benchmarks/turned.py reports on L to Z.
    trust = Trust(sure=0.905, least=0.88, ahead=0.01)

    def __init__(
        self,
        ctx: Any = None,
        *,
        min_size: int = 20,
        model_dir: str | os.PathLike = "models",
        engine: str = "auto",
    ):
        if min_size < 1:
            raise ValueError(f"min_size {min_size}: give at least 1 pixel")
        path = Path(model_dir) / FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"no detector in {path.parent.absolute()}; fetch it with `arcface-fetch fetch "
                f"sface`, or name the folder of {FILE}"
            )
        self.min_size = min_size
        self._lock = threading.Lock()
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(path), "", (LEAST_SIDE, LEAST_SIDE), SCORE, NMS
            )
        except cv2.error as error:
            raise ValueError(f"{path.absolute()} is no YuNet that OpenCV reads: {error}") from None

    @staticmethod
    def is_in(folder: str | os.PathLike) -> bool:
        """Tell whether a folder holds the network of this detector."""
        return (Path(folder) / FILE).is_file()

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return all faces of an image, best score first.

        image: any size; BGR, BGRA or grey, uint8 or uint16.  Raises ValueError for another.
        Faces smaller than a 160th of the longer side are not seen.
        """
        bgr = as_bgr(image)
        found = [self._at_scale(bgr, scale, SCORE) for scale in self._scales(bgr.shape)]
        faces = [face for faces in found for face in faces]
        if not faces:
            return []
        boxes, scores = np.stack([f.box for f in faces]), np.array([f.score for f in faces])
        return most_certain([faces[i] for i in suppress(boxes, scores, NMS)])

    def detect_limited(self, image: np.ndarray) -> list[Face]:
        """Return the face of an image that is one face box already, as an empty or longer list."""
        bgr = as_bgr(image)
        height, width = bgr.shape[:2]
        face = self.detect_in_box(bgr, np.array([0, 0, width - 1, height - 1]))
        return [] if face is None else [face]

    def detect_in_box(self, image: np.ndarray, box: np.ndarray) -> Face | None:
        """Return the face that lies in a given box best, or None.

        box: x1, y1, x2, y2, pixels; of a square far larger than the image nothing can be seen.
        """
        bgr, box = as_bgr(image), np.asarray(box, float)
        side = max(*(box[2:] - box[:2] + 1), 1.0)
        if side**2 > MOST_BEYOND * bgr.shape[0] * bgr.shape[1]:
            return None
        low = np.floor(box[:2] - AROUND * side).astype(int)
        size = int(np.ceil((1 + 2 * AROUND) * side))
        part = _part(bgr, low, size)
        faces = self._at_scale(part, FACE_SIDE / side, LIMITED_SCORE)
        moved = [Face(f.box + np.tile(low, 2), f.landmarks + low, f.score) for f in faces]
        shares = [float(overlaps(box[None], face.box[None])[0, 0]) for face in moved]
        if not shares or max(shares) == 0:
            return None
        return moved[int(np.argmax(shares))]

    def _scales(self, shape: tuple[int, ...]) -> Iterator[float]:
        """Yield the scales at which YuNet sees faces from min_size up to the whole image."""
        longest = max(shape[:2])
        scale = min(1.0, max(SHORT_PHOTO / longest, SMALLEST_SEEN / self.min_size))
        scale = min(scale, LONGEST / longest)
        while True:
            yield scale
            if scale * longest <= SHORT_PHOTO:
                return
            scale /= 4

    def _at_scale(self, bgr: np.ndarray, scale: float, least_score: float) -> list[Face]:
        """Return the faces that YuNet finds in the image resized by scale, in its own pixels."""
        height, width = bgr.shape[:2]
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        level = _bordered(bgr if size == (width, height) else _resized(bgr, size))
        with self._lock:
            self._network.setInputSize(level.shape[1::-1])
            self._network.setScoreThreshold(least_score)
            rows = self._network.detect(level)[1]
        rows = _plausible(np.zeros((0, 15)) if rows is None else rows, max(level.shape))
        factor = np.array([width / size[0], height / size[1]])
        # From the centre of the first pixel of one image to that of the other.
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4] - 1], 1).reshape(-1, 2, 2)
        boxes = ((corners + 0.5) * factor - 0.5).reshape(-1, 4)
        points = (rows[:, 4:14].reshape(-1, 5, 2) + 0.5) * factor - 0.5
        return [
            Face(box.astype(np.float32), five.astype(np.float32), float(row[14]))
            for box, five, row in zip(boxes, points, rows, strict=True)
        ]


def _bordered(bgr: np.ndarray) -> np.ndarray:
    """Return an image with black to the right and below, at least LEAST_SIDE on each side."""
    height, width = bgr.shape[:2]
    below, right = max(LEAST_SIDE - height, 0), max(LEAST_SIDE - width, 0)
    if not below and not right:
        return bgr
    return cv2.copyMakeBorder(bgr, 0, below, 0, right, cv2.BORDER_CONSTANT)


def _plausible(rows: np.ndarray, longest: int) -> np.ndarray:
    """Return the rows (N, 15) that are numbers near an image whose longer side this is."""
    return rows[(np.abs(rows) < 3 * longest).all(axis=1)]  # False for NaN, too


def _resized(bgr: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    smaller = size[0] < bgr.shape[1]
    return cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _part(bgr: np.ndarray, low: np.ndarray, size: int) -> np.ndarray:
    """Return the square of an image from low (x, y), black where the image ends."""
    part = np.zeros((size, size, 3), np.uint8)
    height, width = bgr.shape[:2]
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(low + size, (width, height))
    if left < right and top < bottom:
        there = np.s_[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
        part[there] = bgr[top:bottom, left:right]
    return part
