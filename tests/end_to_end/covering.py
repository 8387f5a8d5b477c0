"""Settings in which every two values of different options meet at least once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
import random
from typing import Any


def pairwise(choices: Mapping[str, Sequence[Any]], seed: int = 0) -> list[dict[str, Any]]:
    """Return settings, one value of each option, that hold all pairs of values; greedily few."""
    rng = random.Random(seed)
    names = list(choices)
    left = {
        ((one, a), (other, b)): None  # a set that keeps its order
        for one, other in combinations(names, 2)
        for a in choices[one]
        for b in choices[other]
    }

    def met(setting: Mapping[str, Any]) -> list[tuple]:
        chosen = [(name, setting[name]) for name in names if name in setting]
        return [pair for pair in combinations(chosen, 2) if pair in left]

    settings = []
    while left:
        setting = dict(next(iter(left)))
        for name in rng.sample(names, len(names)):
            if name not in setting:
                values = rng.sample(list(choices[name]), len(choices[name]))
                setting[name] = max(values, key=lambda v: len(met({**setting, name: v})))  # noqa: B023
        for pair in met(setting):
            del left[pair]
        settings.append({name: setting[name] for name in names})
    return settings
