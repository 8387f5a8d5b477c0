"""One page of an experiment: rates by number of distractors, curves, the worst probes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from html import escape
import io
from pathlib import Path

import cv2
from matplotlib.figure import Figure
import numpy as np

from ..data.images import read_image
from ..files import replace_file
from . import measures
from .experiment import Experiment
from .kit_files import READING_RULE

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 66rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem .7rem; text-align: right }
th { border-bottom: 1px solid #888; font-weight: 600 } td.name { text-align: left }
td.name { overflow-wrap: anywhere }
tr:nth-child(even) td { background: #f5f5f5 } small, .note { color: #666 }
small { white-space: nowrap }
.curves { display: flex; flex-wrap: wrap; gap: 1rem } .curves svg { width: 29rem; height: auto }
.wide { overflow-x: auto } img { width: 56px; height: 56px; object-fit: cover }
.warning { background: #fff3cd; padding: .5rem 1rem }
"""
LEFT_OUT_SHOWN = 20


def write_report(
    path: Path,
    experiment: Experiment,
    summaries: Sequence[dict],
    probe_images: Path | None = None,
    distractor_images: Path | None = None,
) -> None:
    """Write the page.  The image roots, if given, put the faces beside the worst probes."""
    first = summaries[0]
    largest = max(range(len(summaries)), key=lambda i: summaries[i]["distractors"])
    title = f"{experiment.algorithm} on {experiment.probe_list.name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{first['probes']:,} images of {first['people']} people: "
        f"{first['ordered_pairs']:,} ordered pairs (probe, mate), each searched among the "
        "distractors and the one mate. Intervals: 95 %, bootstrap over people.</p>",
        _left_out(experiment),
        "<h2>Rates by number of distractors</h2>",
        _rates(summaries),
        f"<p class=note>{escape(READING_RULE)}. Exact up to FPR {first['exact_up_to_fpr']:g}; "
        "beyond, thresholds are "
        f"{first['grid_step_of_distance_beyond'] / 2:.3f} apart in similarity (1 - d/2, the "
        "cosine of unit features). A distractor just as far as the mate does not count as "
        "closer: "
        f"{summaries[largest]['ties']['pairs_with_a_distractor_just_as_far']:,} pairs have one."
        "</p>",
        "<h2>Curves</h2><div class=curves>",
        *(_curve(draw, experiment) for draw in (_draw_cmc, _draw_roc, _draw_det)),
        "</div>",
        f"<h2>Worst probes, {summaries[largest]['distractors']:,} distractors</h2>",
        _worst(summaries[largest]["worst_probes"], probe_images, distractor_images),
    ]
    with replace_file(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'>"
            f"<title>{escape(title)}</title><style>{STYLE}</style>{''.join(parts)}</html>\n"
        )


def _left_out(experiment: Experiment) -> str:
    left_out = experiment.left_out
    if not left_out:
        return ""
    lines = [f"{path}: {fault}" for path, fault in (left_out.probes | left_out.distractors).items()]
    lines += [f"{one}: a single image is left" for one in left_out.people]
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines[:LEFT_OUT_SHOWN])
    more = f"<li>and {len(lines) - LEFT_OUT_SHOWN:,} more</li>"
    more = more if len(lines) > LEFT_OUT_SHOWN else ""
    return (
        f"<div class=warning>Left out: {len(left_out.probes):,} probes, "
        f"{len(left_out.distractors):,} distractors, {len(left_out.people)} people. "
        f"These figures are of the rest.<details><ul>{shown}{more}</ul></details></div>"
    )


def _rates(summaries: Sequence[dict]) -> str:
    fprs = [1e-6, 1e-4, 1e-3]
    ranks = [k for k in ("1", "10", "100") if all(k in one["rank_rate"] for one in summaries)]
    head = "<th>distractors</th>" + "".join(f"<th>rank {k} %</th>" for k in ranks)
    head += "".join(f"<th>TPR % at FPR {fpr:g}</th>" for fpr in fprs)
    head += "<th>similarity there</th><th>FNIR % at FPIR 1 %</th>"
    rows = []
    for one in sorted(summaries, key=lambda one: (one["distractors"], one["set"])):
        cells = [f"{one['distractors']:,}"]
        for k in ranks:
            rate = one["rank_rate"][k]
            cells.append(_with_interval(rate["rate"], rate["interval_95"]))
        points = {point["allowed"]: point for point in one["tpr_at_fpr"]}
        cells += [_rate_or_need(points[fpr]) for fpr in fprs]
        there = [points[fpr]["similarity"] for fpr in fprs]
        cells.append(" / ".join("-" if value is None else f"{value:.3f}" for value in there))
        open_set = one["open_set"][1]
        cells.append(_needs(open_set["probes_needed"], "probes") if open_set["fnir"] is None
                     else f"{100 * open_set['fnir']:.2f}")  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<div class=wide><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _rate_or_need(point: dict) -> str:
    if point["tpr"] is None:
        return _needs(point["negatives_needed"], "negatives")
    return _with_interval(point["tpr"], point["interval_95"])


