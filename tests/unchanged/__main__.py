"""Prove that a change of the code changed no result.

    python -m tests.unchanged against REVISION             that revision against this checkout
    python -m tests.unchanged make FOLDER [--checkout DIR]
    python -m tests.unchanged compare FOLDER_A FOLDER_B [--allow PATTERN ...]

`make` draws images from seeds and runs the project's own commands on them: packs, trainings,
exports, verifications, MegaFace.  `compare` demands the same bytes of records, packs,
checkpoints and features, and numbers equal to 1e-12 of figures, tables and reports.  What a
change is meant to change is declared by --allow: a pattern (* ? []) of the names in the table.

Make both folders on one machine with one set of packages: kernels of floats differ by these.
Alignment is made only where models/mtcnn is there (arcface-fetch fetch mtcnn).

Exit code 0 if all is equal, 1 if something differs or a step failed, 2 for bad input.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import tempfile

from tests.unchanged.comparing import compare
from tests.unchanged.making import ROOT, checked_out, make


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.unchanged",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="write everything into a new folder")
    making.add_argument("folder", type=Path, help="folder to write; absent or empty")
    comparing = commands.add_parser("compare", help="compare two folders")
    comparing.add_argument("folders", type=Path, nargs=2, metavar="FOLDER")
    both = commands.add_parser("against", help="make both and compare")
    both.add_argument("revision", help="what to compare with, as git names it")
    both.add_argument("--keep", type=Path, help="folder to leave the two made folders in")
    for command in (making, both):
        command.add_argument("--checkout", type=Path, default=ROOT,
                             help="whose package is run (default: this one's)")  # fmt: skip
        command.add_argument("--models", type=Path, default=ROOT / "models" / "mtcnn",
                             help="folder of the detector's networks (%(default)s)")  # fmt: skip
    for command in (comparing, both):
        command.add_argument("--allow", action="append", default=[], metavar="PATTERN",
                             help="a difference that is meant; may be given again")  # fmt: skip
        command.add_argument("--all", action="store_true", help="list every difference")
    return parser


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    try:
        if arguments.command == "make":
            return made(arguments.folder, arguments.checkout, arguments.models)
        if arguments.command == "compare":
            return report(*arguments.folders, arguments)
        return against(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def made(folder: Path, checkout: Path, models: Path) -> int:
    print(f"{folder}: made with {checkout}", file=sys.stderr)
    failed = make(folder, checkout.resolve(), models)
    if failed:
        print(f"{len(failed)} steps failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def report(before: Path, after: Path, arguments: argparse.Namespace) -> int:
    """Print what differs; return the exit code."""
    result = compare(before, after, arguments.allow)
    print(result.table(whole=arguments.all))
    return 0 if result.is_equal else 1


def against(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="unchanged-") as temporary:
        folder = arguments.keep or Path(temporary)
        before, after = folder / "before", folder / "after"
        with checked_out(arguments.revision) as checkout:
            made(before, checkout, arguments.models)
        made(after, arguments.checkout, arguments.models)
        return report(before, after, arguments)


if __name__ == "__main__":
    sys.exit(main())
