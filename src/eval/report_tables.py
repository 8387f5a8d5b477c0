"""The tables of a verification report: rates, thresholds, folds, fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report.marks import named
from ..report.scales import power
from ..report.svg import element, text
from ..report.tables import Cell, percent, scrolling, span, table
from .evaluation import RateAtFar
from .protocols import VerificationResult

if TYPE_CHECKING:
    from .report import Entry

ACCEPT = {  # by the end of Entry.unit
    "cosine": "Accept a pair when its cosine is at least the one given; below it the same as a "
    "squared L2 distance of unit vectors, which is to be at most that. Unit vectors: plain + "
    "flipped, normalised; who embeds without the mirror image needs another (--card).",
    "score": "Ready scores have their own unit: accept from the one given on, or with ≤ up to it.",
}
OTHERS = ("FlipCos", "UnFlipL2", "UnFlipCos")  # beside FlipL2, the published one


def note(words: str) -> str:
    """Return a remark, small."""
    return element("p", text(words), class_="note")


def names_of(entries: Sequence[Entry]) -> list[str]:
    """Return the markup of each model's name, its line before it where there are several."""
    if len(entries) == 1:
        return [element("bdi", text(entries[0].name))]
    return [named(number, entry.name) for number, entry in enumerate(entries)]


def warnings(entries: Sequence[Entry]) -> str:
    """Return what a reader must know before the figures."""
    shared = entries[0].evaluation.shared_folds
    if not shared:
        return ""
    return element("p", text(
        f"{shared} identities occur in more than one fold: thresholds were chosen on people they "
        "are judged on."
    ), class_="warning")  # fmt: skip


def rates(entries: Sequence[Entry]) -> str:
    """Return the table of accuracies, TAR at FAR, EER and AUC, and what it does not give."""
    first = entries[0].evaluation
    fars = _supported(entries)
    others = [name for name in OTHERS if any(name in e.evaluation.protocol for e in entries)]
    has_norms = any(entry.evaluation.xnorm is not None for entry in entries)
    head = [
        "in %", "accuracy", *(f"TAR @ FAR {power(far)}" for far in fars), "EER", "AUC", *others,
        *(["XNorm"] if has_norms else []),
    ]  # fmt: skip
    rows = [_rates_of(entry, fars, others, has_norms) for entry in entries]
    caption = (
        f"Accuracy: {_published_names(entries)}, the mean of {len(first.published.per_fold)} folds "
        "± their standard deviation. Below a rate: its 95 % Wilson interval over all pairs"
        + (", then the interval when people are drawn again" if _by_people(entries) else "")
        + (". AUC and XNorm are no percentages." if has_norms else ". AUC is no percentage.")
        + (" Bold: the best of a column." if len(entries) > 1 else "")
    )
    name = f"Rates on {first.target}"
    lines = list(zip(names_of(entries), rows, strict=True))
    return table(name, head, lines) + note(caption) + _refused(entries)


def thresholds(entries: Sequence[Entry]) -> str:
    """Return the threshold card: where to accept, for each model and FAR."""
    fars = _supported(entries)
    head = ["accept from", "best accuracy", *(f"FAR {power(far)}" for far in fars)]
    rows = []
    for name, entry in zip(names_of(entries), entries, strict=True):
        points = {rate.wanted_far: rate.point for rate in entry.evaluation.rates}
        published = entry.evaluation.published
        cells: list[Cell | None] = [_threshold(entry.unit, published.threshold)]
        cells += [points[far] and _threshold(entry.unit, points[far].threshold, points[far].tar)
                  for far in fars]  # fmt: skip
        rows.append((name, cells))
    return (
        element("h3", "Threshold card")
        + element("p", text(" ".join(
            words for unit, words in ACCEPT.items()
            if any(entry.unit.endswith(unit) for entry in entries)
        )))
        + table(f"Thresholds on {entries[0].evaluation.target}", head, rows, is_compared=False)
    )  # fmt: skip


def folds(entries: Sequence[Entry]) -> str:
    """Return the accuracy of each fold, with the threshold that the others chose."""
    count = len(entries[0].evaluation.published.per_fold)
    if count < 2:
        return ""
    rows = []
    for name, entry in zip(names_of(entries), entries, strict=True):
        result = entry.evaluation.published
        cells = [
            Cell(f"{100 * fold.accuracy:.2f}", (_own_unit(entry.unit, fold.threshold, ".3f"),))
            for fold in result.per_fold
        ]
        mean = Cell(f"{100 * result.accuracy:.2f}", (f"± {100 * result.std:.2f}",))
        rows.append((name, [mean, *cells]))
    head = ["in %", "mean", *(f"fold {fold + 1}" for fold in range(count))]
    return (
        element("h3", "Folds")
        + table(f"Folds of {entries[0].evaluation.target}", head, rows, is_compared=False)
        + note("Below each accuracy: the threshold that the other folds chose.")
    )


