"""Moved to checkpoints/load.py."""

from ..checkpoints.load import load_checkpoint, save_checkpoint

__all__ = ["load_checkpoint", "save_checkpoint"]
