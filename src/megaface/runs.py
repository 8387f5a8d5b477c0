"""What a report shows of an algorithm: its figures and curves, of this run or of an older one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ..embedding.npz import read_npz
from ..text import read_json
from . import measures
from .experiment import Experiment

RESULTS, CURVES = "results_", "curves_"  # NAME.json and NAME.npz of one list
# What must be equal for two runs to have answered the same question.
QUESTION = ("probes", "people", "ordered_pairs")
NEEDED = {
    "algorithm", "distractors", "set", "rank_rate", "tpr_at_fpr", "open_set", "ties",
    "worst_probes", *QUESTION,
}  # fmt: skip


@dataclass(frozen=True)
class Curves:
    """The arrays of curves_*.npz that are drawn, float64 (K,) in pairs."""

    rank: np.ndarray
    recall: np.ndarray
    fpr: np.ndarray
    tpr: np.ndarray
    fpir: np.ndarray
    fnir: np.ndarray


@dataclass(frozen=True)
class Run:
    """One algorithm: summaries[i] (kit_files.summary) and curves[i] belong together."""

    algorithm: str
    summaries: Sequence[dict]
    curves: Sequence[Curves]

    def at(self, distractors: int) -> tuple[dict, Curves] | None:
        """Return figures and curves of the first list of so many distractors, None without one."""
        for summary, curves in zip(self.summaries, self.curves, strict=True):
            if summary["distractors"] == distractors:
                return summary, curves
        return None


def run_of(experiment: Experiment, summaries: Sequence[dict]) -> Run:
    """Return what a report shows of an experiment."""
    curves = [
        Curves(*measures.cmc(result.closer), *measures.roc(result)[:2],
               *measures.open_set(result)[:2])
        for result in experiment.results
    ]  # fmt: skip
    return Run(experiment.algorithm, summaries, curves)


def read_run(folder: Path) -> Run:
    """Return the run whose results lie in a folder, as write_results() left them.

    Raises FileNotFoundError if there are none, and ValueError for results of several algorithms or
    of another version, or without their curves.
    """
    paths = sorted(folder.glob(f"{RESULTS}*.json"))
    if not paths:
        raise FileNotFoundError(f"--beside {folder.absolute()}: no {RESULTS}*.json")
    summaries = [_read_summary(path) for path in paths]
    algorithms = sorted({summary["algorithm"] for summary in summaries})
    if len(algorithms) > 1:
        raise ValueError(f"--beside {folder}: results of several algorithms, {algorithms}")
    return Run(algorithms[0], summaries, [_read_curves(path) for path in paths])


def check_same_question(runs: Sequence[Run]) -> None:
    """Raise ValueError if the runs had other probes, so that their rates cannot be compared."""
    for run in runs[1:]:
        for key in QUESTION:
            given, wanted = run.summaries[0][key], runs[0].summaries[0][key]
            if given != wanted:
                raise ValueError(
                    f"--beside: {run.algorithm} has {given:,} {key.replace('_', ' ')}, "
                    f"{runs[0].algorithm} {wanted:,}: they are not of one probe list"
                )


def _read_summary(path: Path) -> dict:
    summary = read_json(path, "result of MegaFace")
    missing = sorted(NEEDED - set(summary)) if isinstance(summary, dict) else sorted(NEEDED)
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; run the experiment again")
    if not isinstance(summary["algorithm"], str):
        raise ValueError(f"{path}: its algorithm is no text; run the experiment again")
    return summary


def _read_curves(path: Path) -> Curves:
    """Return the curves beside a results file."""
    path = path.with_name(CURVES + path.stem.removeprefix(RESULTS) + ".npz")
    if not path.is_file():
        raise FileNotFoundError(f"no curves {path.absolute()}")
    arrays = read_npz(path)
    names = [field.name for field in fields(Curves)]
    missing = [name for name in names if name not in arrays or arrays[name].dtype.kind not in "fiu"]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; run the experiment again")
    return Curves(*(arrays[name] for name in names))
