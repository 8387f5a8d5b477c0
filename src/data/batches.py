"""Moved to batches/source.py."""

from ..batches.source import BatchSource, batches

__all__ = ["BatchSource", "batches"]
