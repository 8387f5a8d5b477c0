"""A verification report: one self-contained page, and the same figures as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
import datetime
from html import escape
from itertools import groupby
import json
import os
from pathlib import Path

import cv2
import numpy as np

from .. import __version__
from ..files import replace_file
from . import report_figures as figures
from .bad_cases import pair_picture, wrong_pairs
from .evaluation import Evaluation, RateAtFar
from .failures import failures_json
from .pair_sets import PairSet
from .report_style import PAGE, STYLE

PICTURES = 12  # of each kind of wrong pair


@dataclass(frozen=True)
class Entry:
    """One model on one pair set.

    embedding: what the embeddings came from: "model" (its fingerprint), "engine", "dtype", "flip".
    pack_fingerprint: SHA-256 of the pair set's file.
    """

    model: str
    embedding: dict[str, str]
    pack_fingerprint: str
    pair_set: PairSet
    evaluation: Evaluation


def write_report(path: str | os.PathLike, entries: Sequence[Entry]) -> None:
    """Write the HTML page of all entries, grouped by pair set in their order."""
    sections = [
        _section(target, list(group))
        for target, group in groupby(entries, key=lambda entry: entry.evaluation.target)
    ]
    today = datetime.date.today().isoformat()
    page = PAGE.format(
        style=STYLE, version=escape(__version__), date=today, sections="".join(sections)
    )
    with replace_file(Path(path), "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(page)


def write_json(path: str | os.PathLike, entries: Sequence[Entry]) -> None:
    """Write the figures of all entries: a list of objects, rates as fractions."""
    with replace_file(Path(path), "w", encoding="utf-8") as file:
        json.dump([as_json(entry) for entry in entries], file, indent=1)
        file.write("\n")


def as_json(entry: Entry) -> dict:
    """Return the figures of an entry as plain types."""
    evaluation = entry.evaluation
    return {
        "target": evaluation.target,
        "model": entry.model,
        "model_sha256": entry.embedding["model"],
        **{key: entry.embedding[key] for key in ("engine", "dtype", "flip")},
        "pack_sha256": entry.pack_fingerprint,
        "num_genuine": int(evaluation.is_genuine.sum()),
        "num_impostor": int((~evaluation.is_genuine).sum()),
        "xnorm": evaluation.xnorm,
        "auc": evaluation.auc,
        "eer": evaluation.eer,
        "accuracy_interval": list(evaluation.accuracy_interval),
        "identities_in_several_folds": evaluation.shared_folds,
        "evaluations": {
            name: {
                "accuracy": result.accuracy,
                "std": result.std,
                "cosine": result.threshold,
                "squared_l2": result.squared_l2,
                "folds": [fold.accuracy for fold in result.per_fold],
            }
            for name, result in evaluation.protocol.items()
        },
        "tar_at_far": [_rate_json(rate) for rate in evaluation.rates],
        **failures_json(evaluation.failures, evaluation.error_rates),
    }


def _rate_json(rate: RateAtFar) -> dict:
    if rate.point is None:
        return {"far": rate.wanted_far, "impostors_needed": rate.impostors_needed}
    return {
        "far": rate.wanted_far,
        "tar": rate.point.tar,
        "interval": list(rate.interval),
        "interval_by_identity": list(rate.by_identity) if rate.by_identity else None,
        "reached_far": rate.point.far,
        "cosine": rate.point.threshold,
        "squared_l2": 2 - 2 * rate.point.threshold,
    }


def _section(target: str, entries: list[Entry]) -> str:
    named = [(entry.model, entry.evaluation) for entry in entries]
    first = entries[0]
    flags = first.evaluation.is_genuine
    histograms = "".join(figures.histogram_figure(named, row) for row in range(len(named)))
    shared = first.evaluation.shared_folds
    note = ""
    if shared:
        note = (
            f'<p class="note">{shared} identities occur in more than one fold: thresholds were '
            "chosen on people they are judged on.</p>"
        )
    return f"""