def _needs(count: int, noun: str) -> str:
    return f"<small>needs {count:,} {noun}</small>"


def _with_interval(rate: float, interval: Sequence[float] | None) -> str:
    if interval is None:
        return f"{100 * rate:.2f}"
    low, high = interval
    return f"{100 * rate:.2f}<br><small>{100 * low:.2f} .. {100 * high:.2f}</small>"


def _curve(draw, experiment: Experiment) -> str:  # noqa: ANN001  one of the three below
    figure = Figure(figsize=(5.2, 3.9), layout="constrained")
    axes = figure.add_subplot()
    for one, result in zip(experiment.lists, experiment.results, strict=True):
        draw(
            axes,
            result,
            f"{result.num_distractors:,}" + (f" #{one.index}" if one.index > 1 else ""),
        )
    axes.grid(which="major", color="#ddd")
    axes.legend(title="distractors", fontsize="small")
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _draw_cmc(axes, result, label: str) -> None:  # noqa: ANN001
    rank, recall = measures.cmc(result.closer)
    axes.step(np.append(rank, result.num_distractors) + 1, np.append(recall, 1), label=label,
              where="post")  # fmt: skip
    axes.set(xscale="log", xlabel="rank", ylabel="share of mates found", title="CMC")


def _draw_roc(axes, result, label: str) -> None:  # noqa: ANN001
    fpr, tpr, _ = measures.roc(result)
    seen = fpr > 0  # FPR 0 has no place on a log axis
    axes.plot(fpr[seen], tpr[seen], label=label)
    axes.set(xscale="log", xlabel="FPR, all probe x distractor pairs", ylabel="TPR", title="ROC")


def _draw_det(axes, result, label: str) -> None:  # noqa: ANN001
    fpir, fnir, _ = measures.open_set(result)
    seen = (fpir > 0) & (fnir > 0)  # nor has FNIR 0
    axes.plot(fpir[seen], fnir[seen], label=label)
    axes.set(xscale="log", yscale="log", xlabel="FPIR", ylabel="FNIR at rank 1",
             title="Open-set identification (DET)")  # fmt: skip


def _worst(worst: Sequence[dict], probe_images: Path | None, distractor_images: Path | None) -> str:
    if not worst:
        return "<p>No probe is beaten by a distractor.</p>"
    head = "<th>probe</th><th>mates beaten %</th><th>median rank of mates</th>"
    head += "<th>its nearest mate</th><th>similarity</th>"
    head += "<th>the distractor that beat it</th><th>similarity</th>"
    rows = []
    for one in worst:
        rows.append(
            f"<tr>{_face(one['probe'], probe_images)}<td>{100 * one['beaten']:.0f}</td>"
            f"<td>{one['median_rank']:,.0f}</td>{_face(one['mate'], probe_images)}"
            f"<td>{one['mate_similarity']:.3f}</td>{_face(one['distractor'], distractor_images)}"
            f"<td>{one['distractor_similarity']:.3f}</td></tr>"
        )
    return f"<div class=wide><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _face(name: str, root: Path | None) -> str:
    """Return a cell with the image (if its root is known and it can be read) and its name."""
    picture = ""
    if root is not None:
        with suppress(ValueError, OSError):  # the page is worth reading without
            small = cv2.resize(read_image(root / name), (112, 112))
            data = base64.b64encode(cv2.imencode(".jpg", small)[1].tobytes()).decode()
            picture = f"<img alt='' src='data:image/jpeg;base64,{data}'><br>"
    return f"<td class=name>{picture}{escape(name)}</td>"
