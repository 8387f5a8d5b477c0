"""Scores of pairs that another system made: a file, and what is reported of them.

    FILE.npy    float (P,)
    any other   text, a line a pair in the order of the list: the score, or fields of which the
                last is the score, by blanks, TABs or commas; a first line without a score is a
                header.  Two fields or more before it that the pair set knows are compared with it
    ALIAS=FILE@lower    another name, and which end is nearer

What a higher score means cannot be seen in it, so the order is declared: "higher" or "lower" is
nearer.  A score has its own unit; thresholds are given in it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import re

import numpy as np

from ..checkpoints.network import file_fingerprint
from ..data.list_faults import all_faults
from ..embedding.npy import open_npy
from ..embedding.source_text import ALIAS
from ..limits import shown
from ..text import finite_number, read_lines
from .evaluation import Evaluation, rates_at_fars, shared_identities
from .intervals import wilson
from .protocols import Fold, VerificationResult, accuracy_per_fold, fold_numbers, result_of
from .scores import area_under_curve, equal_error_rate, roc

ORDERS = ("higher", "lower")
PROTOCOL = "Scores"  # the name of the k-fold result over them
# A comma is taken for the end of a field, so "0,5" would be the score 5.
DECIMAL_COMMA = re.compile(r"(?:^|[;\t ])[-+]?[0-9]+,[0-9]+$")
NOT_MEASURED = float("nan")  # the published TAR, whose thresholds are squared distances


@dataclass(frozen=True)
class ScoreFile:
    """name: for people.  path: {target} in it stands for the pair set.  order: of ORDERS."""

    name: str
    path: str
    order: str

    def for_target(self, target: str) -> Path:
        return Path(self.path.replace("{target}", target))

    def given(self, similarity: float) -> float:
        """Return a similarity in the file's own direction."""
        return similarity if self.order == "higher" else -similarity

    def facts(self, target: str) -> dict[str, str]:
        """Return what the scores came from, as the facts of embeddings."""
        print_of = file_fingerprint(self.for_target(target))
        return {"model": print_of, "engine": "ready scores", "dtype": f"{self.order} is nearer",
                "flip": "as given"}  # fmt: skip


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --scores and --score-order."""
    parser.add_argument(
        "--scores",
        action="append",
        default=[],
        metavar="FILE",
        help="ready scores, one a pair, in the order of the list; ALIAS=FILE@lower; may be given "
        "several times",
    )
    parser.add_argument(
        "--score-order",
        choices=ORDERS,
        help="which scores are nearer (default: FILE@higher or FILE@lower must say it)",
    )


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --features and those of scores, for protocols that keep embeddings."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="PREFIX,NUMBER, FILE.onnx, or ready vectors, FILE.npy, .npz, .parquet or .csv; "
        "ALIAS=.. names it; may be given several times",
    )
    parser.add_argument(
        "--features",
        metavar="FILE.npy",
        help="where the embeddings of a network are kept, 4 KiB an image of 512 numbers; of "
        "several networks {model} in it stands for their names (needed for networks)",
    )
    add_score_arguments(parser)


def check_names(names: Sequence[str]) -> None:
    """Raise ValueError if two models or score files go by one name; "" is none."""
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ValueError(f"two models are called {twice[0]!r}: give each an alias of its own")


def parse_score_file(text: str, order: str | None) -> ScoreFile:
    """Return the score file of "ALIAS=FILE@ORDER"; order: of --score-order, for those without.

    Raises ValueError if the order is not declared.
    """
    found = ALIAS.fullmatch(text)
    alias, path = found.groups() if found else ("", text)
    head, at, own = path.rpartition("@")
    if at and own in ORDERS:
        path, order = head, own
    if order not in ORDERS:
        raise ValueError(
            f"--scores {text}: are higher or lower scores nearer?  Give --score-order higher|lower "
            "(cosines: higher; distances: lower), or FILE@lower"
        )
    return ScoreFile(alias or path, path, order)


def read_scores(
    scores: ScoreFile, target: str, count: int, paths: Sequence[str] = ()
) -> np.ndarray:
    """Return similarities, float64 (P,), higher is nearer: scores of order "lower" are negated.

    count: pairs of the target.  paths: its 2P names, where known, which the file may repeat.
    Raises FileNotFoundError, and ValueError naming the lines that hold no score or name other
    pairs, or for another number of scores.
    """
    path = scores.for_target(target)
    if path.suffix == ".npy":
        found = np.array(open_npy(path, ndim=1, dtypes=("float32", "float16", "float64")), float)
        bad = np.flatnonzero(~np.isfinite(found))
        if len(bad):
            raise ValueError(f"{path}: score {bad[0]} is {found[bad[0]]}; all must be finite")
    else:
        found = _text_scores(path, paths)
    if len(found) != count:
        raise ValueError(f"{path}: {len(found)} scores for {count} pairs of {target}")
    return found if scores.order == "higher" else -found


def _text_scores(path: Path, paths: Sequence[str]) -> np.ndarray:
    values: list[float] = []
    faults: list[str] = []
    with_comma, widths = 0, set()  # lines that end so; numbers of fields
    for place, (number, line) in enumerate(read_lines(path, "list of scores")):
        if DECIMAL_COMMA.search(line.strip()):
            with_comma, of_comma = with_comma + 1, line.strip()
        fields = [field for field in re.split(r"[,\t ]+", line.strip()) if field]
        try:
            value = finite_number(fields[-1])
        except (ValueError, IndexError) as error:
            if place or "nan" in line.lower() or "inf" in line.lower():
                faults.append(f"line {number}: {error}")
            continue
        widths.add(len(fields))
        pair = 2 * len(values)
        if len(fields) > 2 and pair + 1 < len(paths) and fields[0] in (known := set(paths)):
            wanted = list(paths[pair : pair + 2])
            if fields[1] in known and fields[:2] != wanted:
                faults.append(
                    f"line {number}: is of {shown(fields[0])} and {shown(fields[1])}; pair "
                    f"{pair // 2} is {shown(wanted[0])} and {shown(wanted[1])}"
                )
        values.append(value)
    if faults:
        raise ValueError(all_faults(f"{path}: {len(faults)} bad lines:", faults))
    if with_comma and (with_comma == len(values) or len(widths) > 1):
        raise ValueError(
            f"{path}: {with_comma} of {len(values)} lines end in digits, a comma and digits, such "
            f"as {shown(of_comma)}; if that is a number with a decimal comma write 0.5 for 0,5; if "
            "it is two, 0 5 for 0,5"
        )
    return np.array(values, np.float64)


def evaluate_scores(
    target: str,
    similarities: np.ndarray,
    is_genuine: np.ndarray,
    *,
    folds: int = 10,
    identities: Sequence[str] = (),
    rng: np.random.Generator | None = None,
) -> Evaluation:
    """Return the evaluation of similarities, float (P,), in whatever unit; higher is nearer.

    The k-fold threshold is chosen from all that tell scores apart, not from a grid of cosines.
    Raises ValueError as verify_distances().
    """
    similarities = np.asarray(similarities, np.float64)
    if similarities.shape != np.shape(is_genuine) or not np.isfinite(similarities).all():
        raise ValueError(f"{target}: a finite score is needed for each of {len(is_genuine)} pairs")
    result = _k_folds(similarities, is_genuine, folds)
    genuine, impostor = similarities[is_genuine], similarities[~is_genuine]
    right = sum(round(fold.accuracy * fold.num_pairs) for fold in result.per_fold)
    return Evaluation(
        target=target,
        protocol={PROTOCOL: result},
        xnorm=None,
        auc=area_under_curve(genuine, impostor),
        eer=equal_error_rate(roc(genuine, impostor)).far,
        rates=rates_at_fars(similarities, is_genuine, identities, rng),
        accuracy_interval=wilson(right, len(is_genuine)),
        cosines=similarities,
        is_genuine=is_genuine,
        shared_folds=shared_identities(identities, fold_numbers(is_genuine, folds)),
    )


def _k_folds(similarities: np.ndarray, is_genuine: np.ndarray, folds: int) -> VerificationResult:
    fold_of_pair = fold_numbers(is_genuine, folds)
    distances = -similarities
    distinct = np.unique(distances)
    between = distinct[1:] / 2 + distinct[:-1] / 2
    between = np.where(between > distinct[:-1], between, distinct[1:])  # of two that are next
    ends = distinct[0], np.nextafter(distinct[-1], np.inf)  # accept none, accept all
    grid = np.concatenate([ends[:1], between, ends[1:]])
    chosen = accuracy_per_fold(distances, is_genuine, fold_of_pair, folds, grid)
    sizes = np.bincount(fold_of_pair, minlength=folds).tolist()
    return result_of([
        Fold(float(accuracy), float(-threshold), NOT_MEASURED, NOT_MEASURED, size)
        for (accuracy, threshold), size in zip(chosen, sizes, strict=True)
    ])  # fmt: skip
