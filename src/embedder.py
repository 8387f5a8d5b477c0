"""Moved to embedding/embedder.py."""

from .embedding.embedder import Embedder
from .embedding.images import ImageEmbedder

__all__ = ["Embedder", "ImageEmbedder"]
