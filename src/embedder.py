"""Moved to embedding/embedder.py."""

from .embedding.embedder import Embedder
from .embedding.image_embedder import ImageEmbedder

__all__ = ["Embedder", "ImageEmbedder"]
