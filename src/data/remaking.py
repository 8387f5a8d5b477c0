"""What the commands of `arcface-rec` do that make a dataset of others."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
import os
from pathlib import Path
import sys

import numpy as np

from .contradictions import Cures
from .facts import Facts, compared, gather
from .identity_lists import names_of, numbers_of
from .inspecting import decoding_judge
from .labels import MOST, whole_numbers
from .plan import (
    Part,
    Plan,
    at_most,
    drawn_identities,
    grouped,
    merged,
    numbered,
    of_identities,
    part_of,
    renumbered,
    with_images,
)
from .repair import shape_of
from .rewriting import refuse_existing, write_plan


def copy(arguments: argparse.Namespace) -> None:
    """Copy images; identities keep their numbers."""
    out = _out(arguments)
    facts = _facts(arguments.dataset, arguments.skip_bad)
    part, num_bad = part_of(facts, skip_bad=arguments.skip_bad)
    emptied = np.setdiff1d(whole_numbers(facts.labels)[0], np.append(part.identities, -1))
    emptied = emptied[emptied < (facts.num_classes or MOST)]  # others are no identities
    wanted = numbers_of(arguments.identities)
    if wanted:
        part = of_identities(part, sorted(wanted))
    if arguments.images_filter > 0:
        part = with_images(part, arguments.images_filter)
    _write(_kept(facts, part, names_of(facts.folder)), out)
    _say_left_out(facts, num_bad)
    if len(emptied):
        some = ", ".join(map(str, emptied[:20].tolist())) + (", ..." if len(emptied) > 20 else "")
        print(
            f"{len(emptied)} identities have no image any more ({some}); the others keep their "
            f"numbers, and property counts those below the last; {Cures(out).relabel}"
        )


def merge(arguments: argparse.Namespace) -> None:
    """Put datasets one after the other; the identities of each follow those before."""
    out = _out(arguments)
    folders = Counter(os.path.realpath(folder) for folder in arguments.datasets)
    if twice := [folder for folder, count in folders.items() if count > 1]:
        raise ValueError(f"merge: {twice[0]} is given twice; its people would be two each")
    all_facts = [_facts(folder, False) for folder in arguments.datasets]
    shapes = {facts.image_shape for facts in all_facts}
    if len(shapes) > 1:
        raise ValueError(f"merge: the datasets hold images of different height and width {shapes}")
    parts = merged([part_of(facts)[0] for facts in all_facts])
    names: dict[int, str] = {}
    for facts, part in zip(all_facts, parts, strict=True):
        first = int(part.identities[0] - facts.labels[0])
        given = names_of(facts.folder)
        numbers = np.unique(part.identities).tolist()
        names |= {n: given.get(n - first, f"{facts.folder.name}/{n - first}") for n in numbers}
    _write(Plan(tuple(parts), "ranges", all_facts[0].image_shape, names), out)


def split(arguments: argparse.Namespace) -> None:
    """Put some identities into a second dataset, the others into the first; both numbered anew."""
    first, second = Path(arguments.first), Path(arguments.second)
    folders = [folder.resolve() for folder in (Path(arguments.dataset), first, second)]
    for folder in (first, second):
        if folders.count(folder.resolve()) > 1:  # SECOND is read when FIRST is written already
            raise ValueError(f"split: {folder} is given twice")
    for folder in (first, second):
        refuse_existing(folder, arguments.overwrite)
    facts = _facts(arguments.dataset, False)
    part, _ = part_of(facts)
    chosen = sorted(numbers_of(arguments.identities))
    if bool(chosen) == bool(arguments.count):
        raise ValueError("split: give either --identities or --count, what SECOND gets")
    chosen = chosen or drawn_identities(part, arguments.count, arguments.seed).tolist()
    names = names_of(facts.folder)
    rest = of_identities(part, chosen, without=True)
    for some, folder in ((rest, first), (of_identities(part, chosen), second)):
        _write(_anew(facts, some, names), folder)


def relabel(arguments: argparse.Namespace) -> None:
    """Number the identities 0, 1, ... without gaps."""
    out = _out(arguments)
    facts = _facts(arguments.dataset, False)
    if facts.faults:  # labels that property does not allow are what this mends
        facts = compared(facts.folder, facts.scan, facts.index, None, facts.image_shape)
    part, _ = part_of(facts)
    identities = np.unique(part.identities)
    names = names_of(facts.folder)
    if np.array_equal(identities, np.arange(len(identities))):
        _write(_kept(facts, part, names), out)
    else:
        _write(_anew(facts, part, names), out)


def shuffle(arguments: argparse.Namespace) -> None:
    """Write the images in random order; keys and identities stay."""
    out = _out(arguments)
    facts = _facts(arguments.dataset, False)
    part, _ = part_of(facts)
    if not arguments.plain:
        part = part if facts.layout.kind == "plain" else numbered(part)
    part = part.of(np.random.default_rng(arguments.seed).permutation(len(part.rows)))
    if arguments.plain:
        part = replace(part, keys=np.arange(len(part.rows)))
    kind = "plain" if arguments.plain else facts.layout.kind
    _write(Plan((part,), kind, facts.image_shape, names_of(facts.folder), arguments.plain), out)


def sample(arguments: argparse.Namespace) -> None:
    """Draw identities and images; identities are numbered anew."""
    out = _out(arguments)
    facts = _facts(arguments.dataset, False)
    part, _ = part_of(facts)
    if not arguments.count and not arguments.images:
        raise ValueError("sample: give --count, --images or both")
    if arguments.count:
        part = of_identities(part, drawn_identities(part, arguments.count, arguments.seed).tolist())
    if arguments.images:
        part = at_most(part, arguments.images, arguments.seed)
    _write(_anew(facts, part, names_of(facts.folder)), out)


def _out(arguments: argparse.Namespace) -> Path:
    out = Path(arguments.new)
    refuse_existing(out, arguments.overwrite)
    return out


def _facts(folder: str, skip_bad: bool) -> Facts:
    facts = gather(
        folder,
        decoding_judge(folder) if skip_bad else None,
        num_threads=os.cpu_count() or 1,
        progress=sys.stderr.isatty(),
    )
    if facts.image_shape is None and skip_bad:  # repair does not take what this leaves out
        facts = replace(facts, image_shape=shape_of(facts))
    if facts.image_shape is None:
        raise ValueError(str(facts.faults))
    return facts


def _kept(facts: Facts, part: Part, names: dict[int, str]) -> Plan:
    """Return the plan in which the images keep their identities."""
    kind = "ranges" if facts.layout is None else facts.layout.kind
    is_whole = np.array_equal(np.sort(part.keys), np.arange(1, len(part.keys) + 1))
    if kind != "plain" and not is_whole or (part.keys < 0).any():
        part = numbered(part)
    numbers = np.unique(part.identities).tolist()
    return Plan((part,), kind, facts.image_shape, {n: names[n] for n in numbers if n in names})


def _anew(facts: Facts, part: Part, names: dict[int, str]) -> Plan:
    """Return the plan in which identities are numbered anew, and stand together."""
    part, names = renumbered(part, names)
    kind = "count" if facts.layout.kind == "count" else "ranges"
    return Plan((grouped(part),), kind, facts.image_shape, names)


def _write(plan: Plan, out: Path) -> None:
    write_plan(plan, out, progress=sys.stderr.isatty())
    count, people = len(plan.keys), len(np.unique(plan.identities))
    height, width = plan.image_shape
    print(
        f"wrote {out}: {count} images of {people} identities; "
        f"property {plan.num_classes},{height},{width}"
    )


def _say_left_out(facts: Facts, num_bad: int) -> None:
    if num_bad or facts.scan.damage:
        print(f"left out: {num_bad} images, {len(facts.scan.damage)} damaged stretches")
        print("\n".join(facts.faults.texts))
