"""A plan applied to a dataset, into a new one, and undone: nothing is lost.

NEW/train.rec, train.idx, property, train.names    what stays; identities are numbered anew, and
                      train.names says what each was called
NEW/removed.tsv       what went and where to, with the names of the identities
NEW/removed/          a dataset of the images that went, with the numbers they had
NEW/restore.npz       old key and identity of each image, and its key here or there
NEW/restore.json      layout and property of the old dataset, and what the new one is
"""

from __future__ import annotations

from dataclasses import dataclass, replace
import json
from pathlib import Path
import shutil

import numpy as np

from ..data.dataset import FaceDataset, is_same_data
from ..data.facts import Facts, gather
from ..data.identity_lists import names_of, read_names
from ..data.plan import Part, Plan, grouped, numbered, part_of, renumbered
from ..data.rewriting import refuse_existing, write_plan
from ..embedding.npz import read_npz
from ..files import replace_file
from ..text import read_json
from .decisions import ACTIONS, DROP, MOVE
from .plan_file import read_plan, write_rows
from .stages import ABOUT as PLANNED
from .stages import LARGEST_ABOUT as LARGEST_NOTE

REMOVED, TABLE, RESTORE, ABOUT = "removed", "removed.tsv", "restore.npz", "restore.json"
OLD_NAMES = "restore.names"
LARGEST_ABOUT = 1 << 16  # bytes
KINDS = ("ranges", "count", "plain")  # of data/ranges.py's Layout
COLUMNS = ("key", "identity", "name", "action", "target")


@dataclass(frozen=True)
class Applied:
    """Numbers of images and identities."""

    kept: int
    moved: int
    removed: int
    identities: int


def apply_plan(
    folder: Path, plan_path: Path, new: Path, *, overwrite: bool = False, progress: bool = False
) -> Applied:  # fmt: skip
    """Write the dataset that a plan makes of another.

    Raises ValueError for a plan of another dataset, for one that leaves nothing, and where a
    dataset stands already.
    """
    if new.resolve() == folder.resolve():
        raise ValueError(f"{new}: is the dataset itself; name a new folder")
    refuse_existing(new, overwrite)
    facts = _facts(folder, progress)
    _refuse_another(folder, plan_path)
    part, _ = part_of(facts)
    names = names_of(folder)
    action, target = _actions(part, plan_path)
    gone = action == DROP
    if gone.all():
        raise ValueError(f"{plan_path}: drops every image of {folder}")
    identities = np.where(action == MOVE, target, part.identities)
    all_names = _names(names, part.identities, identities, action)
    kept, new_names = renumbered(replace(part, identities=identities).of(~gone), all_names)
    kept = grouped(kept)
    kind = "count" if facts.layout.kind == "count" else "ranges"
    if (new / ABOUT).is_file():
        (new / ABOUT).unlink()  # until all is there
    if (new / REMOVED).is_dir():
        shutil.rmtree(new / REMOVED)
    write_plan(Plan((kept,), kind, facts.image_shape, new_names), new, progress=progress)
    removed = numbered(part.of(gone)) if gone.any() else None
    if removed is not None:
        write_plan(Plan((removed,), kind, facts.image_shape, names), new / REMOVED)
    _write_restore(new, facts, part, gone, kept, removed)
    changed = np.flatnonzero(action != 0)
    write_rows(new / TABLE, COLUMNS, (
        (part.keys[i], part.identities[i],
         all_names.get(int(part.identities[i]), part.identities[i]), ACTIONS[action[i]],
         "-" if gone[i] else all_names.get(int(target[i]), target[i]))
        for i in changed.tolist()
    ))  # fmt: skip
    return Applied(len(kept.rows), int((action == MOVE).sum()), int(gone.sum()), len(new_names))


def undo(new: Path, old: Path, *, overwrite: bool = False, progress: bool = False) -> int:
    """Write the dataset from which `new` was made, and return the number of its images.

    Keys, identities, property, names and the order of the file are those of the old one.
    Raises FileNotFoundError or ValueError where `new` was not made by a plan, or was changed since.
    """
    if not (new / ABOUT).is_file():
        raise FileNotFoundError(
            f"no file {(new / ABOUT).absolute()}: only what `arcface-clean apply` wrote is undone"
        )
    refuse_existing(old, overwrite)
    about = read_json(new / ABOUT, "note of an applied plan", limit=LARGEST_ABOUT)
    is_sound = (
        isinstance(about, dict)
        and about.get("kind") in KINDS
        and all(type(about.get(side)) is int for side in ("height", "width"))
    )
    if not is_sound:
        raise ValueError(f"{new / ABOUT}: not a note of an applied plan: wanted are kind, height, "
                         "width and new")  # fmt: skip
    arrays = _restore_arrays(new / RESTORE)
    facts = [_facts(new, progress)]
    if (arrays["removed_keys"] >= 0).any():
        facts.append(_facts(new / REMOVED, progress))
    if not is_same_data(about.get("new"), _print_of(new)):
        raise ValueError(
            f"{new / ABOUT}: is of other files than these: the dataset was changed since the plan "
            "was applied, so that it cannot be undone"
        )
    source = (arrays["removed_keys"] >= 0).astype(np.int64)
    keys_there = np.where(source == 1, arrays["removed_keys"], arrays["new_keys"])
    rows = np.empty(len(source), np.int64)
    for number, one in enumerate(facts):
        rows[source == number] = _rows_of(one, keys_there[source == number])
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(source)) + 1, [len(source)]])
    parts = tuple(
        Part(facts[source[begin]], rows[begin:end], arrays["old_keys"][begin:end],
             arrays["old_identities"][begin:end])
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True)
    )  # fmt: skip
    names = read_names(new / OLD_NAMES)
    restored = Plan(parts, about["kind"], (about["height"], about["width"]), names)
    write_plan(restored, old, progress=progress)
    return len(rows)


