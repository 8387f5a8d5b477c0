"""Tables of figures: names stay in sight while the rest is scrolled, digits under digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .svg import element, text


@dataclass(frozen=True)
class Cell:
    """One figure.  below: what stands under it, small.  value: what is compared; the best is bold.

    title: what is said about it on demand.
    """

    words: str
    below: Sequence[str] = ()
    value: float | None = None
    title: str | None = None


def percent(rate: float, interval: Sequence[float] | None = None, *, compared: int = 1) -> Cell:
    """Return a rate in percent, its interval below.

    compared: 1 if more is better, -1 if less is, 0 not at all.
    """
    below = () if interval is None else (span(interval),)
    return Cell(f"{100 * rate:.2f}", below, compared * rate if compared else None)


def span(interval: Sequence[float]) -> str:
    """Return an interval of rates in percent."""
    low, high = interval
    return f"{100 * low:.2f} – {100 * high:.2f}"


def table(
    label: str,
    head: Sequence[str],
    rows: Iterable[tuple[str, Sequence[Cell | None]]],
    *,
    is_compared: bool = True,
) -> str:
    """Return a table that scrolls in a box of its own.

    label: what it is, for readers who do not see it.  head: the words of each column.
    rows: (markup of the name, cells); None is a cell without a figure.
    is_compared: mark the best of each column, if it is better than another.
    """
    rows = list(rows)
    best = [_best([cells[column] for _, cells in rows]) for column in range(len(head) - 1)]
    lines = [element("tr", *(element("th", text(words), scope="col") for words in head))]
    for name, cells in rows:
        lines.append(element(
            "tr", element("th", name, scope="row"),
            *(_cell(cell, is_compared and cell is not None and cell.value is not None
                    and cell.value == top) for cell, top in zip(cells, best, strict=True)),
        ))  # fmt: skip
    body = element("thead", lines[0]) + element("tbody", *lines[1:])
    return scrolling(label, element("table", body))


def scrolling(label: str, content: str) -> str:
    """Return content in a box that scrolls by itself, by keyboard too."""
    return element("div", content, class_="scroll", role="region", tabindex="0", aria_label=label)


def _best(cells: Sequence[Cell | None]) -> float | None:
    values = [cell.value for cell in cells if cell is not None and cell.value is not None]
    return max(values) if len(set(values)) > 1 else None


def _cell(cell: Cell | None, is_best: bool) -> str:
    if cell is None:
        return element("td", "–")
    below = "".join(" " + element("small", text(words)) for words in cell.below)
    return element(
        "td", text(cell.words) + below, class_="best" if is_best else None, title=cell.title
    )
