"""Losses by published number and by name; each file registers its own."""

from . import arcface, softmax  # noqa: F401  (each registers itself)
from .base import LOSSES, Loss, build_loss

__all__ = ["LOSSES", "Loss", "build_loss"]
