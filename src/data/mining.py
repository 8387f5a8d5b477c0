"""Moved to batches/mining.py."""

from ..batches.mining import select_semi_hard

__all__ = ["select_semi_hard"]
