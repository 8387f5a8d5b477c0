"""What a run leaves to read: PREFIX-run.json, PREFIX-metrics.csv and, if asked, TensorBoard."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
from pathlib import Path
import platform
import subprocess
from typing import Any

import numpy as np

from .. import __version__
from ..config import TrainConfig
from ..files import naming, replace_file, replace_set
from ..limits import read_limited
from ..text import WRITTEN, read_json, whole_number

LARGEST_LOG = 1 << 30  # bytes
LARGEST_STEP = 1 << 53
COLUMNS = ("step", "epoch", "metric", "value")

logger = logging.getLogger(__name__)


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
            validation, resumed = _read_run(self._run_path)
            self._run["validation"] = [one for one in validation if one["step"] <= resumed_at]
            self._run["resumed_at"] = [*resumed, resumed_at]
        rows = self._rows_until(resumed_at)
        with replace_set(self._run_path, self._csv_path) as files:
            json.dump(self._run, files.open(self._run_path, "w", encoding="utf-8"), indent=1)
            table = files.open(self._csv_path, "w", **(WRITTEN | {"newline": ""}))
            csv.writer(table).writerows([COLUMNS, *rows])

    def metrics(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Add one row per value to the table, and to TensorBoard."""
        options = WRITTEN | {"newline": ""}
        with naming(self._csv_path), self._csv_path.open("a", **options) as file:
            csv.writer(file).writerows((step, epoch, name, v) for name, v in values.items())
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def validation(self, step: int, epoch: int, target: str, values: dict[str, float]) -> None:
        """Add the result of verifying one target."""
        self._run["validation"].append({"step": step, "target": target, **values})
        self._write_run()
        self.metrics(step, epoch, {f"{target}/{name}": value for name, value in values.items()})

    def bad_records(self, facts: dict[str, Any]) -> None:
        """Write which records did not decode until now: their count, and keys by folder."""
        if self._run.get("bad_records") != facts:
            self._run["bad_records"] = facts
            self._write_run()

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._board:
            self._board.close()

    def _rows_until(self, step: int) -> list[list[str]]:
        """Return the rows of an earlier run up to a step."""
        if not step or not self._csv_path.is_file():
            return []
        return [row for row in _read_rows(self._csv_path) if int(row[0]) <= step]

    def _write_run(self) -> None:
        with replace_file(self._run_path, "w", encoding="utf-8") as file:
            json.dump(self._run, file, indent=1)


def _description(config: TrainConfig, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what run.json begins with.  "versions" of the facts are those of the engine."""
    return {
        "config": dataclasses.asdict(config),
        "versions": {
            "arcface_mxnet": __version__,
            **facts.get("versions", {}),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "git": _git_revision(),
        **{name: fact for name, fact in facts.items() if name != "versions"},
        "validation": [],
    }


def _read_run(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the validation results of a run.json, and the steps at which it was resumed.

    Raises ValueError for another file.
    """
    run = read_json(path, "log of a run", limit=LARGEST_LOG, nan=True)
    validation = run.get("validation", []) if isinstance(run, dict) else None
    resumed = run.get("resumed_at", []) if isinstance(run, dict) else None
    if not (
        isinstance(validation, list)
        and all(isinstance(one, dict) and type(one.get("step")) is int for one in validation)
        and isinstance(resumed, list)
        and all(type(step) is int for step in resumed)
    ):
        raise ValueError(
            f"{path}: not the log of a run: it needs validation, a list of results with their "
            "step, and resumed_at, a list of steps; move it away to go on without it"
        )
    return validation, resumed


def _read_rows(path: Path) -> list[list[str]]:
    """Return the rows of a metrics.csv that are whole; a kill or a full disk may tear one."""
    *lines, torn = read_limited(path, LARGEST_LOG, "table of metrics").split(b"\n")
    rows = [_row(line) for line in lines[1:]]
    bad = [number for number, row in enumerate(rows, start=2) if row is None]
    bad += [len(lines) + 1] if torn else []
    if bad:
        logger.warning("%s: left out damaged lines: %d from line %d on", path, len(bad), bad[0])
    return [row for row in rows if row is not None]


def _row(line: bytes) -> list[str] | None:
    """Return the fields of a line `step,epoch,metric,value`, None for any other."""
    try:
        text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        (row,) = csv.reader([text], strict=True)
        step, epoch, _, value = row
        whole_number(step, 0, LARGEST_STEP), whole_number(epoch, 0, LARGEST_STEP), float(value)
    except (ValueError, csv.Error):
        return None
    return row


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
