"""The files of a plan, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
import json
from pathlib import Path

import numpy as np

from ..files import replace_file
from .balance import balance
from .clusters import PERSON
from .decisions import ACTIONS, DROP, LOOK, MOVE, NAMES
from .faces import Faces
from .inputs import Reference
from .plan_file import COLUMNS, write_rows
from .planning import Options, Planned

IDENTITY_COLUMNS = (
    "identity", "name", "images", "spread", "lowest", "others", "images_after",
)  # fmt: skip


def write_results(
    folder: Path, faces: Faces, planned: Planned, names: dict[int, str],
    references: Sequence[Reference], options: Options,
) -> None:  # fmt: skip
    """Write plan.tsv, identities.tsv, centres.npy, overlap.tsv and summary.json."""
    write_rows(folder / "plan.tsv", COLUMNS, _plan_rows(faces, planned, names, references))
    write_rows(folder / "identities.tsv", IDENTITY_COLUMNS, _identity_rows(faces, planned, names))
    with replace_file(folder / "centres.npy") as file:
        lengths = np.linalg.norm(planned.means, axis=1, keepdims=True)
        np.save(file, planned.means / np.maximum(lengths, 1e-12))
    if references:
        rows = _overlap_rows(faces, planned, names, references, options.overlap)
        columns = ("identity", "name", "images", "against", "who", "cosine", "is_overlap")
        write_rows(folder / "overlap.tsv", columns, rows)
    with replace_file(folder / "summary.json", "w", encoding="utf-8") as file:
        json.dump(summary(faces, planned), file, indent=1)


def _plan_rows(
    faces: Faces, planned: Planned, names: dict[int, str], references: Sequence[Reference]
) -> Iterator[tuple]:  # fmt: skip
    found = planned.decisions
    for place in np.flatnonzero(found.reason >= 0).tolist():
        identity, reason = int(faces.identities[place]), NAMES[found.reason[place]]
        other: object = int(found.other[place])
        if reason == "overlap":
            person = faces.people[place]
            other = _who(planned, references, person, float(found.score[place]))
        yield (
            faces.keys[place], identity, names.get(identity, ""), ACTIONS[found.action[place]],
            found.target[place] if found.action[place] == MOVE else "-", reason,
            _number(found.score[place]), "-" if other == -1 else other,
        )  # fmt: skip


def _who(
    planned: Planned, references: Sequence[Reference], person: int, score: float
) -> str:  # fmt: skip
    for reference in references:
        similar, cosines = planned.overlaps[reference.name]
        if float(cosines[person]) == score:
            return f"{reference.name}: {reference.names[similar[person]]}"
    return "-"


def _identity_rows(
    faces: Faces, planned: Planned, names: dict[int, str]
) -> Iterator[tuple]:  # fmt: skip
    after = planned.decisions.identities(faces)
    counts = np.bincount(after[after >= 0], minlength=int(faces.numbers.max()) + 1)
    for person, identity in enumerate(faces.numbers.tolist()):
        places = slice(faces.starts[person], faces.starts[person + 1])
        spread = planned.spread[places]
        spread = spread[~np.isnan(spread)]
        yield (
            identity, names.get(identity, ""), faces.counts[person],
            _number(spread.mean() if len(spread) else np.nan),
            _number(spread.min() if len(spread) else np.nan),
            int((planned.labels[places] != PERSON).sum()), counts[identity],
        )  # fmt: skip


def _overlap_rows(
    faces: Faces, planned: Planned, names: dict[int, str], references: Sequence[Reference],
    least: float,
) -> Iterator[tuple]:  # fmt: skip
    for reference in references:
        similar, cosines = planned.overlaps[reference.name]
        for person in np.argsort(-cosines, kind="stable").tolist():
            identity = int(faces.numbers[person])
            yield (
                identity, names.get(identity, ""), faces.counts[person], reference.name,
                reference.names[similar[person]], _number(cosines[person]),
                int(cosines[person] >= least),
            )  # fmt: skip


def summary(faces: Faces, planned: Planned) -> dict:
    """Return the figures of a plan, JSON: thresholds, counts by reason, balance."""
    found = planned.decisions
    after = found.identities(faces)
    kept = after[after >= 0]
    reasons = {}
    for number, name in enumerate(NAMES):
        places = found.reason == number
        if places.any():
            reasons[name] = {"images": int(places.sum()),
                             "identities": len(np.unique(faces.identities[places]))}  # fmt: skip
    thresholds = {name: None if np.isnan(value) else round(float(value), 4)
                  for name, value in asdict(planned.thresholds).items()}  # fmt: skip
    return {
        "images": len(faces),
        "identities": len(faces.counts),
        "thresholds": thresholds,
        "reasons": reasons,
        "dropped": int((found.action == DROP).sum()),
        "moved": int((found.action == MOVE).sum()),
        "to_look_at": int((found.action == LOOK).sum()),
        "before": balance(faces.counts),
        "after": balance(np.unique(kept, return_counts=True)[1]) if len(kept) else None,
        "overlap": {
            name: round(float(cosines.max()), 4) for name, (_, cosines) in planned.overlaps.items()
        },  # fmt: skip
    }


def told(faces: Faces, planned: Planned) -> list[str]:
    """Return lines for people."""
    figures = summary(faces, planned)
    at = figures["thresholds"]
    lines = [
        f"{figures['images']} images of {figures['identities']} identities; one person "
        f"{at['genuine']}, strangers {at['strangers']} +- {at['deviation']}: link {at['link']}, "
        f"own {at['own']}, merge {at['merge']}"
    ]
    for name, one in figures["reasons"].items():
        lines.append(f"{name:18} {one['images']:8} images of {one['identities']} identities")
    lines.append(
        f"{figures['dropped']} to drop, {figures['moved']} to move, "
        f"{figures['to_look_at']} to look at"
    )
    return lines


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"
