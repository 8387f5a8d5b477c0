"""The files the kit writes, by the same names and keys, and what is written beside them.

OUT/cmc_PROBES_DISTRACTORS_ALGORITHM_SIZE_SET.json      cmc, roc, traditional_cmc (decimated)
OUT/matches_PROBES_DISTRACTORS_ALGORITHM_SIZE_SET.json  per image as gallery: probes, ranks
OUT/otherFiles/...                                      the lists of feature files, absolute
OUT/results_..._SIZE_SET.json, OUT/curves_..._SIZE_SET.npz   not of the kit: all figures, and
the arrays fpr, tpr, distance, similarity, num_exact, rank, recall, fpir, fnir, det_distance
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path

import numpy as np

from ..embedding.vectors import cosines_of
from ..eval.scores import impostors_needed
from ..files import replace_file
from ..text import WRITTEN
from . import measures
from .experiment import Experiment
from .lists import DistractorList
from .search import EXACT_FPR, IdentificationResult

FPIRS = (0.001, 0.01, 0.1)
READING_RULE = (
    "TPR at FPR f: the largest TPR at a threshold whose FPR over all probe x distractor "
    "negatives does not exceed f; no interpolation"
)


def check_output(out_root: Path, algorithm: str) -> None:
    """Raise ValueError if the folder holds results of another algorithm."""
    for path in sorted(out_root.glob("cmc_*.json")):
        parts = path.stem.split("_")  # cmc PROBES DISTRACTORS ALGORITHM... SIZE SET
        other = "_".join(parts[3:-2])
        if other != algorithm:
            raise ValueError(
                f"{out_root} holds results of {other!r} ({path.name}), these are of "
                f"{algorithm!r}: choose another output folder"
            )


def write_results(
    out_root: Path, experiment: Experiment, probe_place: Path, distractor_place: Path, ending: str
) -> list[dict]:
    """Write every file but the report; return the summaries, one per list."""
    other = out_root / "otherFiles"
    name, algorithm = experiment.probe_list.name, experiment.algorithm
    _write_feature_list(
        other / f"{name}_features_{algorithm}",
        [_absolute(probe_place, one, ending) for one in experiment.probe_names],
        experiment.probe_ids,
    )
    left_out = experiment.left_out
    summaries = []
    for one, result in zip(experiment.lists, experiment.results, strict=True):
        tail = f"{algorithm}_{one.size}_{one.index}"
        _write_feature_list(
            other / f"{one.name}_features_{tail}",
            [_absolute(distractor_place, path, ending) for path in one.paths
             if path not in left_out.distractors],
        )  # fmt: skip
        tail = f"{name}_{one.name}_{tail}"
        curves = measures.kit_curves(result, experiment.probes, experiment.probe_names)
        matches = _matches(result)
        if left_out:
            curves["left_out"] = dataclasses.asdict(left_out)
            matches = [item | {"left_out": _counts(experiment)} for item in matches]
        _write_json(out_root / f"cmc_{tail}.json", curves)
        _write_json(out_root / f"matches_{tail}.json", matches, indent=None)
        summaries.append(summary(experiment, one, result))
        _write_json(out_root / f"results_{tail}.json", summaries[-1])
        _write_curves(out_root / f"curves_{tail}.npz", result)
    return summaries


def summary(experiment: Experiment, one: DistractorList, result: IdentificationResult) -> dict:
    """Return all figures of one list as plain values, ready for JSON."""
    pairs = result.pairs
    tied = result.equal > 0
    figures = {
        "algorithm": experiment.algorithm,
        "size": one.size,
        "set": one.index,
        "distractors": result.num_distractors,
        "probes": len(experiment.probe_names),
        "people": int(pairs.person.max()) + 1,
        "ordered_pairs": len(pairs),
        "unordered_pairs": len(pairs) // 2,
        "rank_rate": {
            str(k): {
                "rate": rate,
                "interval_95": measures.person_interval(pairs, result.closer < k),
            }
            for k, rate in measures.rank_rates(result).items()
        },
        "ties": {
            "pairs_with_a_distractor_just_as_far": int(tied.sum()),
            "rank_1_if_ties_count_against": float(np.mean((result.closer == 0) & ~tied)),
        },
        "reading_rule": READING_RULE,
        "exact_up_to_fpr": EXACT_FPR,
        "grid_step_of_distance_beyond": result.grid_step,
        "tpr_at_fpr": [_point(result, allowed) for allowed in measures.FPRS],
        "open_set": [_open_set(result, fpir) for fpir in FPIRS],
        "worst_probes": [_named(experiment, worst) for worst in measures.worst_probes(result)],
    }
    if experiment.left_out:
        figures["left_out"] = dataclasses.asdict(experiment.left_out)
    return figures


def _point(result: IdentificationResult, allowed: float) -> dict:
    found = measures.operating_point(result, allowed)
    if found.point is None:
        refused = dict.fromkeys(("fpr", "tpr", "distance", "exact", "similarity", "interval_95"))
        return {"allowed": allowed, "negatives_needed": found.negatives_needed} | refused
    figures = {
        "allowed": allowed,
        "fpr": found.point.far,
        "tpr": found.point.tar,
        "distance": found.distance,
        "exact": found.exact,
    }
    if found.distance is None:
        return figures | {"similarity": None, "interval_95": None}
    accepted = result.pairs.distance <= found.distance
    return figures | {
        "similarity": found.point.threshold,
        "interval_95": measures.person_interval(result.pairs, accepted),
    }


def _open_set(result: IdentificationResult, fpir: float) -> dict:
    fnir = measures.miss_rate_at(result, fpir)
    needed = {} if fnir is not None else {"probes_needed": impostors_needed(fpir)}
    return {"fpir": fpir, "fnir": fnir} | needed


def _named(experiment: Experiment, worst: dict) -> dict:
    """Return a worst probe with image names in place of row numbers."""
    names = experiment.probe_names
    return worst | {
        "probe": names[worst["probe"]],
        "mate": names[worst["mate"]],
        "distractor": experiment.distractor_names[worst["distractor"]],
    }


def _matches(result: IdentificationResult) -> list[dict]:
    """Return one item per probe image as gallery: who looked for it, and its rank (from 0)."""
    pairs = result.pairs
    order = np.argsort(pairs.mate, kind="stable")
    cuts = np.flatnonzero(np.diff(pairs.mate[order])) + 1
    return [
        {"probes": {"idx": pairs.probe[some].tolist(), "rank": result.closer[some].tolist()}}
        for some in np.split(order, cuts)
    ]


def _counts(experiment: Experiment) -> dict[str, int]:
    left_out = experiment.left_out
    return {"probes": len(left_out.probes), "distractors": len(left_out.distractors)}


def _write_curves(path: Path, result: IdentificationResult) -> None:
    fpr, tpr, distance = measures.roc(result)
    rank, recall = measures.cmc(result.closer)
    fpir, fnir, det_distance = measures.open_set(result)
    with replace_file(path) as file:
        np.savez_compressed(
            file,
            fpr=fpr,
            tpr=tpr,
            distance=distance,
            similarity=cosines_of(distance),
            num_exact=result.num_exact,
            rank=rank,
            recall=recall,
            fpir=fpir,
            fnir=fnir,
            det_distance=det_distance,
        )


def _absolute(place: Path, name: str, ending: str) -> str:
    return f"{place.absolute()}/{name}{ending}"


def _write_feature_list(path: Path, paths: Sequence[str], ids: Sequence[str] = ()) -> None:
    content: dict[str, Sequence[str]] = {"path": paths}
    if ids:
        content["id"] = ids
    _write_json(path, content, indent=4)


def _write_json(path: Path, content: object, indent: int | str | None = "\t") -> None:
    with replace_file(path, "w", **WRITTEN) as file:
        json.dump(content, file, indent=indent, sort_keys=True)
