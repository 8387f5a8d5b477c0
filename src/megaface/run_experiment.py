"""Identification and verification among distractors: the MegaFace kit's run_experiment.py.

    arcface-megaface DISTRACTORS PROBES _r100.bin OUT -p facescrub_features_list.json \\
        -dlp templatelists -s 1000000
    arcface-megaface megaface.npy facescrub.npy _r100.bin OUT -p ... -dlp ...

DISTRACTORS and PROBES are feature folders (ROOT/NAME + ENDING, as the lists name them), packed
stores (FILE.npy) or ready vectors with names (FILE.npz, ..: docs/any-model.md).  Writes the kit's
files into OUT, and beside them results_*.json, curves_*.npz and report_ALGORITHM.html
(kit_files.py says what is in each).
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from arcface_mxnet import cli
from arcface_mxnet.files import replace_file
from arcface_mxnet.given import MOST_THREADS, check_counts, file_name, path_name
from arcface_mxnet.megaface import experiment, kit_files
from arcface_mxnet.megaface.lists import (
    SIZES,
    algorithm_name,
    read_distractor_lists,
    read_probe_list,
)
from arcface_mxnet.megaface.report import write_report
from arcface_mxnet.megaface.runs import check_same_question, read_run, run_of
from arcface_mxnet.megaface.search import BLOCK
from arcface_mxnet.report.names import model_names
from arcface_mxnet.text import WRITTEN

TEMPLATES = "../templatelists"  # where the kit has them
SHOWN_FPR = 1e-6


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-megaface",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("distractor_feature_path", help="folder or store (.npy) of distractor features")
    add("probe_feature_path", help="folder or store (.npy) of probe features")
    add("file_ending", help="what follows the image name, such as _r100.bin; names the algorithm")
    add("out_root", type=file_name(), help="folder for the results; one algorithm per folder")
    add("-s", "--sizes", type=int, nargs="+", default=list(SIZES),
        help="numbers of distractors; one pass serves all (default: 10 to 1000000)")  # fmt: skip
    add("-m", "--model", default="jb_identity.bin",
        help="the kit's metric; squared L2 distance, jb_identity.bin, is the one here")  # fmt: skip
    add("-ns", "--num_sets", type=int, default=1, help="sets per size (%(default)s)")
    add("-d", "--delete_matrices", action="store_true",
        help="the kit's flag against its score matrices; none is written here")  # fmt: skip
    add("-p", "--probe_list", default=f"{TEMPLATES}/facescrub_features_list.json",
        help="JSON list with path and id, FaceScrub or FGNet (%(default)s)")  # fmt: skip
    add("-dlp", "--distractor_list_path", default=TEMPLATES,
        help="folder of the kit's distractor lists, or one JSON list whose first entries are "
        "taken for each size (%(default)s)")  # fmt: skip
    add("--allow-missing", action="store_true",
        help="leave out what is missing or useless and say so in every output")  # fmt: skip
    add("--block", type=int, default=BLOCK,
        help="distractors in one product; memory, not results (%(default)s)")  # fmt: skip
    add("--threads", type=int, help="threads beside the products (default: the usable cores)")
    add("--probe-images", type=path_name, help="root of the probe images, for the report")
    add("--distractor-images", type=path_name, help="root of the distractor images, for the report")
    add("--beside", type=path_name, action="append", default=[],
        help="OUT of another algorithm on the same lists, shown beside this one in the report; may "
        "be given several times")  # fmt: skip
    add("--alias", action="append", default=[], metavar="NAME",
        help="name in the report: a NAME for this algorithm and each --beside, in their order, or "
        "NAME=ALGORITHM for some; may be given several times (default: the algorithm)")  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return cli.run(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Do the experiment, write all files and print the table."""
    out_root, ending = Path(arguments.out_root), arguments.file_ending
    algorithm = algorithm_name(ending)
    if not Path(arguments.model).name.startswith("jb_identity"):
        raise ValueError(f"--model {arguments.model}: only jb_identity, the L2 distance, is known")
    if min(arguments.sizes) < 1 or arguments.num_sets < 1 or arguments.block < 1:
        raise ValueError("--sizes, --num_sets and --block must be at least 1")
    if arguments.threads is not None:
        check_counts(arguments, threads=MOST_THREADS)
    if len(set(arguments.sizes)) != len(arguments.sizes):
        raise ValueError(f"--sizes {arguments.sizes}: a size is given twice")
    kit_files.check_output(out_root, algorithm)
    beside = [read_run(folder) for folder in arguments.beside]
    names = model_names([algorithm, *(one.algorithm for one in beside)], arguments.alias)
    probe_list = read_probe_list(arguments.probe_list)
    lists = read_distractor_lists(
        arguments.distractor_list_path, arguments.sizes, arguments.num_sets
    )
    listing = out_root / f"missing_{algorithm}.txt"
    places = Path(arguments.probe_feature_path), Path(arguments.distractor_feature_path)
    try:
        done = experiment.run(
            algorithm,
            ending,
            probe_list,
            places[0],
            lists,
            places[1],
            allow_missing=arguments.allow_missing,
            block=arguments.block,
            threads=arguments.threads,
            progress=sys.stderr.isatty(),
        )
    except experiment.BadFeatures as error:
        with replace_file(listing, "w", **WRITTEN) as file:
            file.writelines(f"{path}\t{fault}\n" for path, fault in error.faults.items())
        raise ValueError(f"{error}\nall of them: {listing}") from None
    listing.unlink(missing_ok=True)  # of an earlier start
    summaries = kit_files.write_results(out_root, done, *places, ending)
    report = out_root / f"report_{algorithm}.html"
    runs = [run_of(done, summaries), *beside]
    check_same_question(runs)
    images = arguments.probe_images, arguments.distractor_images
    write_report(report, probe_list.name, runs, names, *images)
    _print(summaries)
    if done.left_out:
        left = done.left_out
        print(f"left out: {len(left.probes)} probes, {len(left.distractors)} distractors")
    print(f"report: {report}")


def _print(summaries: list[dict]) -> None:
    first = summaries[0]
    print(
        f"{first['probes']} probes of {first['people']} people, "
        f"{first['ordered_pairs']} ordered pairs"
    )
    print(f"{'distractors':>11} {'set':>3} {'rank 1':>8} {'95 % interval':>19} "
          f"{'VR@1e-6':>8} {'similarity':>10}")  # fmt: skip
    refused = {}
    for one in summaries:
        rate = one["rank_rate"]["1"]
        point = next(p for p in one["tpr_at_fpr"] if p["allowed"] == SHOWN_FPR)
        low, high = rate["interval_95"]
        threshold = "-" if point["similarity"] is None else f"{point['similarity']:.4f}"
        rate_at = "-" if point["tpr"] is None else f"{point['tpr']:.5f}"
        print(f"{one['distractors']:>11} {one['set']:>3} {rate['rate']:>8.5f} "
              f"{low:>9.5f}-{high:.5f}   {rate_at:>8} {threshold:>10}")  # fmt: skip
        if point["tpr"] is None:
            refused[one["distractors"]] = point["negatives_needed"]
    for distractors, needed in refused.items():
        print(f"VR@1e-6 needs {needed:,} negatives; {first['probes']} probes x {distractors} "
              f"distractors are {first['probes'] * distractors:,}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
