"""FaceModel: a photograph in, an embedding of its main face out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..align.crop import align_face
from ..align.detectors import Detector
from ..align.face import Face, main_face
from ..data.images import as_bgr
from .image_embedder import ImageEmbedder
from .vectors import unit_rows


class NoFaceError(ValueError):
    """There is no face in the image."""


class FaceModel:
    """Detection, alignment and embedding in one.

    detector: finds the face.  embedder: maps uint8 RGB crops (N, H, W, 3) to embeddings.
    size: (height, width) of the aligned crop.  limited: every image is a face box already, so
    only its landmarks are sought.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: ImageEmbedder,
        *,
        size: tuple[int, int] = (112, 112),
        limited: bool = False,
    ):
        self.detector, self.embedder = detector, embedder
        self.size, self.limited = size, limited

    def find(self, image: np.ndarray) -> Face:
        """Return the large and central face.  Raises NoFaceError.

        image: any size; BGR, BGRA or grey, uint8 or uint16.
        """
        detect = self.detector.detect_limited if self.limited else self.detector.detect
        faces = detect(image)
        if not faces:
            height, width = np.shape(image)[:2]
            raise NoFaceError(f"no face found in an image of {width}x{height}")
        return main_face(faces, np.shape(image))

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Return the aligned crop of the main face, uint8 BGR (H, W, 3).  Raises NoFaceError."""
        return align_face(as_bgr(image), self.find(image).landmarks, self.size)

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Return the embedding of the main face, float32 (D,), unit length.

        Raises NoFaceError, and ValueError for an array that is no image.
        """
        return self.embed_crops(self.crop(image)[None])[0]

    def embed_crops(self, crops: np.ndarray) -> np.ndarray:
        """Return the embeddings of aligned crops, uint8 BGR (N, H, W, 3): (N, D), unit length."""
        embeddings = self.embedder(np.ascontiguousarray(crops[..., ::-1]))
        return unit_rows(embeddings).astype(np.float32)

    def embed_many(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield an embedding (D,) for each image in order, None where there is no face.

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
