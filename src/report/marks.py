"""How a series is told from the others: its colour and dashes, the same all over the page.

The first eight are solid, each in its own colour; every further eight have other dashes, so no
two series of a page look alike, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from .svg import element, name_of_file

COLOURS = 8  # of the style sheet: classes s0 .. s7
TURNS = 8  # of dashes that the style sheet has as well, for legends: classes d0 .. d7
DASHES: tuple[tuple[float, ...], ...] = ((), (7, 3), (2, 2.5), (8, 2.5, 2, 2.5))


def colour_class(number: int) -> str:
    """Return the class that gives series 0, 1 .. its colour."""
    return f"s{number % COLOURS}"


def dashes(turn: int) -> tuple[float, ...]:
    """Return the lengths of dashes and gaps after `turn` times all colours, none for a solid line.

    Each turn has its own: from the fourth on a dash and one more dot each time.
    """
    return DASHES[turn] if turn < len(DASHES) else (9, 2.5) + (2, 2.5) * (turn - 2)


def dash_array(number: int) -> str | None:
    """Return the stroke-dasharray of series 0, 1 .., None for a solid line."""
    return " ".join(f"{length:g}" for length in dashes(number // COLOURS)) or None


def swatch(number: int) -> str:
    """Return a piece of the line of a series, to stand before its name."""
    return element("i", class_=f"swatch {colour_class(number)} d{number // COLOURS % TURNS}")


def named(number: int, name: str) -> str:
    """Return the swatch of a series and its name."""
    return element("span", swatch(number), name_of_file(name), class_="key")


def legend(names: Sequence[str]) -> str:
    """Return the list of all series; nothing where there is only one."""
    if len(names) < 2:
        return ""
    items = [element("li", named(place, name)) for place, name in enumerate(names)]
    return element("ul", *items, class_="legend")
