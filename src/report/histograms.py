"""Figures of scores: how genuine and impostor pairs spread, and where the threshold lies."""

from __future__ import annotations

import numpy as np

from .curves import RIGHT, TOP, WIDTH, Frame, captioned
from .marks import colour_class
from .scales import Axis
from .steps import corners, outline
from .svg import element, figure_svg, text

HEIGHT = 170
BINS = 64


def histogram_figure(
    name: str, number: int, scores: np.ndarray, is_genuine: np.ndarray, threshold: float, x: Axis
) -> str:
    """Return a <figure> of one model's scores as densities on the axis x.

    number: of its colour, which the genuine pairs get.
    """
    edges = np.linspace(x.low, x.high, BINS + 1)
    densities = [
        np.histogram(scores[flags], edges, density=True)[0] for flags in (~is_genuine, is_genuine)
    ]
    highest = max(float(density.max()) for density in densities)
    frame = Frame(x, Axis("", 0.0, 1.12 * highest), height=HEIGHT)
    parts = [
        _area(frame, edges, densities[0], "impostor"),
        _area(frame, edges, densities[1], colour_class(number)),
        _axis(frame),
        _threshold(frame, threshold),
        _names(frame, number),
    ]
    title = f"Scores of {name}"
    told = (
        f"{x.label} of {int(is_genuine.sum()):,} genuine pairs, median "
        f"{np.median(scores[is_genuine]):.3f}, and {int((~is_genuine).sum()):,} impostor pairs, "
        f"median {np.median(scores[~is_genuine]):.3f}; threshold {threshold:.3f}"
    )
    return captioned(name, "", figure_svg(WIDTH, HEIGHT, title, told, *parts))


def _area(frame: Frame, edges: np.ndarray, density: np.ndarray, colour: str) -> str:
    end = float(frame.across(edges[-1]))
    top = corners(frame.across(edges[:-1]), frame.down(density), end)
    floor = corners(frame.across(edges[:1]), frame.down(np.zeros(1)), end)
    return element("path", d=outline(top, floor), class_=f"area {colour}")


def _axis(frame: Frame) -> str:
    parts = [element("path", d=f"M{frame.left} {frame.bottom}H{WIDTH - RIGHT}", class_="base")]
    for value, words in frame.x.ticks(6):
        parts.append(element("text", text(words), x=float(frame.across(value)),
                             y=frame.bottom + 16, text_anchor="middle"))  # fmt: skip
    parts.append(element("text", text(frame.x.label), x=float(WIDTH - RIGHT), y=HEIGHT - 6.0,
                         text_anchor="end", class_="name"))  # fmt: skip
    return "".join(parts)


def _threshold(frame: Frame, threshold: float) -> str:
    across = float(frame.across(threshold))
    near_end = across > WIDTH - RIGHT - 50
    line = element("path", d=f"M{across:.1f} {TOP - 6}V{frame.bottom}", class_="threshold")
    words = text(f"{threshold:.3f}".replace("-", "−"))
    return line + element("text", words, x=across + (-5 if near_end else 5), y=TOP + 4.0,
                          text_anchor="end" if near_end else "start", class_="name")  # fmt: skip


def _names(frame: Frame, number: int) -> str:
    """Return both words, each on its side of the figure."""
    sides = ((frame.left, "start", "impostor", "impostor"),
             (float(WIDTH - RIGHT), "end", "genuine", colour_class(number)))  # fmt: skip
    return "".join(
        element("text", text(words), x=x, y=12.0, text_anchor=anchor, class_=f"label {colour}")
        for x, anchor, words, colour in sides
    )
