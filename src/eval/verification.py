"""Verify checkpoints on pair sets, as published and beyond.

    arcface-verify --data-dir DATASET --model ../model/r50,1 --target lfw,cfp_fp,agedb_30
    arcface-verify --data-dir DATASET --model 'a/softmax,10|11' --model b/softmax --report out.html
    arcface-verify --data-dir DATASET --model net.onnx --target lfw
    arcface-verify --data-dir DATASET --model zoo=w600k_r50.onnx@insightface --target lfw
    arcface-verify --data-dir DATASET --model 'vendor=vendor_{target}.npy' --target lfw
    arcface-verify --data-dir DATASET --scores vendor.txt --score-order higher --target lfw

Targets are NAME.bin in --data-dir.  A bare prefix means all its checkpoints, newest first.
docs/any-model.md says what a model may be.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
import logging
from pathlib import Path
import pickle
import sys

from arcface_mxnet.checkpoints.network import file_fingerprint
from arcface_mxnet.cli import run
from arcface_mxnet.embedding.arguments import add_network_arguments
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.eval.aliases import add_report_arguments, with_aliases
from arcface_mxnet.eval.bad_cases import write_mosaic, wrong_pairs
from arcface_mxnet.eval.evaluation import FLIP_MODES, Evaluation, evaluate, flip_embedding
from arcface_mxnet.eval.failures import Failures, scores_to_compare
from arcface_mxnet.eval.outcomes import (
    add_outcome_arguments,
    check_outcomes,
    chosen_failures,
    compared_pairs,
    print_failures,
    write_outcomes,
)
from arcface_mxnet.eval.pair_containers import find_pair_set
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set
from arcface_mxnet.eval.pca import verify_components
from arcface_mxnet.eval.protocols import fold_numbers
from arcface_mxnet.eval.report import Entry, write_json, write_report
from arcface_mxnet.eval.score_files import (
    add_score_arguments,
    check_names,
    evaluate_scores,
    parse_score_file,
    read_scores,
)
from arcface_mxnet.eval.scored_pairs import scores_path
from arcface_mxnet.eval.verified_models import (
    embed,
    list_models,  # noqa: F401  (where scripts look for it)
    open_models,
    property_size,
    refuse_one_for_all,
)
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import check_outputs, file_name, refuse_changed, whole
from arcface_mxnet.report.names import model_names
import numpy as np

logger = logging.getLogger(__name__)

TEST, BAD_CASES, DUMP = 0, 1, 2
OF_MODELS = ("pca", "flip_mode", "max", "card")
DEFAULT_TARGETS = "lfw,cfp_ff,cfp_fp,agedb_30"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", default="", help="folder with the pair sets NAME.bin (default: this one)")
    add(
        "--model",
        action="append",
        default=[],
        help="PREFIX,NUMBER or PREFIX,N1|N2 or PREFIX (all its checkpoints), FILE.onnx, or ready "
        "vectors, FILE.npy, .npz, .parquet or .csv; ALIAS=.. names it; may be given several times",
    )
    add_score_arguments(parser)
    add("--target", default=DEFAULT_TARGETS, help="pair sets, comma separated (%(default)s)")
    add("--max", default="", help="A,B: only checkpoints A to B - 1 of the list, counted from 0")
    add(
        "--mode",
        type=int,
        default=TEST,
        choices=(TEST, BAD_CASES, DUMP),
        help="0 figures; 1 also pictures of the wrong pairs in ./badcases; 2 only write the "
        "embeddings to ./temp.bin, a pickle of (float32 (2P, D), flags) (%(default)s)",
    )
    add(
        "--nfolds",
        type=whole(1),
        default=10,
        help="folds; 1 chooses and judges on all (%(default)s)",
    )
    add(
        "--flip-mode",
        choices=FLIP_MODES,
        default="sum",
        help="how the embeddings of an image and its mirror image become one (%(default)s)",
    )
    add("--seed", type=whole(), default=0, help="seed of the identity bootstrap (%(default)s)")
    add("--pca", type=whole(), default=0,
        help="K: also report the accuracy on K principal components, "
        "fitted on the training folds (0: off)")  # fmt: skip
    add_report_arguments(parser, "curves, folds, thresholds, wrong pairs")
    add("--json", type=file_name(".json"),
        help="file to write, FILE.json: every figure; FILE.scores.npz beside it "
        "holds the score of every pair, which arcface-compare reads")  # fmt: skip
    add_outcome_arguments(parser)
    add_network_arguments(parser, batch_size=32)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: verify(arguments))


def verify(arguments: argparse.Namespace) -> None:
    """Print the figures of every model on every target."""
    outputs = {f"--{name}": getattr(arguments, name) for name in ("report", "json", "card")}
    if arguments.mode == DUMP:
        if arguments.json:
            logger.warning("--mode 2 writes embeddings alone: %s is not written", arguments.json)
        names = ("report", "card", "pca")
        refuse_changed(build_parser(), arguments, names, "--mode 2, which writes embeddings alone,")
    if not arguments.model:
        refuse_changed(build_parser(), arguments, OF_MODELS, "--scores without --model")
    check_outputs(
        outputs | {"the scores beside --json": arguments.json and scores_path(arguments.json)}
    )
    models = open_models(arguments)
    scores = [parse_score_file(text, arguments.score_order) for text in arguments.scores]
    check_names([*(model.alias for model in models), *(one.name for one in scores)])
    model_names([one.name for one in (*models, *scores)], arguments.alias)  # early
    pair_sets = dict(read_targets(arguments.data_dir, arguments.target, arguments.nfolds))
    if arguments.mode == DUMP and (len(models) * len(pair_sets) > 1 or scores):
        raise ValueError("--mode 2 writes one file: give one model and one --target")
    if len(pair_sets) > 1:
        refuse_one_for_all(models, scores, list(pair_sets))
    check_outcomes(arguments, len(models) + len(scores), len(pair_sets))
    entries = []
    for target, pair_set in pair_sets.items():
        source = find_pair_set(arguments.data_dir, target)
        failures = chosen_failures(pair_set, arguments.failures, source)
        compared = compared_pairs(pair_set, failures)
        evaluated = len(entries)
        for model in models:
            embeddings, facts = embed(model, target, pair_set, arguments)
            if arguments.mode == DUMP:
                dump(embeddings, arguments.flip_mode)
                return
            evaluation = evaluate(
                target,
                embeddings,
                folds=arguments.nfolds,
                flip_mode=arguments.flip_mode,
                identities=pair_set.identities,
                rng=np.random.default_rng(arguments.seed),
                failures=failures,
            )
            facts |= {"flip": facts.get("flip", arguments.flip_mode)}
            entries.append(_entry(model.name, facts, compared, evaluation, arguments))
            _tell(entries[-1], len(models) + len(scores) > 1, arguments, embeddings)
        for one in scores:
            similarities = read_scores(one, target, len(pair_set), pair_set.paths)
            evaluation = evaluate_scores(
                target,
                scores_to_compare(similarities, failures),
                compared.is_genuine,
                folds=arguments.nfolds,
                identities=compared.identities,
                rng=np.random.default_rng(arguments.seed),
            )
            evaluation = replace(evaluation, failures=failures)
            entries.append(_entry(one.name, one.facts(target), compared, evaluation, arguments))
            several = len(models) + len(scores) > 1
            _tell(entries[-1], several, arguments, is_distance=one.order == "lower")
        accuracies = [entry.evaluation.published.accuracy for entry in entries[evaluated:]]
        print(f"Max of [{target}] is {max(accuracies):1.5f}")
    entries = with_aliases(entries, arguments.alias)
    if arguments.report:
        write_report(arguments.report, entries)
    if arguments.json:
        write_json(arguments.json, entries)
    write_outcomes(arguments, entries, property_size(arguments.data_dir))


def _entry(
    name: str,
    facts: dict[str, str],
    pair_set: PairSet,
    evaluation: Evaluation,
    arguments: argparse.Namespace,
) -> Entry:
    fingerprint = file_fingerprint(find_pair_set(arguments.data_dir, evaluation.target))
    return Entry(name, facts, fingerprint, pair_set, evaluation)


def _tell(
    entry: Entry,
    is_one_of_several: bool,
    arguments: argparse.Namespace,
    embeddings: PairEmbeddings | None = None,
    *,
    is_distance: bool = False,
) -> None:
    """Print the figures of one model on one target, and draw its mistakes if they are wanted."""
    if is_one_of_several:
        print(f"({entry.model})")
    print_evaluation(entry.evaluation, is_distance=is_distance)
    print_failures(entry.evaluation, is_distance=is_distance)
    if arguments.pca and embeddings is not None:
        print_pca(entry.evaluation.target, embeddings, arguments, entry.evaluation.failures)
    if arguments.mode == BAD_CASES:
        write_bad_cases(Path("badcases"), entry.evaluation, entry.pair_set)


def read_targets(data_dir: str, targets: str, folds: int) -> Iterator[tuple[str, PairSet]]:
    """Yield (name, pair set) of each target that is there; the absent ones are named.

    Raises FileNotFoundError if there are none at all.
    """
    names = [name.strip() for name in targets.split(",") if name.strip()]
    paths = {name: find_pair_set(data_dir, name) for name in names}
    there = [name for name in names if paths[name].is_file()]
    for name in names:
        if name not in there:
            logger.warning("%s is left out: no file %s", name, paths[name])
    if not there:
        raise FileNotFoundError(f"--target {targets}: none is in {Path(data_dir).absolute()}")
    for name in there:
        path = paths[name]
        pair_set = read_pair_set(path)
        try:
            fold_numbers(pair_set.is_genuine, folds)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        yield name, pair_set


def print_evaluation(evaluation: Evaluation, *, is_distance: bool = False) -> None:
    """Print the published lines, then what they leave out.

    is_distance: the scores were given, and lower is nearer: thresholds are shown as they were.
    """
    name, flip = evaluation.target, evaluation.published
    of_scores = evaluation.xnorm is None

    def at(threshold: float) -> str:
        if of_scores:  # in their own unit
            return f"at score {-threshold if is_distance else threshold:.6g}"
        return f"at cosine {threshold:.4f} = squared L2 {2 - 2 * threshold:.4f}"

    if not of_scores:
        plain = evaluation.protocol["UnFlipL2"]
        print(f"[{name}]XNorm: {evaluation.xnorm:f}")
        print(f"[{name}]Accuracy: {plain.accuracy:1.5f}+-{plain.std:1.5f}")
        print(f"[{name}]Accuracy-Flip: {flip.accuracy:1.5f}+-{flip.std:1.5f}")
    for variant, result in evaluation.protocol.items():
        print(
            f"[{name}]{variant}: {result.accuracy:1.5f}+-{result.std:1.5f} {at(result.threshold)}"
        )
    low, high = evaluation.accuracy_interval
    first = next(iter(evaluation.protocol))
    print(f"[{name}]{first} accuracy, 95 % interval: {low:.5f} to {high:.5f}")
    print(f"[{name}]AUC: {evaluation.auc:.6f}  EER: {evaluation.eer:.5f}")
    for rate in evaluation.rates:
        if rate.point is None:
            print(
                f"[{name}]TAR@FAR={rate.wanted_far:.0e}: needs {rate.impostors_needed:,} impostor "
                f"pairs, there are {int((~evaluation.is_genuine).sum()):,}"
            )
            continue
        low, high = rate.interval
        people = ""
        if rate.by_identity:
            people = ", people resampled {:.5f} to {:.5f}".format(*rate.by_identity)
        print(
            f"[{name}]TAR@FAR={rate.wanted_far:.0e}: {rate.point.tar:.5f} "
            f"({low:.5f} to {high:.5f}{people}) {at(rate.point.threshold)}"
        )
    if evaluation.shared_folds:
        print(f"[{name}]{evaluation.shared_folds} identities occur in more than one fold: the "
              "threshold was chosen on people it is judged on")  # fmt: skip


def print_pca(
    target: str,
    embeddings: PairEmbeddings,
    arguments: argparse.Namespace,
    failures: Failures | None = None,
) -> None:
    """Print the k-fold accuracy on principal components of the flip embedding."""
    if failures is not None:
        embeddings = embeddings.part(failures.compared)  # check_outcomes() lets skip alone through
    both = flip_embedding(embeddings, arguments.flip_mode)
    result = verify_components(
        both[0::2], both[1::2], embeddings.is_genuine, arguments.pca, folds=arguments.nfolds
    )
    print(
        f"[{target}]FlipL2, {arguments.pca} components: {result.accuracy:1.5f}+-{result.std:1.5f}"
    )


def write_bad_cases(folder: Path, evaluation: Evaluation, pair_set: PairSet) -> None:
    """Write the wrong pairs as two mosaics under their published names."""
    false_accepts, false_rejects = wrong_pairs(evaluation)
    name = evaluation.target
    write_mosaic(folder / f"{name}_negative(false_positive).png", pair_set, false_accepts)
    write_mosaic(folder / f"{name}_positive(false_negative).png", pair_set, false_rejects)
    print(f"[{name}]{len(false_accepts)} false accepts, {len(false_rejects)} false rejects "
          f"in {folder}")  # fmt: skip


def dump(embeddings: PairEmbeddings, flip_mode: str) -> None:
    """Write ./temp.bin as published: a pickle of the unit embeddings and the flags."""
    unit = unit_rows(flip_embedding(embeddings, flip_mode), np.float64).astype(np.float32)
    with replace_file("temp.bin") as file:
        pickle.dump((unit, [bool(flag) for flag in embeddings.is_genuine]), file, protocol=2)
    print(f"temp.bin: embeddings {unit.shape}, {len(embeddings.is_genuine)} flags")


if __name__ == "__main__":
    sys.exit(main())