<section>
<h2>{escape(target)} <small>{int(flags.sum()):,} genuine and {int((~flags).sum()):,} impostor
pairs</small></h2>
{note}
{_summary(entries)}
<div class="figures">{figures.roc_figure(named)}{figures.det_figure(named)}
{figures.accuracy_figure(named)}{histograms}</div>
<h3>Threshold card</h3>
<p>Accept a pair when its cosine is at least the threshold, which is the same as a squared L2
distance of unit vectors of at most the one given. Unit vectors: plain + flipped, normalised.</p>
<div class="cards">{"".join(_card(number, entry) for number, entry in enumerate(entries))}</div>
<h3>Folds</h3>
{_folds(entries)}
{"".join(_mistakes(number, entry) for number, entry in enumerate(entries))}
<h3>Fingerprints</h3>
<table class="prints"><tr><th>pair set</th><td>{escape(target)}</td>
<td><code>{first.pack_fingerprint}</code></td><td></td></tr>
{
        "".join(
            f"<tr><th>model</th><td>{escape(e.model)}</td>"
            f"<td><code>{e.embedding['model']}</code></td>"
            f"<td>{escape(_embedded_by(e))}</td></tr>"
            for e in entries
        )
    }</table>
</section>"""


def _embedded_by(entry: Entry) -> str:
    how = entry.embedding
    return f"{how['engine']}, {how['dtype']}, mirror image: {how['flip']}"


def _summary(entries: list[Entry]) -> str:
    supported = [r.wanted_far for r in entries[0].evaluation.rates if r.point is not None]
    head = "".join(f"<th>TAR @ {_power(far)}</th>" for far in supported)
    rows = []
    for number, entry in enumerate(entries):
        result, protocol = entry.evaluation, entry.evaluation.protocol
        low, high = result.accuracy_interval
        cells = [
            f"<b>{100 * protocol['FlipL2'].accuracy:.2f}</b> ± {100 * protocol['FlipL2'].std:.2f}"
            f"<i>{100 * low:.2f} to {100 * high:.2f}</i>",
            f"{100 * protocol['FlipCos'].accuracy:.2f}",
            f"{100 * protocol['UnFlipL2'].accuracy:.2f}",
            f"{100 * protocol['UnFlipCos'].accuracy:.2f}",
        ]
        cells += [_tar_cell(rate) for rate in result.rates if rate.wanted_far in supported]
        cells += [f"{100 * result.eer:.2f}", f"{result.auc:.5f}", f"{result.xnorm:.2f}"]
        rows.append(
            f"<tr><th>{_dot(number)}{escape(entry.model)}</th>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    refused = [r for r in entries[0].evaluation.rates if r.point is None]
    note = ""
    if refused:
        least = refused[0]
        note = (
            f'<p class="note">TAR at {", ".join(_power(r.wanted_far) for r in refused)} is not '
            f"given: {_power(least.wanted_far)} needs {least.impostors_needed:,} impostor pairs, "
            f"there are {int((~entries[0].evaluation.is_genuine).sum()):,}.</p>"
        )
    return f"""
