"""One photo to one crop: which face, aligned how, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from ..data.images import MAX_PIXELS, read_image
from ..errors import reason_of
from ..files import replace_file
from .crop import align_face, crop_box
from .detectors import Detector
from .face import main_face
from .quality import Quality, QualityBounds, quality
from .trust import find_faces

NO_FACE = "no face found"
FACTS = ("num_faces", "turn", "doubts", *(field.name for field in fields(Quality)))


@dataclass(frozen=True)
class Photo:
    """One photo and the crop to be made of it.  landmarks: (5, 2) where the list gives them."""

    path: Path
    crop_path: Path
    identity: int
    landmarks: np.ndarray | None = None
    is_aligned: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.  reason: why there is no crop, or "".

    facts: by the names of FACTS, as text; empty where no face was sought, or an earlier start made
    the crop.
    """

    reason: str = ""
    facts: dict[str, str] | None = None


@dataclass(frozen=True)
class Aligner:
    """Makes one crop.  size: (height, width).  fallback: "none", or "box" for the unaligned
    centre of a photo without a face.  limited: every photo is one face box.  max_pixels: of a
    photo that is decoded.  bounds: what a face must reach.  accept_uncertain: take a face that
    its score or landmarks speak against.
    """

    detector: Detector
    size: tuple[int, int]
    fallback: str = "none"
    limited: bool = False
    max_pixels: int = MAX_PIXELS
    bounds: QualityBounds = QualityBounds()
    accept_uncertain: bool = True

    def align(self, photo: Photo) -> Outcome:
        """Write the crop of a photo if it is not there; return what became of it."""
        try:
            if photo.crop_path.is_file():
                return Outcome(self._fault_of_old(photo.crop_path))
            crop, outcome = self.crop(photo)
        except (ValueError, OSError, MemoryError, cv2.error) as error:
            return Outcome(one_line(reason_of(error)))
        if crop is None:
            return outcome
        encoded, data = cv2.imencode(photo.crop_path.suffix, crop)
        assert encoded
        with replace_file(photo.crop_path) as file:
            file.write(data.tobytes())
        return outcome

    def _fault_of_old(self, path: Path) -> str:
        """Return why a crop made by an earlier run cannot stay, or ""."""
        height, width = read_image(path).shape[:2]
        if (height, width) == self.size:
            return ""
        return one_line(
            f"{path} is there already, {height}x{width} (height x width): delete it, or give "
            "another folder"
        )

    def crop(self, photo: Photo) -> tuple[np.ndarray | None, Outcome]:
        """Return the crop, BGR, or None, and what is known of it.  Raises ValueError or OSError."""
        bgr = read_image(photo.path, max_pixels=self.max_pixels)
        return self.crop_of(bgr, landmarks=photo.landmarks, is_aligned=photo.is_aligned)

    def crop_of(
        self, bgr: np.ndarray, *, landmarks: np.ndarray | None = None, is_aligned: bool = False
    ) -> tuple[np.ndarray | None, Outcome]:
        """Return crop() of an image that is read, BGR uint8 (H, W, 3).  Raises ValueError."""
        if is_aligned:
            if bgr.shape[:2] != self.size:
                raise ValueError(
                    f"listed as aligned, but is {bgr.shape[0]}x{bgr.shape[1]} (height x width)"
                )
            return bgr, Outcome()
        if landmarks is not None:
            return align_face(bgr, landmarks, self.size), Outcome()
        if self.limited:
            faces = find_faces(self.detector.detect_limited, bgr, None)
        else:
            faces = find_faces(self.detector.detect, bgr, self.detector.trust)
        if not faces:
            if self.fallback == "box":
                return crop_box(bgr, size=self.size), Outcome()
            return None, Outcome(NO_FACE)
        face = main_face(faces, bgr.shape)
        measured = quality(bgr, face, self.size)
        facts = {"num_faces": len(faces), "turn": face.turn, "doubts": "; ".join(face.doubts)}
        facts = {name: str(value) for name, value in (facts | measured.as_dict()).items()}
        faults = list(self.bounds.faults(measured))
        if face.is_uncertain and not self.accept_uncertain:
            faults += [f"uncertain: {doubt}" for doubt in face.doubts]
        if faults:
            return None, Outcome("; ".join(faults), facts)
        return align_face(bgr, face.landmarks, self.size), Outcome("", facts)


def one_line(text: str) -> str:
    """Return text without line breaks and TABs, and with ? for bytes that are no UTF-8."""
    return " ".join(text.split()).encode(errors="replace").decode()