def _facts(folder: Path, progress: bool) -> Facts:
    facts = gather(folder, progress=progress)
    if facts.faults or facts.layout is None or facts.image_shape is None:
        raise ValueError(f"{folder}: {facts.faults.count} faults\n{facts.faults}")
    return facts


def _refuse_another(folder: Path, plan_path: Path) -> None:
    """Raise ValueError if what lies beside a plan says that it was made for other images.

    Keys and identities alone do not tell: those of two datasets, or of two writings of one, may be
    the same.
    """
    about = plan_path.parent / PLANNED
    if not about.is_file():
        return
    known = read_json(about, "note of a plan", limit=LARGEST_NOTE)
    was = known.get("dataset") if isinstance(known, dict) else None
    if isinstance(was, str) and not is_same_data(was, _print_of(folder)):
        raise ValueError(
            f"{plan_path}: {PLANNED} beside it says that it was made for other images than "
            f"{folder} has, or for those before they were written anew; plan again"
        )


def _actions(part: Part, plan_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return action and target of each image of the part."""
    keys, identities, actions, targets = read_plan(plan_path)
    order = np.argsort(part.keys, kind="stable")
    place = np.minimum(np.searchsorted(part.keys[order], keys), len(order) - 1)
    rows = order[place]
    wrong = np.flatnonzero((part.keys[rows] != keys) | (part.identities[rows] != identities))
    if len(wrong):
        key, identity = keys[wrong[0]], identities[wrong[0]]
        raise ValueError(
            f"{plan_path}: says that record {key} is of identity {identity}, and {len(wrong)} "
            f"such lines are wrong: {part.facts.folder} is not the dataset of this plan"
        )
    action = np.zeros(len(part.rows), np.int64)
    target = np.full(len(part.rows), -1)
    action[rows], target[rows] = actions, targets
    return action, target


def _names(
    names: dict[int, str], old: np.ndarray, new: np.ndarray, action: np.ndarray
) -> dict[int, str]:
    """Return names of all identities; one that a split makes is named after where it was."""
    out = {number: names.get(number, str(number)) for number in np.unique(old).tolist()}
    fresh = np.flatnonzero((action == MOVE) & ~np.isin(new, old))
    for place in fresh.tolist():
        number = int(new[place])
        if number not in out:
            out[number] = f"{out[int(old[place])]}+{number}"
    return out


def _write_restore(
    new: Path, facts: Facts, part: Part, gone: np.ndarray, kept: Part, removed: Part | None
) -> None:
    new_keys, removed_keys = np.full(len(gone), -1), np.full(len(gone), -1)
    new_keys[~gone] = kept.keys
    if removed is not None:
        removed_keys[gone] = removed.keys
    with replace_file(new / RESTORE) as file:
        np.savez_compressed(
            file, old_keys=part.keys, old_identities=part.identities,
            new_keys=new_keys, removed_keys=removed_keys,
        )  # fmt: skip
    names, kept_names = facts.folder / "train.names", new / OLD_NAMES
    if names.is_file():
        shutil.copyfile(names, kept_names)
    else:
        kept_names.unlink(missing_ok=True)
    height, width = facts.image_shape
    about = {
        "kind": facts.layout.kind, "height": height, "width": width,
        "new": _print_of(new),
    }  # fmt: skip
    with replace_file(new / ABOUT, "w", encoding="utf-8") as file:
        json.dump(about, file, indent=1)


def _print_of(folder: Path) -> str:
    dataset = FaceDataset(folder)
    try:
        return dataset.fingerprint()
    finally:
        dataset.close()


def _restore_arrays(path: Path) -> dict[str, np.ndarray]:
    wanted = ("old_keys", "old_identities", "new_keys", "removed_keys")
    found = read_npz(path)
    if not all(name in found and found[name].dtype.kind == "i" for name in wanted):
        raise ValueError(f"{path}: cannot be read: wanted are whole numbers {', '.join(wanted)}")
    arrays = {name: found[name].astype(np.int64) for name in wanted}
    lengths = {array.shape for array in arrays.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise ValueError(f"{path}: cannot be read: lists of {lengths}")
    return arrays


def _rows_of(facts: Facts, keys: np.ndarray) -> np.ndarray:
    rows = facts.roles.images
    there = facts.keys[rows]
    order = np.argsort(there, kind="stable")
    place = np.minimum(np.searchsorted(there[order], keys), len(order) - 1)
    if len(keys) != len(rows) or not np.array_equal(there[order][place], keys):
        raise ValueError(f"{facts.folder}: holds other images than the plan left there")
    return rows[order[place]]