<div class="wide"><table class="figures-table"><tr><th>in %</th><th>FlipL2</th><th>FlipCos</th>
<th>UnFlipL2</th><th>UnFlipCos</th>{head}<th>EER</th><th>AUC</th><th>XNorm</th></tr>
{"".join(rows)}</table></div>
<p class="note">Accuracies are means of {len(entries[0].evaluation.published.per_fold)} folds ±
their standard deviation; below are 95 % Wilson intervals over all pairs; AUC and XNorm are no
percentages.</p>{note}"""


def _tar_cell(rate: RateAtFar) -> str:
    low, high = rate.interval
    text = f"{100 * rate.point.tar:.2f}<i>{100 * low:.2f} to {100 * high:.2f}</i>"
    if rate.by_identity:
        low, high = rate.by_identity
        text += f"<i>people: {100 * low:.2f} to {100 * high:.2f}</i>"
    return text


def _card(number: int, entry: Entry) -> str:
    published = entry.evaluation.published
    rows = [("best accuracy", published.threshold, published.squared_l2, None)]
    rows += [
        (f"FAR {_power(r.wanted_far)}", r.point.threshold, 2 - 2 * r.point.threshold, r.point.tar)
        for r in entry.evaluation.rates
        if r.point is not None
    ]
    lines = "".join(
        f"<tr><th>{name}</th><td>{cosine:.4f}</td><td>{squared:.4f}</td>"
        f"<td>{'' if tar is None else f'{100 * tar:.2f} %'}</td></tr>"
        for name, cosine, squared, tar in rows
    )
    return (
        f'<div class="card"><h4>{_dot(number)}{escape(entry.model)}</h4><table><tr><th></th>'
        f"<th>cosine ≥</th><th>squared L2 ≤</th><th>TAR</th></tr>{lines}</table></div>"
    )


def _folds(entries: list[Entry]) -> str:
    count = len(entries[0].evaluation.published.per_fold)
    head = "".join(f"<th>{fold + 1}</th>" for fold in range(count))
    rows = []
    for number, entry in enumerate(entries):
        result = entry.evaluation.published
        worst = min(fold.accuracy for fold in result.per_fold)
        cells = "".join(
            f"<td{' class=low' if fold.accuracy == worst and count > 1 else ''} "
            f'title="threshold: cosine {fold.threshold:.3f}">{100 * fold.accuracy:.2f}'
            f"<i>{fold.threshold:.3f}</i></td>"
            for fold in result.per_fold
        )
        rows.append(
            f"<tr><th>{_dot(number)}{escape(entry.model)}</th>{cells}"
            f"<td><b>{100 * result.accuracy:.2f}</b><i>± {100 * result.std:.2f}</i></td></tr>"
        )
    return (
        f'<div class="wide"><table class="figures-table"><tr><th>FlipL2, %</th>{head}<th>mean</th>'
        f'</tr>{"".join(rows)}</table></div><p class="note">Below each accuracy: the cosine '
        "threshold that the other folds chose.</p>"
    )


def _mistakes(number: int, entry: Entry) -> str:
    kinds = zip(("False accepts", "False rejects"), wrong_pairs(entry.evaluation), strict=True)
    blocks = []
    for title, pairs in kinds:
        shown = "".join(_picture(entry, int(pair)) for pair in pairs[:PICTURES])
        more = f", the worst {PICTURES}" if len(pairs) > PICTURES else ""
        blocks.append(
            f"<h4>{title}: {len(pairs)}{more}</h4>"
            + (f'<div class="pairs">{shown}</div>' if shown else '<p class="note">None.</p>')
        )
    return f"<h3>{_dot(number)}Mistakes of {escape(entry.model)}</h3>{''.join(blocks)}"


def _picture(entry: Entry, pair: int) -> str:
    bgr = cv2.cvtColor(pair_picture(entry.pair_set, pair), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    data = base64.b64encode(np.asarray(encoded).tobytes()).decode("ascii")
    names = ""
    if entry.pair_set.paths:
        sides = [Path(entry.pair_set.paths[2 * pair + side]).stem for side in (0, 1)]
        names = f"<br>{escape(sides[0])}<br>{escape(sides[1])}"
    return (
        f'<figure><img alt="pair {pair}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>cosine {entry.evaluation.cosines[pair]:.3f}, pair {pair}{names}"
        "</figcaption></figure>"
    )


def _dot(number: int) -> str:
    return f'<span class="dot" style="background:{figures.colour_of(number)}"></span>'


def _power(far: float) -> str:
    return f"10<sup>{round(np.log10(far))}</sup>"
