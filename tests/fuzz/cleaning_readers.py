"""Readers of what plans of cleaning and data cards leave, and people may have edited."""

from __future__ import annotations

import json
from pathlib import Path
import tempfile

from arcface_mxnet.clean.applying import apply_plan, undo
from arcface_mxnet.clean.card import PROVENANCE, known_provenance
from arcface_mxnet.clean.plan_file import COLUMNS, read_plan, write_rows
from arcface_mxnet.clean.stages import Stages
import numpy as np

from tests.fuzz.record_readers import dataset_files, files_of
from tests.fuzz.table import one, reader

ROWS = (
    (1, 0, "ann", "drop", "", "far", 0.1, ""),
    (2, 0, "ann", "move", 1, "flip", 0.7, "bob"),
    (3, 1, "bob", "look", "", "nobody", 0.2, ""),
)


def plan_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "plan.tsv")
        write_rows(path, COLUMNS, ROWS)
        return path.read_bytes()


def are_decisions(found: tuple[np.ndarray, ...]) -> bool:
    keys, identities, actions, targets = found
    return len({len(one) for one in found}) == 1 and all(
        array.dtype == np.int64 for array in (keys, identities, actions, targets)
    )


reader("clean-plan", one("plan.tsv", plan_bytes()), "plan.tsv",
       lambda f: read_plan(f / "plan.tsv"), are_decisions, "clean.plan_file")  # fmt: skip


def applied() -> dict[str, bytes]:
    """Return the files of a dataset that a plan has made, nothing of it dropped."""
    with tempfile.TemporaryDirectory() as name:
        old, new = Path(name, "old"), Path(name, "new")
        old.mkdir()
        for file, content in dataset_files().items():
            (old / file).write_bytes(content)
        write_rows(Path(name, "plan.tsv"), COLUMNS, [(1, 0, "a", "move", 1, "flip", 0.7, "")])
        apply_plan(old, Path(name, "plan.tsv"), new)
        return files_of(new)


def undone(folder: Path) -> int:
    with tempfile.TemporaryDirectory() as name:
        return undo(folder, Path(name, "old"))


for file in ("restore.json", "restore.npz"):
    reader(f"clean-{file}", applied, file, undone, lambda count: count == 5,
           "clean.applying")  # fmt: skip


CARD = json.dumps({"images": 2, "provenance": dict.fromkeys(PROVENANCE, "") | {"licence": "CC0"}})
reader("clean-card", one("card.json", CARD.encode()), "card.json",
       lambda f: known_provenance(f / "card.json"),
       lambda fields: all(isinstance(text, str) for text in fields.values()),
       "clean.card")  # fmt: skip


FACTS = {"dataset": "x", "link": 0.5}
reader("clean-work", one("work.json", json.dumps(FACTS, indent=1).encode()), "work.json",
       lambda f: Stages(f, FACTS).part("spread", 0, lambda: {"a": np.zeros(2)}),
       lambda arrays: arrays["a"].shape == (2,), "clean.stages")  # fmt: skip
