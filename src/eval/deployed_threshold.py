"""The threshold of a program that compares faces: a number, or out of a threshold card."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
import logging

from .threshold_card import ThresholdCard, read_card, threshold_of

logger = logging.getLogger(__name__)

FAR = 1e-3


def add_threshold_arguments(parser: argparse.ArgumentParser, published: float) -> None:
    """Add --threshold, --threshold-card and --far."""
    add = parser.add_argument
    add(
        "--threshold", type=float,
        help="squared L2 distance, 0..4, up to which two faces are one person "
        f"(default: {published:g}, as published)",
    )  # fmt: skip
    add(
        "--threshold-card", metavar="FILE",
        help="take the threshold from this card, as arcface-verify --card writes it; a card of "
        "another model, dtype, crop or flip is refused (default: none)",
    )  # fmt: skip
    add(
        "--far", type=float, metavar="RATE",
        help="the card's threshold at this false acceptance rate, a fraction "
        f"(default: {FAR:g}, with --threshold-card)",
    )  # fmt: skip


@dataclass(frozen=True)
class ThresholdSource:
    """Where the threshold comes from: a squared L2 distance, or a card and the FAR wanted."""

    distance: float | None
    card: ThresholdCard | None = None
    far: float = FAR

    def squared_l2(
        self, embedding: Mapping[str, str], *, flip: bool, crop: tuple[int, int]
    ) -> float:
        """Return the squared L2 distance up to which two faces are one person.

        embedding: the facts of an Embedder.  flip: whether the mirror image is added.  crop:
        (height, width) in pixels.  Raises ValueError as threshold_of() does.
        """
        if self.card is None:
            return self.distance
        flip_mode = "sum" if flip else "none"
        cosine = threshold_of(self.card, self.far, embedding=embedding, flip=flip_mode, crop=crop)
        if self.card.facts["engine"] != embedding["engine"]:
            logger.warning(
                "%s was made by the engine %s, this is %s: the same numbers but for rounding",
                self.card.path, self.card.facts["engine"], embedding["engine"],
            )  # fmt: skip
        distance = 2 - 2 * cosine
        logger.info(
            "threshold of %s at FAR %g: cosine %.4f, squared L2 %.4f",
            self.card.path, self.far, cosine, distance,
        )  # fmt: skip
        return distance


def threshold_source(arguments: argparse.Namespace, published: float) -> ThresholdSource:
    """Return what the flags say; published: the squared L2 distance without any of them.

    Raises ValueError for a number out of range and for flags that contradict each other, and as
    read_card() does.
    """
    threshold, path, far = arguments.threshold, arguments.threshold_card, arguments.far
    if threshold is not None and not 0 <= threshold <= 4:
        raise ValueError(f"--threshold {threshold:g}: a squared L2 distance, between 0 and 4")
    if not path:
        if far is not None:
            raise ValueError(
                f"--far {far:g}: says which threshold of a card is taken; give --threshold-card "
                "FILE with it"
            )
        return ThresholdSource(published if threshold is None else threshold)
    if threshold is not None:
        raise ValueError(f"--threshold {threshold:g} and --threshold-card {path}: give one of them")
    return ThresholdSource(None, read_card(path), FAR if far is None else far)
