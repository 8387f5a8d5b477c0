"""What a run leaves to read: PREFIX-run.json, PREFIX-metrics.csv and, if asked, TensorBoard."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
import platform
import subprocess
from typing import Any

import mxnet as mx
import numpy as np

from .. import __version__
from ..config import TrainConfig
from ..files import replace_file

COLUMNS = ("step", "epoch", "metric", "value")


class RunLog:
    """Append metrics of a run as they come.

    resumed_at: the step a resumed run continues from, 0 for a new one; rows after it are
    dropped, since the run will write them again.
    """

    def __init__(self, config: TrainConfig, facts: dict[str, Any], resumed_at: int = 0):
        self._run_path = Path(f"{config.prefix}-run.json")
        self._csv_path = Path(f"{config.prefix}-metrics.csv")
        self._run = _description(config, facts)
        self._board = _tensorboard(f"{config.prefix}-tensorboard") if config.tensorboard else None
        if resumed_at and self._run_path.is_file():
            earlier = json.loads(self._run_path.read_text(encoding="utf-8"))
            self._run["validation"] = _until(earlier.get("validation", []), resumed_at)
            self._run["resumed_at"] = [*earlier.get("resumed_at", []), resumed_at]
        self._start_csv(resumed_at)
        self._write_run()

    def metrics(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Add one row per value to the table, and to TensorBoard."""
        with self._csv_path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((step, epoch, name, v) for name, v in values.items())
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def validation(self, step: int, epoch: int, target: str, values: dict[str, float]) -> None:
        """Add the result of verifying one target."""
        self._run["validation"].append({"step": step, "target": target, **values})
        self._write_run()
        self.metrics(step, epoch, {f"{target}/{name}": value for name, value in values.items()})

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._board:
            self._board.close()

    def _start_csv(self, resumed_at: int) -> None:
        rows = []
        if resumed_at and self._csv_path.is_file():
            with self._csv_path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if row and row[0].isdigit()]
        with replace_file(self._csv_path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [COLUMNS, *(row for row in rows if int(row[0]) <= resumed_at)]
            )

    def _write_run(self) -> None:
        with replace_file(self._run_path, "w", encoding="utf-8") as file:
            json.dump(self._run, file, indent=1)


def _description(config: TrainConfig, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "config": dataclasses.asdict(config),
        "versions": {
            "arcface_mxnet": __version__,
            "mxnet": mx.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "git": _git_revision(),
        **facts,
        "validation": [],
    }


def _until(results: list[dict[str, Any]], step: int) -> list[dict[str, Any]]:
    return [result for result in results if result["step"] <= step]


def _git_revision() -> str | None:
    """Return the revision of the code that runs, or None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _tensorboard(folder: str) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ValueError(
            "--tensorboard needs tensorboardX: pip install 'arcface_mxnet[tensorboard]'"
        ) from None
    return SummaryWriter(folder)
