"""A photo to its faces, and crops to embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..align.face import Face, main_face
from ..align.quality import Quality, quality_of_crop
from ..embedding.face_model import FaceModel, UncertainFaceError
from .model_print import ModelPrint
from .photos import Photo
from .refusal import Refusal

SPECK = 0.04  # share of the taken face's area below which another is no second person


@dataclass(frozen=True, eq=False)
class Seen:
    """One face of a photo.

    face: in pixels of the photo as sent.  crop: BGR uint8 (H, W, 3), aligned.  refusal: why it
    may not be taken, "" where nothing speaks against it.
    """

    face: Face
    quality: Quality
    crop: np.ndarray
    refusal: str


@dataclass(frozen=True, eq=False)
class Sight:
    """What was found in a photo.

    width, height: of the photo as sent, upright.  faces: best score first, the most that are told.
    num_faces: how many there are.  main: of faces, the large and central one.
    """

    width: int
    height: int
    num_faces: int
    faces: list[Seen]
    main: int

    def others(self, taken: int) -> list[int]:
        """Return the faces beside the taken one that are surely faces, and no specks."""
        least = SPECK * _area(self.faces[taken].face)
        return [
            number
            for number, seen in enumerate(self.faces)
            if number != taken and not seen.face.is_uncertain and _area(seen.face) >= least
        ]


class Recognizer:
    """Finds the faces of a photo, and embeds crops.  most_faces: of one photo that are told."""

    def __init__(self, model: FaceModel, most_faces: int = 32):
        self._model, self._most = model, most_faces

    def see(self, photo: Photo) -> Sight:
        """Return the faces of a photo.  Raises Refusal (422) if there is none."""
        faces = [face for face in self._model.find_all(photo.bgr) if _lies_in(face, photo)]
        if not faces:
            raise Refusal(422, "no_face", "no face was found in the photo")
        main = main_face(faces, photo.bgr.shape)
        told = faces[: self._most]
        if not any(face is main for face in told):
            told = [*told[:-1], main]
        seen = [self._seen(photo, face) for face in told]
        return Sight(
            width=photo.width,
            height=photo.height,
            num_faces=len(faces),
            faces=seen,
            main=next(number for number, face in enumerate(told) if face is main),
        )

    def embed(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the embedding (D,), unit length, of each crop uint8 BGR (H, W, 3)."""
        return list(self._model.embed_crops(np.stack(crops)))

    def model_print(self, facts: Mapping[str, str]) -> ModelPrint:
        """Return what tells the model's embeddings from others.  facts: of the embedder."""
        height, width = self._model.size
        aligned = f"{height}x{width} by {type(self._model.detector).__name__}"
        return ModelPrint.of(
            self._model.embed_crops, self._model.size, {**facts, "alignment": aligned}
        )

    def _seen(self, photo: Photo, face: Face) -> Seen:
        try:
            self._model.find(photo.bgr, [face])
            refusal = ""
        except UncertainFaceError as error:
            refusal = str(error)
        crop = self._model.crop(photo.bgr, face)
        facts = quality_of_crop(crop, face)
        return Seen(
            face=replace(
                face,
                box=photo.as_sent(face.box.reshape(2, 2)).ravel(),
                landmarks=photo.as_sent(face.landmarks),
            ),
            quality=replace(facts, eye_distance=facts.eye_distance * photo.scale),
            crop=crop,
            refusal=refusal,
        )


def _lies_in(face: Face, photo: Photo) -> bool:
    """Tell whether the middle of the landmarks is in the photo: else nothing of it can be cut."""
    middle = np.mean(face.landmarks, axis=0)
    return bool((middle > -1).all() and (middle < photo.bgr.shape[1::-1]).all())


def _area(face: Face) -> float:
    return float((face.box[2:] - face.box[:2]).prod())
