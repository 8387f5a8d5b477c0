"""The worst errors of identification: a probe, the mate that should have won, and what beat it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2

from ..data.images import read_image
from ..report.pictures import jpeg, picture
from ..report.svg import element

MOST, LEAST = 18, 3  # errors of an algorithm
ALL = 54  # errors of a page, about
SIDE = 112  # pixels of a face


@dataclass(frozen=True)
class Roots:
    """Where images lie by the names of the lists; None where they are not to be had."""

    probes: Path | None
    distractors: Path | None


def number_of_each(num_runs: int) -> int:
    """Return how many errors of each algorithm a page shows."""
    return max(LEAST, min(MOST, ALL // num_runs))


def errors(summary: dict, roots: Roots, most: int, name: str) -> str:
    """Return the worst errors of one algorithm.  name: its markup, "" if it is the only one."""
    # A mate that was not beaten is no error, whatever an older file says.
    beaten = [one for one in summary["worst_probes"]
              if one["distractor_similarity"] > one["mate_similarity"]]  # fmt: skip
    if not beaten:
        shown = element("p", "No probe is beaten by a distractor.", class_="note")
    else:
        shown = element("div", *(_error(one, roots) for one in beaten[:most]), class_="errors")
    if not name:
        return shown
    return element("details", element("summary", "Errors of ", name), shown, open="open")


def _error(one: dict, roots: Roots) -> str:
    rank = f", rank {one['mate_rank']:,}" if "mate_rank" in one else ""
    mate = [f"{one['mate_similarity']:.3f}{rank}", "should have won", one["mate"]]
    rival = [f"{one['distractor_similarity']:.3f}", "beat it", one["distractor"]]
    told = (
        f"{100 * one['beaten']:.0f} % of the probe’s mates are beaten, median rank "
        f"{one['median_rank']:,.0f}"
    )
    return element(
        "div",
        element("p", told),
        element(
            "div",
            picture(_face(one["probe"], roots.probes), ["probe", one["probe"]]),
            picture(_face(one["mate"], roots.probes), _minus(mate)),
            picture(_face(one["distractor"], roots.distractors), _minus(rival)),
            class_="faces",
        ),
        class_="error",
    )


def _minus(lines: list[str]) -> list[str]:
    return [lines[0].replace("-", "−"), *lines[1:]]


def _face(name: str, root: Path | None) -> str:
    """Return the image, "" if its root is unknown or it cannot be read."""
    if root is not None:
        with suppress(ValueError, OSError):  # the page is worth reading without
            small = cv2.resize(read_image(root / name), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            return jpeg(small, name)
    return ""
