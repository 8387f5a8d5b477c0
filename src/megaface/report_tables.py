"""The tables of an identification report."""

from __future__ import annotations

from collections.abc import Sequence

from ..eval.scores import impostors_needed, is_supported
from ..report.marks import named
from ..report.scales import power
from ..report.svg import element, text
from ..report.tables import Cell, percent, span, table
from .kit_files import READING_RULE
from .runs import Run

RANKS = ("1", "10", "100")
FPRS = (1e-6, 1e-4, 1e-3)
FPIR = 0.01
NOT_GIVEN = "–"


def by_size(run: Run) -> str:
    """Return one algorithm's rates, a row per number of distractors."""
    summaries = sorted(run.summaries, key=lambda one: (one["distractors"], one["set"]))
    ranks = _ranks(summaries)
    rows = [(named(number, size_name(one)) if len(summaries) > 1 else text(size_name(one)),
             _cells(one, ranks)) for number, one in enumerate(summaries)]  # fmt: skip
    head = ["distractors", *_head(ranks)]
    return table("Rates by number of distractors", head, rows, is_compared=False)


def by_algorithm(runs: Sequence[Run], names: Sequence[str]) -> str:
    """Return a table per number of distractors, the largest first, a row per algorithm."""
    parts = []
    sizes = {one["distractors"] for run in runs for one in run.summaries}
    for size in sorted(sizes, reverse=True):
        there = [(named(number, name), run.at(size)[0])
                 for number, (name, run) in enumerate(zip(names, runs, strict=True))
                 if run.at(size)]  # fmt: skip
        ranks = _ranks([one for _, one in there])
        rows = [(name, _cells(one, ranks)) for name, one in there]
        parts.append(element("h3", f"Among {size:,} distractors"))
        parts.append(table(f"Rates among {size:,} distractors", ["in %", *_head(ranks)], rows))
    return "".join(parts)


def size_name(summary: dict) -> str:
    """Return the number of distractors, and which set of that many."""
    return f"{summary['distractors']:,}" + (f" #{summary['set']}" if summary["set"] > 1 else "")


def remarks(summary: dict, summaries: Sequence[dict]) -> str:
    """Return how the figures are to be read.

    summary: of the largest number of distractors.  summaries: of all tables.
    """
    lines = [
        f"{READING_RULE}. Exact up to FPR {power(summary['exact_up_to_fpr'])}; beyond, thresholds "
        f"are {summary['grid_step_of_distance_beyond'] / 2:.3f} apart in similarity "
        "(1 − d/2, the cosine of unit features), which is what stands below a TPR.",
        "A distractor just as far as the mate does not count as closer: "
        f"{summary['ties']['pairs_with_a_distractor_just_as_far']:,} pairs have one.",
    ]
    if any(cell.words == NOT_GIVEN for one in summaries for cell in _cells(one, ())):
        lines.append(
            f"{NOT_GIVEN}: not given. An FPR f takes 1/f negatives, pairs of probe and distractor; "
            "an FPIR f takes 1/f probes."
        )
    return "".join(element("p", text(line), class_="note") for line in lines)


def _ranks(summaries: Sequence[dict]) -> list[str]:
    return [k for k in RANKS if all(k in one["rank_rate"] for one in summaries)]


def _head(ranks: Sequence[str]) -> list[str]:
    return [
        *(f"rank {k}" for k in ranks), *(f"TPR @ FPR {power(fpr)}" for fpr in FPRS),
        f"FNIR @ FPIR {power(FPIR)}",
    ]  # fmt: skip


def _cells(summary: dict, ranks: Sequence[str]) -> list[Cell]:
    rates = (summary["rank_rate"][k] for k in ranks)
    cells = [percent(rate["rate"], rate["interval_95"]) for rate in rates]
    points = {point["allowed"]: point for point in summary["tpr_at_fpr"]}
    negatives = summary["probes"] * summary["distractors"]
    cells += [_tpr(points[fpr], negatives) for fpr in FPRS]
    miss = next(one["fnir"] for one in summary["open_set"] if one["fpir"] == FPIR)
    is_given = miss is not None and is_supported(FPIR, summary["probes"])
    cells.append(percent(miss, compared=-1) if is_given else _needs(FPIR, "probes"))
    return cells


def _tpr(point: dict, negatives: int) -> Cell:
    """Return the TPR with its interval and the similarity there, or what it would need.

    Results of an older version hold rates that the negatives do not support.
    """
    if point["tpr"] is None or not is_supported(point["allowed"], negatives):
        return _needs(point["allowed"], "negatives")
    below = [] if point["interval_95"] is None else [span(point["interval_95"])]
    if point["similarity"] is not None:
        below.append(f"≥ {point['similarity']:.4f}".replace("-", "−"))
    return Cell(f"{100 * point['tpr']:.2f}", below, point["tpr"])


def _needs(rate: float, noun: str) -> Cell:
    return Cell(NOT_GIVEN, (f"needs {impostors_needed(rate):,} {noun}",))
