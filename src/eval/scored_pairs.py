"""The scores of every pair, beside the figures: FILE.scores.npz of arcface-verify --json FILE.json.

An .npz (zip of .npy, nothing pickled) of one array "facts", the text of a JSON list with an object
for each model on each pair set (model, alias, model_sha256, engine, dtype, flip, target,
pack_sha256, failures, folds if it is known), and for the object number n the arrays of its P pairs:

    n.cosines     float64, of the flip embedding; -2 for a pair that was not compared (failures.py)
    n.is_genuine  bool
    n.is_right    bool, what the k-fold protocol decides rightly
    n.left, n.right   names of people, where they are known
    n.column.NAME     the pair set's columns, such as groups (pair_columns.py)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import lzma
import os
from pathlib import Path
from typing import Any
import zipfile
import zlib

import numpy as np

from ..embedding import npy
from ..files import replace_file
from ..limits import parse_json, shown
from .evaluation import Evaluation
from .pair_sets import PairSet

ENDING = ".scores.npz"
LARGEST = 1 << 32  # bytes of all arrays of a file
COLUMN = "column."
FOLDS = "folds"  # absent from files of older versions
# What zipfile and numpy's reader raise over foreign bytes.
DAMAGE = (*npy.DAMAGE, OSError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class ScoredPairs:
    """The scores of one model on one pair set.

    facts: as in the file.  cosines: float64 (P,).  is_genuine, is_right: bool (P,).
    left, right: P names, or none.  columns: P values each.  path: the file they are of.
    """

    facts: Mapping[str, str]
    cosines: np.ndarray
    is_genuine: np.ndarray
    is_right: np.ndarray
    left: np.ndarray
    right: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    path: str = ""


def scores_path(path: str | os.PathLike) -> Path:
    """Return where the scores of a file of figures lie: out.json -> out.scores.npz."""
    return Path(path).with_suffix(ENDING)


def scored_pairs(
    evaluation: Evaluation,
    pair_set: PairSet,
    *,
    model: str,
    embedding: Mapping[str, str],
    pack_fingerprint: str,
    alias: str = "",
) -> ScoredPairs:
    """Return the scores of an evaluation; embedding: "model", "engine", "dtype", "flip"."""
    facts = {
        "model": model,
        "alias": alias or model,
        "model_sha256": embedding["model"],
        **{name: embedding[name] for name in ("engine", "dtype", "flip")},
        "target": evaluation.target,
        "pack_sha256": pack_fingerprint,
        "failures": evaluation.failures.mode if evaluation.failures else "crop",
        FOLDS: str(len(evaluation.published.per_fold)),
    }
    names = np.array(pair_set.identities, dtype=str)
    return ScoredPairs(
        facts,
        evaluation.cosines,
        evaluation.is_genuine,
        evaluation.is_right,
        names[0::2],
        names[1::2],
        {name: np.array(values, dtype=str) for name, values in pair_set.columns.items()},
    )


def write_scored_pairs(path: str | os.PathLike, scored: Sequence[ScoredPairs]) -> None:
    """Write the scores of all models on all pair sets."""
    arrays: dict[str, np.ndarray] = {}
    for number, one in enumerate(scored):
        of_pairs = {
            "cosines": np.asarray(one.cosines, np.float64),
            "is_genuine": one.is_genuine,
            "is_right": one.is_right,
            "left": one.left,
            "right": one.right,
            **{COLUMN + name: values for name, values in one.columns.items()},
        }
        arrays |= {f"{number}.{name}": values for name, values in of_pairs.items()}
    facts = json.dumps([dict(one.facts) for one in scored])
    with replace_file(Path(path)) as file:
        np.savez_compressed(file, facts=np.array(facts), **arrays)


def read_scored_pairs(path: str | os.PathLike) -> list[ScoredPairs]:
    """Return the scores of a file, FILE.scores.npz or the FILE.json that it lies beside.

    Raises FileNotFoundError, and ValueError saying what is wrong with it.
    """
    path = Path(path)
    given = path
    if path.suffix == ".json":
        path = scores_path(path)
    if not path.is_file():
        beside = f", beside {given.name}" if given != path else ""
        raise FileNotFoundError(
            f"no scores {path.absolute()}{beside}; arcface-verify --json FILE.json writes them"
        )
    try:
        arrays = _arrays(path)
        if "facts" not in arrays:
            raise ValueError('it has no array "facts"')
        facts = parse_json(str(arrays["facts"]), "facts", "a list of models")
        if not isinstance(facts, list):
            raise ValueError("facts are no list")
        return [_scored(arrays, number, one, path) for number, one in enumerate(facts)]
    except ValueError as error:
        raise ValueError(
            f"{path}: not a file of scores: {error}; arcface-verify --json FILE.json writes one"
        ) from None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays.  Raises ValueError; what they take is looked at before they are read."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size <= LARGEST:
            with np.load(path, allow_pickle=False) as loaded:
                return {name: loaded[name] for name in loaded.files}
    except DAMAGE:
        raise ValueError("the archive or an array in it is damaged") from None
    raise ValueError(f"arrays of {size:,} bytes; at most {LARGEST:,} are taken")


def _scored(arrays: Mapping[str, np.ndarray], number: int, facts: Any, path: Path) -> ScoredPairs:
    wanted = ("model", "alias", "model_sha256", "engine", "dtype", "flip", "target", "pack_sha256",
              "failures")  # fmt: skip
    if isinstance(facts, dict):
        facts = {FOLDS: "", **facts}
        wanted = (*wanted, FOLDS)
    if not isinstance(facts, dict) or any(not isinstance(facts.get(name), str) for name in wanted):
        raise ValueError(f"entry {number} does not say {', '.join(wanted)}")
    head = f"{number}."
    mine = {name.removeprefix(head): a for name, a in arrays.items() if name.startswith(head)}
    kinds = {"cosines": "f", "is_genuine": "b", "is_right": "b"}
    absent = [name for name in (*kinds, "left", "right") if name not in mine]
    if absent:
        raise ValueError(f"it has no array {head}{absent[0]}")
    for name, kind in kinds.items():
        if mine[name].dtype.kind != kind or mine[name].shape != mine["cosines"].shape[:1]:
            raise ValueError(f"{head}{name}: {mine[name].dtype} {mine[name].shape}")
    pairs = len(mine["cosines"])
    columns = {name.removeprefix(COLUMN): values for name, values in mine.items()
               if name.startswith(COLUMN)}  # fmt: skip
    for name, values in {"left": mine["left"], "right": mine["right"], **columns}.items():
        if values.shape not in ((pairs,), (0,)) or (values.size and values.dtype.kind != "U"):
            raise ValueError(
                f"{head}{shown(name)}: {values.dtype} {values.shape}, not {pairs} names"
            )
    if not np.isfinite(mine["cosines"]).all():
        raise ValueError(f"{head}cosines: a value is not finite")
    return ScoredPairs(
        {name: facts[name] for name in wanted},
        mine["cosines"],
        mine["is_genuine"],
        mine["is_right"],
        mine["left"],
        mine["right"],
        columns,
        str(path),
    )
