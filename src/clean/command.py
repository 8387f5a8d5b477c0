"""Look at a dataset through the vectors of its images, plan what to mend, do it, and undo it.

    arcface-clean plan D WORK --model model/r50,1              a plan, and pages to look at
    arcface-clean plan D WORK --model vectors.npy --against lfw.bin=lfw.npy
    arcface-clean apply D WORK NEW                             a new dataset; D stays as it is
    arcface-clean undo NEW D_AGAIN                             D out of NEW

D is a folder with train.rec, train.idx and property.  --model is a network, or ready vectors, one
for each image in the order of the keys or named by them (arcface-embed D vectors.npy).  WORK gets
plan.tsv, a line for each image that does not stay as it is, which you may edit; REASON.html, crops
to look at; identities.tsv, the images and spread of each identity and what becomes of it;
centres.npy, a row each; overlap.tsv; summary.json.  Killed and started again it goes on.

Exit code 0, also where there is nothing to do; 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys

from arcface_mxnet.clean.applying import apply_plan, undo
from arcface_mxnet.clean.inputs import faces_of, facts_of, reference_of
from arcface_mxnet.clean.pages import write_pages
from arcface_mxnet.clean.planning import CHECKS, MODES, Options, facts_of_options, plan
from arcface_mxnet.clean.results import told, write_results
from arcface_mxnet.clean.stages import Stages
from arcface_mxnet.cli import run
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.identity_lists import names_of
from arcface_mxnet.embedding.arguments import add_network_arguments
from arcface_mxnet.given import path_name, whole

PLAN = "plan.tsv"
PUBLISHED_MODES = {"1": "centre", "2": "dbscan"}


# What only one of --checks uses.
OF_CHECKS = {"images": ("mode", "threshold", "flips"), "duplicates": ("duplicate",)}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="arcface-clean",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_plan(commands)
    apply = commands.add_parser("apply", help="write the dataset that a plan makes")
    apply.add_argument("dataset", type=path_name, help="the folder that was planned for")
    apply.add_argument("work", type=path_name, help="folder with plan.tsv, or the file itself")
    apply.add_argument("new", type=path_name, help="folder to write; made if it is absent")
    back = commands.add_parser("undo", help="write the dataset that it was before")
    back.add_argument("new", type=path_name, help="folder that `arcface-clean apply` wrote")
    back.add_argument("old", type=path_name, help="folder to write; made if it is absent")
    for command in (apply, back):
        command.add_argument(
            "--overwrite", action="store_true", help="replace a dataset that is there"
        )
    return parser


def _add_plan(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "plan", help="look at a dataset and write a plan", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add, default = parser.add_argument, Options()
    add("dataset", type=path_name, help="folder with train.rec, train.idx and property")
    add("work", type=path_name, help="folder for the plan; made if it is absent")
    add("--model", required=True, help="PREFIX,NUMBER or FILE.onnx, or ready vectors: FILE.npy, "
        ".npz, .parquet or .csv")  # fmt: skip
    modes = "; ".join(f"{name}: {words}" for name, words in MODES.items())
    add("--mode", choices=(*MODES, *PUBLISHED_MODES), default=default.mode,
        help=f"{modes} (%(default)s)")  # fmt: skip
    add("--threshold", type=float, default=default.threshold, help="of the published modes: a "
        "cosine, or with dbscan a distance of unit vectors (%(default)s)")  # fmt: skip
    of_what = {
        "link": "two images of one person",
        "own": "an image and the others of its identity, on average",
        "merge": "images of two identities that are one, on average",
    }
    for name, words in of_what.items():
        add(f"--{name}", type=float, metavar="COSINE", help=f"of {words} (default: derived from "
            "the vectors, and told)")  # fmt: skip
    add("--checks", default=",".join(CHECKS), help="which, of images (flips, splits, far ones), "
        "merge, duplicates (%(default)s)")  # fmt: skip
    add("--duplicate", type=float, default=default.duplicate, metavar="COSINE", help="of images "
        "that are nearly equal (%(default)s)")  # fmt: skip
    add("--flips", choices=("drop", "move"), default="drop", help="what to do with an image that "
        "is of another identity (%(default)s)")  # fmt: skip
    add("--against", action="append", default=[], metavar="PATH[=VECTORS]", help="a pair set or "
        "dataset whose people must not be in this one; may be given several times")  # fmt: skip
    add("--overlap", type=float, default=default.overlap, metavar="COSINE", help="of an identity's "
        "centre and what is in --against; as published (%(default)s)")  # fmt: skip
    add("--least", type=whole(), default=0, metavar="N", help="drop identities with fewer images "
        "(default: 0, none)")  # fmt: skip
    add("--most", type=whole(), default=0, metavar="N",
        help="drop an identity's images above N, the "
        "farthest from its centre (default: 0, none)")  # fmt: skip
    add("--seed", type=whole(), default=0, help="of what is drawn (%(default)s)")
    add("--anew", action="store_true", help="throw away what WORK holds of another plan")
    add_network_arguments(parser, batch_size=32)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: COMMANDS[arguments.command](arguments))


def _plan(arguments: argparse.Namespace) -> None:
    options = _options(arguments)
    dataset = FaceDataset(arguments.dataset)
    progress = sys.stderr.isatty()
    try:
        facts = {
            "dataset": dataset.fingerprint(),
            "source": facts_of(arguments, arguments.model),
            "options": facts_of_options(options),
        }
        arguments.work.mkdir(parents=True, exist_ok=True)
        stages = Stages(arguments.work, facts, anew=arguments.anew)
        faces = faces_of(dataset, arguments.model, arguments, arguments.work / "vectors.npy")
        references = [
            reference_of(text, arguments.model, arguments, arguments.work)
            for text in arguments.against
        ]
        names = names_of(arguments.dataset)
        planned = plan(
            faces, options, stages, dataset.num_classes, references, progress=progress
        )  # fmt: skip
        write_results(arguments.work, faces, planned, names, references, options)
        pages = write_pages(arguments.work, dataset, faces, planned, names)
    finally:
        dataset.close()
    for line in told(faces, planned):
        print(line)
    print(f"wrote {arguments.work / PLAN} and {len(pages)} pages; look at them, edit the plan, "
          f"then arcface-clean apply {arguments.dataset} {arguments.work} NEW")  # fmt: skip


def _options(arguments: argparse.Namespace) -> Options:
    """Return the options.  Raises ValueError for all that is wrong with them."""
    checks = tuple(part.strip() for part in arguments.checks.split(",") if part.strip())
    mode = PUBLISHED_MODES.get(arguments.mode, arguments.mode)
    faults = [f"--checks {one!r}: known are {', '.join(CHECKS)}" for one in checks
              if one not in CHECKS]  # fmt: skip
    for name in ("link", "own", "merge", "duplicate", "overlap"):
        value = getattr(arguments, name)
        if value is not None and not -1 <= value <= 1:
            faults.append(f"--{name} {value}: a cosine lies between -1 and 1")
    if mode == "people" and arguments.threshold != Options().threshold:
        faults.append("--threshold belongs to --mode centre and dbscan; people has --link, --own")
    if mode == "centre" and not -1 <= arguments.threshold <= 1:
        faults.append(f"--threshold {arguments.threshold}: a cosine lies between -1 and 1")
    if mode == "dbscan" and not 0 < arguments.threshold <= 2:
        faults.append(f"--threshold {arguments.threshold}: distances of unit vectors are above 0 "
                      "and at most 2")  # fmt: skip
    if mode != "people" and arguments.flips != "drop":
        faults.append(f"--flips {arguments.flips}: --mode {mode} does not look for flips")
    default = vars(Options()) | {"flips": "drop"}
    for check, names in OF_CHECKS.items():
        given = [f"--{name}" for name in names if getattr(arguments, name) != default[name]]
        if check not in checks and given:
            faults.append(f"{', '.join(given)}: only the check {check!r} uses it, which is not "
                          "among --checks")  # fmt: skip
    if not arguments.against and arguments.overlap != Options().overlap:
        faults.append("--overlap: give --against, what to compare with")
    if faults:
        raise ValueError("\n".join(faults))
    return Options(
        mode, checks, arguments.threshold, arguments.link, arguments.own, arguments.merge,
        arguments.duplicate, arguments.overlap, arguments.least, arguments.most,
        arguments.flips == "move", arguments.seed,
    )  # fmt: skip


def _apply(arguments: argparse.Namespace) -> None:
    path = arguments.work / PLAN if arguments.work.is_dir() else arguments.work
    done = apply_plan(
        arguments.dataset, path, arguments.new, overwrite=arguments.overwrite,
        progress=sys.stderr.isatty(),
    )  # fmt: skip
    print(
        f"wrote {arguments.new}: {done.kept} images of {done.identities} identities, {done.moved} "
        f"of them moved; {done.removed} went to {arguments.new / 'removed'}, named in removed.tsv"
    )


def _undo(arguments: argparse.Namespace) -> None:
    count = undo(
        arguments.new, arguments.old, overwrite=arguments.overwrite, progress=sys.stderr.isatty()
    )
    print(f"wrote {arguments.old}: {count} images, as they were before the plan was applied")


COMMANDS = {"plan": _plan, "apply": _apply, "undo": _undo}

if __name__ == "__main__":
    sys.exit(main())
