"""FaceModel: a photograph in, an embedding of its main face out, or of every face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..align.crop import align_face
from ..align.detectors import Detector
from ..align.face import Face, main_face
from ..align.trust import find_faces
from ..data.images import as_bgr
from .image_embedder import ImageEmbedder
from .vectors import unit_rows

UNCERTAIN = ("refuse", "accept")


class NoFaceError(ValueError):
    """There is no face in the image."""


class UncertainFaceError(NoFaceError):
    """What was found may be no face, or lie another way: its embedding would mean nothing."""


class FaceModel:
    """Detection, alignment and embedding in one.

    detector: finds the face.  embedder: maps uint8 RGB crops (N, H, W, 3) to embeddings.
    size: (height, width) of the aligned crop.  limited: every image is a face box already, so
    only its landmarks are sought.  uncertain: "refuse" a face that the detector's scores or its
    landmarks speak against, or "accept" it.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: ImageEmbedder,
        *,
        size: tuple[int, int] = (112, 112),
        limited: bool = False,
        uncertain: str = "refuse",
    ):
        if uncertain not in UNCERTAIN:
            raise ValueError(f"uncertain {uncertain!r}: {' or '.join(UNCERTAIN)}")
        self.detector, self.embedder = detector, embedder
        self.size, self.limited, self.uncertain = size, limited, uncertain

    def find_all(self, image: np.ndarray) -> list[Face]:
        """Return every face, with its doubts, best score first; none is refused.

        image: any size; BGR, BGRA or grey, uint8 or uint16.  Photos that lie on their side or
        stand on their head are found out; see Face.turn.
        """
        bgr = as_bgr(image)
        if self.limited:  # whoever asks knows that a face is there, whatever its score
            return find_faces(self.detector.detect_limited, bgr, None)
        return find_faces(self.detector.detect, bgr, self.detector.trust)

    def find(self, image: np.ndarray, faces: list[Face] | None = None) -> Face:
        """Return the large and central face.  Raises NoFaceError, UncertainFaceError.

        image: any size; BGR, BGRA or grey, uint8 or uint16.  faces: find_all's, if known.
        """
        faces = self.find_all(image) if faces is None else faces
        if not faces:
            height, width = np.shape(image)[:2]
            raise NoFaceError(f"no face found in an image of {width}x{height}")
        face = main_face(faces, np.shape(image))
        if face.is_uncertain and self.uncertain == "refuse":
            x, y = face.box.reshape(2, 2).mean(0)
            raise UncertainFaceError(
                f"the face at {x:.0f},{y:.0f} is uncertain: {'; '.join(face.doubts)}. Give an "
                "upright, sharper or larger photo, or accept it as it is (uncertain: accept)"
            )
        return face

    def crop(self, image: np.ndarray, face: Face | None = None) -> np.ndarray:
        """Return the aligned crop of a face, uint8 BGR (H, W, 3); None is the main one.

        Raises as find.
        """
        face = self.find(image) if face is None else face
        return align_face(as_bgr(image), face.landmarks, self.size)

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Return the embedding of the main face, float32 (D,), unit length.

        Raises NoFaceError, and ValueError for an array that is no image.
        """
        return self.embed_crops(self.crop(image)[None])[0]

    def embed_all(self, image: np.ndarray) -> tuple[list[Face], np.ndarray]:
        """Return every face as find_all, and their embeddings, float32 (N, D), unit length.

        Raises NoFaceError where there is none; uncertain ones are among them, with their doubts.
        """
        faces = self.find_all(image)
        if not faces:
            height, width = np.shape(image)[:2]
            raise NoFaceError(f"no face found in an image of {width}x{height}")
        return faces, self.embed_crops(np.stack([self.crop(image, face) for face in faces]))

    def embed_crops(self, crops: np.ndarray) -> np.ndarray:
        """Return the embeddings of aligned crops, uint8 BGR (N, H, W, 3): (N, D), unit length."""
        embeddings = self.embedder(np.ascontiguousarray(crops[..., ::-1]))
        return unit_rows(embeddings).astype(np.float32)

    def embed_many(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield an embedding (D,) for each image in order, None where find finds no face.

        Crops are embedded in batches of the embedder; images are read as they are needed.
        """
        crops: list[np.ndarray | None] = []
        for image in images:
            try:
                crops.append(self.crop(image))
            except NoFaceError:
                crops.append(None)
            if sum(crop is not None for crop in crops) == self.embedder.batch_size:
                yield from self._embed_found(crops)
                crops = []
        yield from self._embed_found(crops)

    def _embed_found(self, crops: list[np.ndarray | None]) -> Iterator[np.ndarray | None]:
        found = [crop for crop in crops if crop is not None]
        embeddings = iter(self.embed_crops(np.stack(found)) if found else ())
        for crop in crops:
            yield None if crop is None else next(embeddings)
