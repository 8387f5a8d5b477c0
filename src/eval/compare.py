"""Compare models on the same pairs: differences with intervals, McNemar's test, groups.

    arcface-verify --data-dir DATASET --model a/softmax,10 --target lfw,cfp_fp --json a.json
    arcface-verify --data-dir DATASET --model b/softmax,10 --target lfw,cfp_fp --json b.json
    arcface-compare old=a.json new=b.json
    arcface-compare old=a.json new=b.json --group age --format csv --output compared.csv

Files are what arcface-verify --json wrote, FILE.json with FILE.scores.npz beside it.  Every other
model is compared with the reference; accuracies are k-fold ones (FlipL2).  The same seed gives the
same intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.eval.comparison import (
    NO_VALUE,
    REPLICATES,
    check_same_pairs,
    difference,
    figures_of,
    rates_by_group,
)
from arcface_mxnet.eval.comparison_tables import FORMATS, Comparison, rendered
from arcface_mxnet.eval.scored_pairs import ENDING, ScoredPairs, read_scored_pairs, scores_path
from arcface_mxnet.eval.scores import is_supported
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import check_outputs, file_name, whole
from arcface_mxnet.report.names import shortest_names
from arcface_mxnet.text import finite_number
import numpy as np

MOST_REPLICATES = 1_000_000
Scored = dict[tuple[str, str], ScoredPairs]  # by target and model


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("results", nargs="+", metavar="[NAME=]FILE", help="FILE.json or FILE.scores.npz; NAME "
        "stands for its model in the tables (default: its name when it was verified, or the "
        "shortest part of its path that tells it from the others)")  # fmt: skip
    add("--reference", default="", metavar="NAME", help="model that the others are compared with "
        "(default: the first)")  # fmt: skip
    add("--far", default="0.01,0.001,0.0001", help="FARs of TAR, fractions, comma separated; one "
        "that the impostor pairs cannot support is refused with the number it needs "
        "(%(default)s)")  # fmt: skip
    add("--group", action="append", default=[], metavar="COLUMN", help="rates by group: a column "
        "of the pair set, all groups at the threshold of the smallest FAR that all pairs support; "
        "may be repeated (default: none)")  # fmt: skip
    add("--format", choices=FORMATS, default="markdown", help="tables in %%, or csv: a record for "
        "every figure, as fractions (%(default)s)")  # fmt: skip
    add(
        "--output",
        type=file_name(),
        metavar="FILE",
        help="file to write (default: standard output)",
    )
    add("--seed", type=whole(), default=0, help="seed of the bootstrap (%(default)s)")
    add(
        "--replicates",
        type=int,
        default=REPLICATES,
        help="draws of the bootstrap (%(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: write(arguments))


def write(arguments: argparse.Namespace) -> None:
    """Write the comparison in the form that is asked for."""
    paths = [_name_and_path(text)[1] for text in arguments.results]
    beside = [path.removesuffix(ENDING) + ".json" for path in paths]
    check_outputs({"--output": arguments.output}, [*paths, *map(scores_path, paths), *beside])
    text = rendered(compared(arguments), arguments.format)
    if not arguments.output:
        print(text, end="")
        return
    with replace_file(Path(arguments.output), "w", encoding="utf-8",
                      errors="backslashreplace") as file:  # fmt: skip
        file.write(text)


def compared(arguments: argparse.Namespace) -> Comparison:
    """Return everything that is told of the files."""
    fars = fars_of(arguments.far)
    if not 100 <= arguments.replicates <= MOST_REPLICATES:
        raise ValueError(
            f"--replicates {arguments.replicates}: at least 100 draws, at most {MOST_REPLICATES}"
        )
    scored = read_all(arguments.results)
    models = list(dict.fromkeys(model for _, model in scored))
    reference = arguments.reference or models[0]
    if reference not in models:
        raise ValueError(f"--reference {reference}: known are {', '.join(models)}")
    differences, groups, notes = {}, {}, []
    for (target, model), one in scored.items():
        if model != reference and (target, reference) in scored:
            # The same draws for every model of a target.
            rng = np.random.default_rng(arguments.seed)
            other = scored[target, reference]
            differences[target, model] = difference(one, other, fars, rng, arguments.replicates)
        elif model != reference:
            notes.append(f"{target}: {reference} was not verified on it, {model} is not compared")
        for column in arguments.group:
            # A column that no file has is refused by rates_by_group().
            if column in one.columns or not any(column in each.columns for each in scored.values()):
                far = smallest_supported(fars, one)
                groups[target, model, column] = far, rates_by_group(one, column, far)
            else:
                notes.append(f"{target}: {one.path} has no column {column}, no groups of {model}")
    notes += group_notes(groups)
    figures = {key: figures_of(one, fars) for key, one in scored.items()}
    return Comparison(figures, reference, differences, groups, fars, list(dict.fromkeys(notes)))


def fars_of(text: str) -> list[float]:
    """Return the FARs of --far.  Raises ValueError unless they are fractions, each once."""
    try:
        fars = [finite_number(part.strip()) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--far {text}: {error}") from None
    if not all(0 < far < 1 for far in fars) or len(set(fars)) < len(fars):
        raise ValueError(f"--far {text}: fractions above 0 and below 1, each once")
    return fars


def read_all(results: Sequence[str]) -> Scored:
    """Return the scores of all files, by target and model, target after target.

    Raises ValueError for two models of one name and for a target of different pairs.
    """
    found: Scored = {}
    given = set()
    for text in results:
        name, path = _name_and_path(text)
        entries = read_scored_pairs(path)
        models = list(dict.fromkeys(entry.facts["model"] for entry in entries))
        if name and len(models) > 1:
            raise ValueError(
                f"{text}: {path} holds {len(models)} models ({', '.join(models)}); a name is for "
                "one: leave it out"
            )
        given |= {name} - {""}
        for entry in entries:
            key = entry.facts["target"], name or entry.facts["model"]
            if key in found:
                raise ValueError(
                    f"{key[1]} on {key[0]} stands in {found[key].path} and in {entry.path}; give "
                    "each model a name of its own: NAME=FILE"
                )
            found[key] = entry
    short = short_names([one for (_, name), one in found.items() if name not in given], given)
    targets = list(dict.fromkeys(target for target, _ in found))
    ordered = {
        (target, short.get(key[1], key[1])): found[key]
        for target in targets for key in found if key[0] == target
    }  # fmt: skip
    first = {}
    for (target, _), entry in ordered.items():
        check_same_pairs(first.setdefault(target, entry), entry)
    return ordered


def _name_and_path(text: str) -> tuple[str, str]:
    """Return what [NAME=]FILE gives, the name empty where there is none."""
    return ("", text) if Path(text).is_file() else text.rpartition("=")[::2]


def short_names(scored: Sequence[ScoredPairs], taken: set[str]) -> dict[str, str]:
    """Return the name of each model without one: its alias when it was verified, or the shortest
    part of its path that tells it from the others; the model itself where these are taken."""
    alias_of = {one.facts["model"]: one.facts["alias"] for one in scored}
    for names in (list(alias_of.values()), shortest_names(list(alias_of))):
        if len({*names, *taken}) == len(names) + len(taken):
            return dict(zip(alias_of, names, strict=True))
    return {}


def smallest_supported(fars: Sequence[float], scored: ScoredPairs) -> float:
    """Return the smallest FAR that the impostor pairs support.  Raises ValueError for none."""
    impostors = int((~scored.is_genuine).sum())
    supported = [far for far in fars if is_supported(far, impostors)]
    if not supported:
        raise ValueError(
            f"--group: {scored.facts['target']} has {impostors:,} impostor pairs, which support "
            f"none of --far {','.join(f'{far:g}' for far in fars)}; ask for "
            f"{1 / max(impostors, 1):.1e} or above"
        )
    return min(supported)


def group_notes(groups: dict) -> list[str]:
    """Return what must be said of groups: pairs without a value, kinds of pairs that are absent."""
    notes = []
    for (target, _, column), (_, rates) in groups.items():
        for one in rates:
            where = f"{target}, column {column}"
            if one.group == NO_VALUE:
                pairs = one.num_genuine + one.num_impostor
                notes.append(
                    f"{where}: {pairs:,} pairs have no value, they are the group {NO_VALUE}"
                )
            for noun, count in (("genuine", one.num_genuine), ("impostor", one.num_impostor)):
                if not count:
                    notes.append(f"{where}: group {one.group} has no {noun} pair")
    return notes


if __name__ == "__main__":
    sys.exit(main())
