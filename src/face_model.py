"""Moved to embedding/face_model.py."""

from .embedding.face_model import FaceModel, NoFaceError

__all__ = ["FaceModel", "NoFaceError"]
