"""The sentence that stands first: which model is best, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from .svg import element, text
from .tables import span

Rated = tuple[str, float, tuple[float, float]]  # name, rate, its 95 % interval


def best_sentence(where: str, measure: str, rated: Sequence[Rated]) -> str:
    """Return markup that names the best of some models, its rate and interval.

    where: markup that begins the sentence, such as "On lfw".  measure: such as "accuracy", of
    a single model "an accuracy of".
    Overlapping intervals are told: then which is better may be chance.
    """
    highest = max(rate for _, rate, _ in rated)
    best = [one for one in rated if one[1] == highest]
    low, high = best[0][2]
    interval = element("span", text(span((low, high))), class_="whole")
    figures = f"{text(measure)} {100 * highest:.2f} %, 95 % interval {interval}"
    names = " and ".join(element("b", element("bdi", text(name))) for name, _, _ in best[:3])
    if len(best) > 3:
        names += f" and {len(best) - 3} others"
    if len(rated) == 1:
        return f"{where}, {names} has {figures}."
    verb = f"{'is' if len(best) == 1 else 'are equally good, and'} the best of {len(rated)}"
    near = sum(one[2][0] <= high and low <= one[2][1] for one in rated if one not in best)
    overlap = {0: "", 1: " The interval of 1 other overlaps with it."}.get(
        near, f" The intervals of {near} others overlap with it."
    )
    return f"{where}, {names} {verb}: {figures}.{overlap}"
