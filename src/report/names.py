"""Short names of models, for tables and curves: what the user says, or what tells them apart.

A model is "PREFIX,NUMBER" or a path.  Its parts are folders, file and number; of several models
the fewest parts that differ are their names: runs/r50/softmax,3 and runs/r100/softmax,3 are r50
and r100.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ..limits import shown

PARTS = 8  # of a path, counted from its end, that may become a name
NUMBER = -1  # the place of the checkpoint number among the parts


def model_names(models: Sequence[str], aliases: Sequence[str] = ()) -> list[str]:
    """Return one name per model, all different.

    aliases: of --alias, either one NAME per model in their order, or NAME=MODEL for some of them.
    Raises ValueError for two equal names, an alias of no model, or a wrong number of them.
    """
    names = _given(models, aliases) if aliases else shortest_names(models)
    for first, second in combinations(range(len(models)), 2):
        if names[first] == names[second]:
            twice = models[first] == models[second] and not aliases
            raise ValueError(
                f"model {shown(models[first])} is given twice; give each its own name with --alias"
                if twice else
                f"--alias {shown(names[first])}: {shown(models[first])} and "
                f"{shown(models[second])} would both be called so; give each its own name"
            )  # fmt: skip
    return names


def shortest_names(models: Sequence[str]) -> list[str]:
    """Return the shortest parts of each model that tell it from the others.

    Equal models get equal names.
    """
    parts = [_parts(model) for model in models]
    if len(set(parts)) < len(set(models)):
        return list(models)
    if len(set(parts)) < 2:
        return [_joined(some, (-2, NUMBER)) for some in parts]
    # Checkpoints and files lie in folders of their own order: the same place says nothing there.
    are_alike = len({bool(some[NUMBER]) for some in parts}) == 1
    names = (are_alike and _of_places(parts, 1)) or _of_each(parts)
    for count in range(1, max(map(len, parts)) + 1):
        names = names or _of_places(parts, count)
    if names:
        return names
    return list(models)


def _of_places(parts: Sequence[tuple[str, ...]], count: int) -> list[str] | None:
    """Return names of `count` parts at the same places of all models, None if too few."""
    choices = []
    for chosen in combinations(range(-max(map(len, parts)), 0), count):
        # A number alone names nothing: it stands behind the file.
        places = (-2, NUMBER) if chosen == (NUMBER,) else chosen
        names = [_joined(some, places) for some in parts]
        if all(names) and len(set(names)) == len(set(parts)):
            # Best without a number, then near the file, then short.
            nearness = -max(place for place in places if place != NUMBER)
            choices.append((NUMBER in places, nearness, max(map(len, names)), names))
    return min(choices)[-1] if choices else None


def _of_each(parts: Sequence[tuple[str, ...]]) -> list[str] | None:
    """Return for each model the last of its folders or its file that no other model has."""
    names = []
    for some in parts:
        others = {part for other in parts if other != some for part in other}
        own = [part for part in some[:NUMBER] if part not in others]
        if not own:
            return None
        names.append(own[-1])
    return names


def _given(models: Sequence[str], aliases: Sequence[str]) -> list[str]:
    by_model = [alias for alias in aliases if "=" in alias]
    if not by_model:
        if len(aliases) != len(models):
            raise ValueError(
                f"--alias: {len(aliases)} names for {len(models)} models; give one per model, "
                "or NAME=MODEL for some of them"
            )
        return [_checked(alias, alias) for alias in aliases]
    if len(by_model) < len(aliases):
        plain = next(alias for alias in aliases if "=" not in alias)
        raise ValueError(
            f"--alias {shown(plain)}: give all as NAME, in the order of the models, or all as "
            "NAME=MODEL"
        )
    names = shortest_names(models)
    for alias in by_model:
        name, _, model = alias.partition("=")
        if model not in models:
            raise ValueError(
                f"--alias {shown(alias)}: no model {shown(model)} is evaluated; there are "
                + ", ".join(shown(one) for one in models[:10])
                + (", .." if len(models) > 10 else "")
            )
        names[models.index(model)] = _checked(name, alias)
    return names


def _checked(name: str, alias: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError(f"--alias {shown(alias)}: a name has printable characters")
    return name.strip()


def _parts(model: str) -> tuple[str, ...]:
    """Return (folder .., file, number) of a model; the number of a file is empty."""
    prefix, comma, number = model.rpartition(",")
    if not comma or "/" in number:
        prefix, number = model, ""
    folders = [part for part in prefix.replace("\\", "/").split("/") if part not in ("", ".")]
    return (*folders[1 - PARTS :], number)


def _joined(parts: tuple[str, ...], places: Sequence[int]) -> str:
    """Return the parts at these places as a text, "" if there is none."""
    there = [place for place in places if -place <= len(parts)]
    name = "/".join(parts[place] for place in there if place != NUMBER)
    number = parts[NUMBER] if NUMBER in there else ""
    return f"{name},{number}" if number else name
