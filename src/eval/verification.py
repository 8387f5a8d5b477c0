"""Verify checkpoints on pair sets, as published and beyond.

    arcface-verify --data-dir DATASET --model ../model/r50,1 --target lfw,cfp_fp,agedb_30
    arcface-verify --data-dir DATASET --model 'a/softmax,10|11' --model b/softmax --report out.html
    arcface-verify --data-dir DATASET --model net.onnx --target lfw

Targets are NAME.bin in --data-dir.  A bare prefix means all its checkpoints, newest first.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import logging
from pathlib import Path
import pickle
import sys

from arcface_mxnet.checkpoints.names import checkpoint_numbers
from arcface_mxnet.checkpoints.network import file_fingerprint
from arcface_mxnet.cli import run
from arcface_mxnet.data.dataset import read_property
from arcface_mxnet.embedding.arguments import add_network_arguments, open_embedder
from arcface_mxnet.embedding.vectors import unit_rows
from arcface_mxnet.eval.bad_cases import write_mosaic, wrong_pairs
from arcface_mxnet.eval.evaluation import FLIP_MODES, Evaluation, evaluate, flip_embedding
from arcface_mxnet.eval.failures import Failures
from arcface_mxnet.eval.outcomes import (
    add_outcome_arguments,
    check_outcomes,
    chosen_failures,
    compared_pairs,
    print_failures,
    write_outcomes,
)
from arcface_mxnet.eval.pair_containers import find_pair_set
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings, embed_pair_set
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set
from arcface_mxnet.eval.pca import verify_components
from arcface_mxnet.eval.protocols import fold_numbers
from arcface_mxnet.eval.report import Entry, write_json, write_report
from arcface_mxnet.files import replace_file
import numpy as np

logger = logging.getLogger(__name__)

TEST, BAD_CASES, DUMP = 0, 1, 2
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
        required=True,
        help="PREFIX,NUMBER or PREFIX,N1|N2 or PREFIX (all its checkpoints) or FILE.onnx; may be "
        "given several times",
    )
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
    add("--nfolds", type=int, default=10, help="folds; 1 chooses and judges on all (%(default)s)")
    add(
        "--flip-mode",
        choices=FLIP_MODES,
        default="sum",
        help="how the embeddings of an image and its mirror image become one (%(default)s)",
    )
    add("--seed", type=int, default=0, help="seed of the identity bootstrap (%(default)s)")
    add("--pca", type=int, default=0, help="K: also report the accuracy on K principal components, "
        "fitted on the training folds (0: off)")  # fmt: skip
    add("--report", help="page to write, FILE.html: curves, folds, thresholds, wrong pairs")
    add("--json", help="file to write, FILE.json: every figure; FILE.scores.npz beside it "
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
    models = list_models(arguments.model, arguments.max)
    pair_sets = dict(read_targets(arguments.data_dir, arguments.target, arguments.nfolds))
    if arguments.mode == DUMP and len(models) * len(pair_sets) > 1:
        raise ValueError("--mode 2 writes one file: give one model and one --target")
    check_outcomes(arguments, len(models), len(pair_sets))
    entries = []
    for target, pair_set in pair_sets.items():
        path = find_pair_set(arguments.data_dir, target)
        failures = chosen_failures(pair_set, arguments.failures, path)
        compared = compared_pairs(pair_set, failures)
        accuracies = []
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
            if len(models) > 1:
                print(f"({model})")
            print_evaluation(evaluation)
            print_failures(evaluation)
            if arguments.pca:
                print_pca(target, embeddings, arguments, failures)
            entries.append(
                Entry(
                    model,
                    facts | {"flip": arguments.flip_mode},
                    file_fingerprint(path),
                    compared,
                    evaluation,
                )
            )
            accuracies.append(evaluation.published.accuracy)
            if arguments.mode == BAD_CASES:
                write_bad_cases(Path("badcases"), evaluation, compared)
        print(f"Max of [{target}] is {max(accuracies):1.5f}")
    if arguments.report:
        write_report(arguments.report, entries)
    if arguments.json:
        write_json(arguments.json, entries)
    write_outcomes(arguments, entries, image_size_of(arguments))


def list_models(texts: list[str], limits: str = "") -> list[str]:
    """Return "prefix,number" and .onnx paths out of what --model may say, in order.

    limits: --max, "a,b".  Raises FileNotFoundError if a bare prefix has no checkpoint.
    """
    models: list[str] = []
    for text in texts:
        prefix, comma, numbers = text.rpartition(",")
        if text.endswith(".onnx"):
            models.append(text)
        elif comma:
            models += [f"{prefix},{number.strip()}" for number in numbers.split("|")]
        else:
            found = checkpoint_numbers(text)[::-1]
            if not found:
                raise FileNotFoundError(f"--model {text}: no checkpoint {text}-0001.params or so")
            models += [f"{text},{number}" for number in found]
    if limits:
        first, comma, past_last = limits.partition(",")
        if not (comma and first.strip().isdigit() and past_last.strip().isdigit()):
            raise ValueError(f"--max {limits!r}: give two numbers A,B")
        models = models[int(first) : int(past_last)]
        if not models:
            raise ValueError(f"--max {limits}: leaves no checkpoint")
    return models


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


def embed(
    model: str, target: str, pair_set: PairSet, arguments: argparse.Namespace
) -> tuple[PairEmbeddings, dict[str, str]]:
    """Return the embeddings of a pair set by one model, and what they came from."""
    network = open_embedder(arguments, model)
    embeddings = embed_pair_set(
        network, pair_set, image_size_of(arguments), progress=f"{target} {Path(model).name}"
    )
    return embeddings, network.facts


def image_size_of(arguments: argparse.Namespace) -> tuple[int, int] | None:
    """Return the (height, width) that the dataset's property names; None without one."""
    path = Path(arguments.data_dir, "property")
    return read_property(path)[1] if path.is_file() else None


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the published lines, then what they leave out."""
    name = evaluation.target
    plain, flip = evaluation.protocol["UnFlipL2"], evaluation.published
    print(f"[{name}]XNorm: {evaluation.xnorm:f}")
    print(f"[{name}]Accuracy: {plain.accuracy:1.5f}+-{plain.std:1.5f}")
    print(f"[{name}]Accuracy-Flip: {flip.accuracy:1.5f}+-{flip.std:1.5f}")
    for variant, result in evaluation.protocol.items():
        print(
            f"[{name}]{variant}: {result.accuracy:1.5f}+-{result.std:1.5f} at cosine "
            f"{result.threshold:.4f} = squared L2 {result.squared_l2:.4f}"
        )
    low, high = evaluation.accuracy_interval
    print(f"[{name}]FlipL2 accuracy, 95 % interval: {low:.5f} to {high:.5f}")
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
            f"({low:.5f} to {high:.5f}{people}) at cosine {rate.point.threshold:.4f} "
            f"= squared L2 {2 - 2 * rate.point.threshold:.4f}"
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
