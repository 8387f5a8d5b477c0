"""Image files made ready for a pair set: stored as they are, brought to size, or aligned."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..align.crop import align_face, crop_box
from ..align.detectors import Detector
from ..align.face import main_face
from ..data.images import decode_bgr, read_image_file
from ..data.packing import padded

FITS = ("refuse", "pad", "resize")


class ImagePreparer:
    """Turns a file into the encoded crop (height, width) that a pair set holds.

    detector None: crops of the right size are stored byte for byte, others as fit says: "refuse"
    is an error, "pad" scales onto a black ground, "resize" stretches.
    Else the large and central face is aligned; where none is found the whole image is tried as a
    face, then its centre is cut, as published, and without_face names the file.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        detector: Detector | None = None,
        fit: str = "refuse",
        encoding: str = ".jpg",
        quality: int = 95,
    ):
        self.size, self.fit = size, fit
        self.encoding, self.quality = encoding, quality
        self.without_face: list[Path] = []
        self._detector = detector

    def __call__(self, path: Path) -> bytes:
        """Return the encoded crop.  Raises ValueError naming the file if it cannot be used."""
        payload = read_image_file(path)
        image = decode_bgr(payload, str(path))
        if self._detector is not None:
            return self._encoded(self._aligned(image, path))
        if image.shape[:2] == self.size:
            return payload
        if self.fit == "pad":
            return self._encoded(padded(image, self.size))
        if self.fit == "resize":
            return self._encoded(cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA))
        raise ValueError(
            f"{path}: is {image.shape[0]}x{image.shape[1]} (height x width), not "
            f"{self.size[0]}x{self.size[1]}; give --align mtcnn for photos, or --fit pad or resize "
            "for crops of another size"
        )

    def _aligned(self, bgr: np.ndarray, path: Path) -> np.ndarray:
        faces = self._detector.detect(bgr) or self._detector.detect_limited(bgr)
        if faces:
            return align_face(bgr, main_face(faces, bgr.shape).landmarks, self.size)
        self.without_face.append(path)
        return crop_box(bgr, None, self.size)

    def _encoded(self, bgr: np.ndarray) -> bytes:
        how = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.encoding == ".jpg" else []
        return cv2.imencode(self.encoding, bgr, how)[1].tobytes()
