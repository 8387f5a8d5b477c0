"""FILE.index.tsv, as arcface-embed writes it beside vectors, and the dataset they are taken for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.dataset import FaceDataset
from ..limits import shown
from ..text import read_lines


def check_index(path: Path, dataset: FaceDataset, keys: np.ndarray, *, in_order: bool) -> None:
    """Raise ValueError if the index that arcface-embed wrote beside vectors says of a record
    another identity than the dataset.

    in_order: the vectors are taken for those of the records in their order; then it must say that.
    """
    index = path.with_suffix(".index.tsv")
    if not index.is_file():
        return
    lines = (line for _, line in read_lines(index, "index of vectors"))
    rows = [line.split("\t") for line in lines]
    if not rows or rows[0][:2] != ["name", "identity"]:
        return
    for row, key in zip(rows[1:], keys.tolist(), strict=False):
        if in_order and row[0] != str(key):
            raise ValueError(
                f"{index}: names {shown(row[0])} where {dataset.folder} has record {key}, and "
                f"{path} has no names itself: vectors of other images, or in another order; put "
                f"{path.with_suffix('.names').name} beside it, or say @list=NAMES"
            )
    said = {row[0]: row[1] for row in rows[1:] if len(row) > 1 and row[1]}
    for key, identity in zip(keys.tolist(), dataset.identities(keys).tolist(), strict=True):
        if said.get(str(key), str(identity)) != str(identity):
            raise ValueError(
                f"{index}: record {key} is one of identity {said[str(key)]} there, of {identity} "
                f"in {dataset.folder}: vectors of another dataset"
            )
