"""The flags that say which detector finds faces, for every script that detects."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
import logging
import math
from typing import Any

from ..engines.arguments import chosen_gpu
from ..given import refuse_changed
from .detectors import DETECTORS, Detector, open_detector
from .quality import QualityBounds

log = logging.getLogger(__name__)

MOST = {"max_clipped": 1, "min_score": 1, "max_yaw": 180, "max_pitch": 180}  # of bounds


def add_detector_arguments(
    parser: argparse.ArgumentParser, *aliases: str, min_size: int | None = 20
) -> None:
    """Add --detector, aliases meaning the same, and --min-size with its default in pixels.

    min_size None: without that flag, where the script says itself which faces are looked for.
    """
    parser.add_argument(
        "--detector",
        *aliases,
        default="models/mtcnn",
        metavar="DIR",
        help=f"folder of its networks, or {', '.join(DETECTORS)} (default: %(default)s)",
    )
    if min_size is not None:
        parser.add_argument(
            "--min-size",
            type=int,
            default=min_size,
            metavar="PIXELS",
            help="smallest face looked for (%(default)s)",
        )


def chosen_detector(
    arguments: argparse.Namespace, own: Mapping[str, Mapping[str, Any]] | None = None
) -> Detector:
    """Return the detector of these flags and add_engine_arguments's; own as open_detector's."""
    min_size = {"min_size": arguments.min_size} if "min_size" in arguments else {}
    return open_detector(
        arguments.detector, chosen_gpu(arguments), engine=arguments.engine, own=own, **min_size
    )


def refuse_unsought(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    photos: Sequence[Any],
    *names: str,
) -> None:
    """Raise ValueError for options of the search for faces where the list leaves none to seek.

    photos: Photo, or Item.  names: further options of the search.  Where there are some to seek,
    it is told how many are not judged.
    """
    given = sum(bool(photo.is_aligned) or photo.landmarks is not None for photo in photos)
    judging = ("uncertain", *vars(QualityBounds()))
    if given and given == len(photos):
        by = "a list in which every photo is a crop, or has landmarks,"
        refuse_changed(parser, arguments, ("min_size", *names, *judging), by)
    elif given and any(getattr(arguments, one) != parser.get_default(one) for one in judging):
        log.warning(
            "%d of %d photos are listed as crops, or with landmarks: in these no face is sought, "
            "and none is judged", given, len(photos),
        )  # fmt: skip


def add_quality_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each bound of QualityBounds; none is set by default."""
    add = parser.add_argument
    add("--min-eye-distance", type=float, metavar="PIXELS", help="of the photo (default: any)")
    add(
        "--min-sharpness", type=float, metavar="VARIANCE",
        help="variance of the Laplacian of the grey crop, squared grey levels (default: any)",
    )  # fmt: skip
    add(
        "--max-clipped", type=float, metavar="FRACTION",
        help="of the crop's pixels that are all dark or all bright, 0..1 (default: any)",
    )  # fmt: skip
    add("--max-yaw", type=float, metavar="DEGREES", help="to either side (default: any)")
    add("--max-pitch", type=float, metavar="DEGREES", help="up or down (default: any)")
    add("--min-score", type=float, metavar="SCORE", help="of the detector, 0..1 (default: any)")


def chosen_bounds(arguments: argparse.Namespace) -> QualityBounds:
    """Return the bounds of add_quality_arguments's flags.  Raises ValueError out of range."""
    names = [field.name for field in dataclasses.fields(QualityBounds)]
    bounds = {name: getattr(arguments, name) for name in names}
    for name, value in bounds.items():
        most = MOST.get(name, math.inf)
        if value is not None and not (0 <= value <= most and math.isfinite(value)):
            to = f" to {most}" if name in MOST else ""
            raise ValueError(f"--{name.replace('_', '-')} {value}: give a number from 0{to}")
    return QualityBounds(**bounds)
