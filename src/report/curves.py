"""Figures of curves: a line per series, drawn as the step function that it is.

Few curves have their names at their beginnings, where they lie apart: at the smallest rate of
errors, which is what they are compared by.  Many are told by the legend of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .labels import shortened, spread
from .marks import colour_class, dash_array
from .scales import Axis
from .steps import corners, outline, path
from .svg import element, figure_svg, text

# In units of the drawing: about pixels of a phone, and of three figures beside each other.
WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 24, 42
GUTTER = 92  # where names stand
LINE = 14  # from one name to the next
MOST_LABELS = 5
WIDEST = 7.0  # ems of a name in the gutter
MOST_BANDS = 3  # more cover each other


@dataclass(frozen=True)
class Series:
    """One curve: y[i] from x[i] on, x ascending, float (K,) each.

    number: of its colour and dashes.  low, high: its interval at each x, where known.
    mark: (x, y) of a dot on it.  end: where it ends, None for the end of the axis.
    meaning: what a reader who cannot see it should know.
    """

    name: str
    number: int
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    mark: tuple[float, float] | None = None
    end: float | None = None
    meaning: str = ""


def curve_figure(
    title: str,
    note: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    diagonal: str = "",
    is_labelled: bool = True,
) -> str:
    """Return a <figure> with its caption.

    note: what is drawn, in a few words.  diagonal: the name of the line x = y, where it is drawn.
    is_labelled: names at the curves, if they are few.
    """
    is_labelled = is_labelled and 1 < len(series) <= MOST_LABELS
    frame = Frame(x, y, gutter=GUTTER if is_labelled else 0)
    shown = [one for one in series if len(one.x)]
    parts = [frame.grid()]
    if diagonal:
        parts.append(frame.diagonal(diagonal))
    if len(shown) <= MOST_BANDS:
        parts += [frame.band(one) for one in shown if one.low is not None]
    parts += [frame.curve(one) for one in shown]
    parts += [frame.dot(one) for one in shown if one.mark is not None]
    if is_labelled:
        parts += frame.names(shown)
    told = "; ".join(f"{one.name}: {one.meaning}" for one in shown if one.meaning)
    return captioned(title, note, figure_svg(WIDTH, HEIGHT, title, told or note, *parts))


def captioned(title: str, note: str, drawing: str) -> str:
    """Return a drawing with its title above."""
    words = element("b", text(title)) + (" " + element("span", text(note)) if note else "")
    return element("figure", element("figcaption", words), drawing, class_="chart")


@dataclass(frozen=True)
class Frame:
    """The axes of one figure, and what is drawn between them."""

    x: Axis
    y: Axis
    gutter: float = 0
    height: float = HEIGHT

    @property
    def left(self) -> float:
        return LEFT + self.gutter

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM

    def across(self, values: np.ndarray | float) -> np.ndarray:
        """Return the horizontal places of values."""
        return self.left + (WIDTH - RIGHT - self.left) * self.x.place(values)

    def down(self, values: np.ndarray | float) -> np.ndarray:
        """Return the vertical places of values."""
        return self.bottom - (self.bottom - TOP) * self.y.place(values)

    def grid(self) -> str:
        """Return lines, values and labels of both axes."""
        parts = []
        for value, words in self.y.ticks(5):
            at = float(self.down(value))
            parts.append(element("path", d=f"M{LEFT} {at:.1f}H{WIDTH - RIGHT}", class_="grid"))
            parts.append(_words(words, LEFT - 6, at + 4, "end"))
        for value, words in self.x.ticks(6 if not self.gutter else 5):
            at = float(self.across(value))
            parts.append(element("path", d=f"M{at:.1f} {TOP}V{self.bottom:.1f}", class_="grid"))
            anchor = "end" if at > WIDTH - RIGHT - 8 and len(words) > 4 else "middle"
            parts.append(_words(words, at, self.bottom + 16, anchor))
        base = f"M{self.left:.1f} {self.bottom:.1f}H{WIDTH - RIGHT}"
        parts.append(element("path", d=base, class_="base"))
        parts.append(_words(self.y.label, LEFT, 12, "start", "name"))
        parts.append(_words(self.x.label, WIDTH - RIGHT, self.height - 6, "end", "name"))
        return "".join(parts)

    def diagonal(self, name: str) -> str:
        """Return the line where both axes have the same value."""
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        ends = [(float(self.across(at)), float(self.down(at))) for at in (low, high)]
        drawn = "L".join(f"{across:.1f} {down:.1f}" for across, down in ends)
        (across, down), _ = ends
        return element("path", d=f"M{drawn}", class_="diagonal") + _words(
            name, across + 6, down - 4 if down < self.bottom - 20 else down - 18, "start"
        )

    def curve(self, one: Series) -> str:
        """Return the line of a series."""
        points = corners(self.across(one.x), self.down(one.y), self._end(one))
        name = element("title", text(one.name))
        return element(
            "path", name, d=path(points), class_=f"curve {colour_class(one.number)}",
            stroke_dasharray=dash_array(one.number),
        )  # fmt: skip

    def band(self, one: Series) -> str:
        """Return the area of a series' interval."""
        across, end = self.across(one.x), self._end(one)
        high, low = (corners(across, self.down(edge), end) for edge in (one.high, one.low))
        return element("path", d=outline(high, low), class_=f"band {colour_class(one.number)}")

    def dot(self, one: Series) -> str:
        """Return the marked point of a series."""
        return element(
            "circle", cx=float(self.across(one.mark[0])), cy=float(self.down(one.mark[1])), r=4.0,
            class_=f"dot {colour_class(one.number)}",
        )  # fmt: skip

    def names(self, series: Sequence[Series]) -> list[str]:
        """Return the name of each series beside the beginning of its curve."""
        starts = [(float(self.across(one.x[0])), float(self.down(one.y[0]))) for one in series]
        places = spread([down for _, down in starts], LINE, TOP + 2, self.bottom - 6)
        edge = self.left - 10
        parts = []
        for one, (across, down), place in zip(series, starts, places, strict=True):
            colour = colour_class(one.number)
            lead = f"M{edge + 2:.1f} {place:.1f}L{self.left:.1f} {down:.1f}H{across:.1f}"
            parts.append(element("path", d=lead, class_=f"lead {colour}"))
            parts.append(element(
                "text", element("title", text(one.name)), text(shortened(one.name, WIDEST)),
                x=edge, y=place + 4, text_anchor="end", class_=f"label {colour}",
            ))  # fmt: skip
        return parts

    def _end(self, one: Series) -> float:
        return float(self.across(self.x.high if one.end is None else one.end))


def _words(words: str, x: float, y: float, anchor: str, kind: str | None = None) -> str:
    return element("text", text(words), x=x, y=y, text_anchor=anchor, class_=kind)
