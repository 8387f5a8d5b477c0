"""Losses by published number and by name; each file registers its own."""

from . import (  # noqa: F401  (each registers itself)
    adaface,
    arcface,
    center,
    circle,
    coco,
    combined,
    cosface,
    curricularface,
    distill,
    intra_inter,
    magface,
    marginal,
    multiplicative,
    npair,
    softmax,
    sphereface,
    subcenter,
    triplet,
)
from .base import LOSSES, Loss, build_loss

__all__ = ["LOSSES", "Loss", "build_loss"]
