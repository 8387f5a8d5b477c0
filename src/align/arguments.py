"""The flags that say which detector finds faces, for every script that detects."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ..engines.arguments import chosen_gpu
from .detectors import DETECTORS, Detector, open_detector


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
        help=f"folder of its networks, or {', '.join(DETECTORS)} (%(default)s)",
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
