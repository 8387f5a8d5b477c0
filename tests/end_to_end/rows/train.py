"""The table of arcface-train; its rows stand in the files train_*.py beside this one."""

from __future__ import annotations

from tests.end_to_end.rows.table import Table

TRAIN = Table("TRAIN", "arcface-train", "tests/end_to_end/rows/train_*.py")

# In the place of values that are made before the runs.
OTHER = "<another dataset folder>"
SPOILT = "<a dataset folder with two bad records>"
PRETRAINED = "<a checkpoint of the network tiny>"
VECTORS = "<vectors of the dataset's images>"
OTHER_VECTORS = "<other vectors of theirs>"

# Three steps of ArcFace on the smallest network; every step is logged, all that is saved stays.
BASE = (
    "--network", "tiny", "--loss-type", "4", "--margin-s", "8", "--target", "", "--emb-size", "16",
    "--per-batch-size", "12", "--frequent", "1", "--lr", "0.05", "--max-steps", "3",
    "--verbose", "3", "--ckpt", "2", "--rand-mirror", "0",
)  # fmt: skip
