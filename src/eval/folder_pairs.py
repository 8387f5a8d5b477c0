"""Genuine and impostor pairs drawn from a folder with one subfolder per identity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import os
from pathlib import Path

import numpy as np

from ..data.folders import folder_images


@dataclass(frozen=True)
class ListedPair:
    """Two image files and whether they show one identity.  Identities are "" where unknown.

    columns: what else a list says of the pair, (name, value) each; alike for all of its pairs.
    """

    left: Path
    right: Path
    is_genuine: bool
    left_identity: str = ""
    right_identity: str = ""
    columns: tuple[tuple[str, str], ...] = ()


def folder_pairs(
    folder: str | os.PathLike,
    rng: np.random.Generator,
    *,
    identities: Iterable[str] | None = None,
    num_genuine: int | None = None,
    num_impostor: int | None = None,
    disjoint_folds: int = 0,
    strict: bool = False,
) -> list[ListedPair]:
    """Return pairs of a folder of identities, genuine and impostor ones alternating.

    By default all genuine pairs and as many impostor pairs, drawn without repetition; the order
    mixes people, so that contiguous folds are alike.  disjoint_folds=K instead gives K
    contiguous folds of equal size that share no identity; genuine pairs beyond the smallest
    fold's are left out.
    Raises ValueError if there are too few images or identities for what is asked, or for strict
    anything in the folder but images of identities.
    """
    images = folder_images(folder, identities, strict=strict)
    if not disjoint_folds:
        return _mixed(*_drawn(images, rng, num_genuine, num_impostor), rng)
    groups = _balanced_groups(images, disjoint_folds, rng)
    genuine = min(_count_genuine(group) for group in groups)
    impostor = min(_count_impostors(group) for group in groups)
    if num_genuine is not None:
        genuine = num_genuine // disjoint_folds
    if num_impostor is not None:
        impostor = num_impostor // disjoint_folds
    elif num_genuine is None:
        genuine = impostor = min(genuine, impostor)
    else:
        impostor = genuine
    if min(genuine, impostor) < 1:
        raise ValueError(
            f"{folder}: {disjoint_folds} identity-disjoint folds leave a fold without pairs; "
            "ask for fewer folds or more pairs"
        )
    folds = [_mixed(*_drawn(group, rng, genuine, impostor), rng) for group in groups]
    return [pair for fold in folds for pair in fold]


Images = Sequence[tuple[str, Path]]


def _drawn(
    images: Images,
    rng: np.random.Generator,
    num_genuine: int | None,
    num_impostor: int | None,
) -> tuple[list[ListedPair], list[ListedPair]]:
    genuine = _draw_genuine(images, rng, num_genuine)
    wanted = len(genuine) if num_impostor is None else num_impostor
    return genuine, _draw_impostors(images, rng, wanted)


def _count_genuine(images: Images) -> int:
    _, sizes = np.unique([name for name, _ in images], return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())


def _count_impostors(images: Images) -> int:
    return len(images) * (len(images) - 1) // 2 - _count_genuine(images)


def _draw_genuine(images: Images, rng: np.random.Generator, wanted: int | None) -> list[ListedPair]:
    """Return `wanted` (None: all) different genuine pairs."""
    names = np.array([name for name, _ in images])
    _, starts, sizes = np.unique(names, return_index=True, return_counts=True)
    ends = np.cumsum(sizes * (sizes - 1) // 2)  # of the pairs of each identity
    available = int(ends[-1])
    wanted = available if wanted is None else wanted
    if not 0 < wanted <= available:
        raise ValueError(f"{wanted} genuine pairs asked for; {available} exist in these images")
    chosen = np.sort(rng.choice(available, wanted, replace=False))
    identity = np.searchsorted(ends, chosen, side="right")
    within = chosen - (ends - sizes * (sizes - 1) // 2)[identity]
    # Pair number `within` of an identity is (low, high) with high * (high - 1) / 2 + low.
    high = ((1 + np.sqrt(8.0 * within + 1)) // 2).astype(np.int64)
    low = within - high * (high - 1) // 2
    return [
        _pair(images, int(start + a), int(start + b))
        for start, a, b in zip(starts[identity], low, high, strict=True)
    ]


def _draw_impostors(images: Images, rng: np.random.Generator, wanted: int) -> list[ListedPair]:
    """Return `wanted` different impostor pairs."""
    _, codes = np.unique([name for name, _ in images], return_inverse=True)
    available = _count_impostors(images)
    if not 0 < wanted <= available:
        raise ValueError(f"{wanted} impostor pairs asked for; {available} exist in these images")
    chosen: dict[tuple[int, int], None] = {}
    while len(chosen) < wanted:
        drawn = np.sort(rng.integers(len(images), size=(2 * wanted, 2)), axis=1)
        drawn = drawn[codes[drawn[:, 0]] != codes[drawn[:, 1]]]
        chosen.update(dict.fromkeys(map(tuple, drawn.tolist())))
    return [_pair(images, a, b) for a, b in list(chosen)[:wanted]]


def _pair(images: Images, left: int, right: int) -> ListedPair:
    (name_a, path_a), (name_b, path_b) = images[left], images[right]
    return ListedPair(path_a, path_b, name_a == name_b, name_a, name_b)


def _mixed(
    genuine: list[ListedPair], impostor: list[ListedPair], rng: np.random.Generator
) -> list[ListedPair]:
    """Return both in random order, spread evenly through one another."""
    return spread(
        [genuine[row] for row in rng.permutation(len(genuine))]
        + [impostor[row] for row in rng.permutation(len(impostor))]
    )


def spread(pairs: Sequence[ListedPair]) -> list[ListedPair]:
    """Return the pairs with genuine and impostor ones spread evenly, each in their order."""
    places = []
    for kind in (True, False):
        of_kind = [pair for pair in pairs if pair.is_genuine == kind]
        places += [((row + 0.5) / len(of_kind), not kind, p) for row, p in enumerate(of_kind)]
    return [pair for _, _, pair in sorted(places, key=lambda place: place[:2])]


def _balanced_groups(images: Images, num_groups: int, rng: np.random.Generator) -> list[Images]:
    """Cut the identities into groups with about equally many genuine pairs."""
    by_name: dict[str, list[tuple[str, Path]]] = {}
    for name, path in images:
        by_name.setdefault(name, []).append((name, path))
    names = [list(by_name)[row] for row in rng.permutation(len(by_name))]
    names.sort(key=lambda name: -len(by_name[name]))
    if len(names) < 2 * num_groups:
        raise ValueError(
            f"{len(names)} identities cannot form {num_groups} identity-disjoint folds: each "
            "needs two for its impostor pairs"
        )
    groups: list[list[tuple[str, Path]]] = [[] for _ in range(num_groups)]
    sizes = [0] * num_groups
    # Two for every group first, large with small; then always to the group with fewest pairs.
    dealt = [*range(num_groups), *reversed(range(num_groups))]
    for number, name in enumerate(names):
        fewest = min(range(num_groups), key=sizes.__getitem__)
        group = dealt[number] if number < len(dealt) else fewest
        groups[group] += by_name[name]
        sizes[group] += len(by_name[name]) * (len(by_name[name]) - 1) // 2
    return groups
