"""Moved to embedding/face_model.py."""

from .embedding.face_model import FaceModel, NoFaceError, UncertainFaceError

__all__ = ["FaceModel", "NoFaceError", "UncertainFaceError"]