def fingerprints(entries: Sequence[Entry]) -> str:
    """Return what exactly was compared: models, engines, pair set."""
    head = "".join(element("th", text(words), scope="col") for words in
                   ("name", "model", "SHA-256", "embedded by"))  # fmt: skip
    lines = [
        element(
            "tr", element("th", name, scope="row"), element("td", element("bdi", text(e.model))),
            element("td", element("code", text(e.embedding["model"]))),
            element("td", text(_embedded_by(e))),
        )
        for name, e in zip(names_of(entries), entries, strict=True)
    ]  # fmt: skip
    target, print_of_set = entries[0].evaluation.target, entries[0].pack_fingerprint
    lines.append(element(
        "tr", element("th", text(target), scope="row"), element("td", "the pair set"),
        element("td", element("code", text(print_of_set))), element("td", ""),
    ))  # fmt: skip
    body = element("thead", element("tr", head)) + element("tbody", *lines)
    return element("h3", "Fingerprints") + scrolling(
        f"Fingerprints of models and {target}", element("table", body, class_="words")
    )


def _embedded_by(entry: Entry) -> str:
    how = entry.embedding
    fed = f", fed {how['input']}" if "input" in how else ""
    return f"{how['engine']}, {how['dtype']}, mirror image: {how['flip']}{fed}"


def _supported(entries: Sequence[Entry]) -> list[float]:
    """Return the FARs that the impostor pairs of some model support, the largest first."""
    rates = (rate for entry in entries for rate in entry.evaluation.rates)
    return sorted({rate.wanted_far for rate in rates if rate.point is not None}, reverse=True)


def _published_names(entries: Sequence[Entry]) -> str:
    """Return which protocols the accuracies are of: FlipL2, of ready scores theirs."""
    names = (
        next(n for n, r in e.evaluation.protocol.items() if r is e.evaluation.published)
        for e in entries
    )
    return " or ".join(dict.fromkeys(names))


def _by_people(entries: Sequence[Entry]) -> bool:
    return any(rate.by_identity for entry in entries for rate in entry.evaluation.rates)


def _rates_of(
    entry: Entry, fars: Sequence[float], others: Sequence[str], has_norms: bool
) -> list[Cell | None]:
    evaluation = entry.evaluation
    result = evaluation.published
    points = {rate.wanted_far: rate for rate in evaluation.rates}
    accuracy = f"{100 * result.accuracy:.2f} ± {100 * result.std:.2f}"
    return [
        Cell(accuracy, (span(evaluation.accuracy_interval),), result.accuracy),
        *(_tar(points[far]) for far in fars),
        percent(evaluation.eer, compared=-1),
        Cell(f"{evaluation.auc:.5f}", value=evaluation.auc),
        *(_other(evaluation.protocol.get(name)) for name in others),
        *([_norm(evaluation.xnorm)] if has_norms else []),
    ]


def _other(result: VerificationResult | None) -> Cell | None:
    return None if result is None else percent(result.accuracy)


def _norm(xnorm: float | None) -> Cell | None:
    return None if xnorm is None else Cell(f"{xnorm:.2f}")


def _tar(rate: RateAtFar) -> Cell | None:
    if rate.point is None:
        return None
    below = [span(rate.interval)]
    if rate.by_identity:
        below.append(f"people {span(rate.by_identity)}")
    return Cell(f"{100 * rate.point.tar:.2f}", below, rate.point.tar)


def _threshold(unit: str, similarity: float, tar: float | None = None) -> Cell:
    below = [f"L2 ≤ {2 - 2 * similarity:.4f}"] if unit == "cosine" else []
    if tar is not None:
        below.append(f"TAR {100 * tar:.2f} %")
    return Cell(_own_unit(unit, similarity, ".4f" if unit == "cosine" else ".6g"), below)


def acceptance(unit: str, similarity: float) -> str:
    """Return which values are accepted, in the unit of their system: "≥ 0.3550"."""
    words = _own_unit(unit, similarity, ".4f" if unit == "cosine" else ".6g")
    return words if words.startswith("≤") else f"≥ {words}"


def _own_unit(unit: str, similarity: float, form: str) -> str:
    """Return a threshold as its system gives it."""
    if unit == "−score":
        return f"≤ {-similarity:{form}}".replace("-", "−")
    return f"{similarity:{form}}".replace("-", "−")


def _refused(entries: Sequence[Entry]) -> str:
    refused = [rate for rate in entries[0].evaluation.rates if rate.point is None]
    if not refused:
        return ""
    least, there = refused[0], int((~entries[0].evaluation.is_genuine).sum())
    fars = ", ".join(power(rate.wanted_far) for rate in refused)
    return note(
        f"TAR at FAR {fars} is not given: {power(least.wanted_far)} needs "
        f"{least.impostors_needed:,} impostor pairs, there are {there:,}."
    )
