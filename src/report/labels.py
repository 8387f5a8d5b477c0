"""Where labels stand that want to be beside their curves: as near as they can, none on another."""

from __future__ import annotations

from collections.abc import Sequence

NARROW, WIDE = frozenset("iljItfr.,:;|'!()[]- "), frozenset("mwMW@%…")
FULL_WIDTH = 0x1100  # from here on letters of East Asia, and emoji


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return a place for each wanted one, at least gap apart, between low and high.

    Their order is kept and the sum of squared moves is least, as far as the ends allow: labels
    that collide form a block around the mean of what they want.  Labels that do not fit between
    the ends are spread evenly over them.
    """
    if len(wanted) > 1 and gap * (len(wanted) - 1) > high - low:
        gap = (high - low) / (len(wanted) - 1)
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    blocks: list[tuple[float, int]] = []  # (place of the first, number of labels)
    for place in order:
        first, count = wanted[place], 1
        while blocks and blocks[-1][0] + gap * blocks[-1][1] > first:
            before, more = blocks.pop()
            # Both blocks want their firsts; the later one's counts from the joint first.
            first = (more * before + count * (first - gap * more)) / (more + count)
            count += more
        blocks.append((first, count))
    places = [first + gap * step for first, count in blocks for step in range(count)]
    for step in range(len(places)):  # from the low end upwards, then back from the high one
        places[step] = max(places[step], low + gap * step)
    for step in range(len(places)):
        places[-1 - step] = min(places[-1 - step], high - gap * step)
    result = [0.0] * len(wanted)
    for place, at in zip(order, places, strict=True):
        result[place] = at
    return result


def shortened(name: str, most: float) -> str:
    """Return a name at most `most` ems wide, its middle left out where it is wider."""
    if width_of(name) <= most:
        return name
    head, tail = len(name) // 2, (len(name) + 1) // 2
    while head > 1 and width_of(name[:head] + "…" + name[-tail:]) > most:
        head, tail = (head, tail - 1) if tail >= head and tail > 1 else (head - 1, tail)
    return name[:head] + "…" + name[-tail:]


def width_of(name: str) -> float:
    """Return about how wide a name is, in ems of a wide sans serif (DejaVu Sans)."""
    return sum(_width(letter) for letter in name)


def _width(letter: str) -> float:
    if letter in NARROW:
        return 0.4
    if letter in WIDE or ord(letter) >= FULL_WIDTH:
        return 1.0
    return 0.78 if letter.isupper() else 0.64
