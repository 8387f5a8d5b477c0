"""What this machine has, what does not work, and what to do about it.

    arcface-doctor             plain text, as a bug report wants it
    arcface-doctor --json      the same for programs

Libraries are tried in processes of their own, with a time limit, so one that ends its process or
hangs is a line of the answer.  Nothing is changed, but operators are compiled into the cache if
they were not yet; nothing is sent anywhere.

Exit code 0 if the basic things work, 1 if something is missing without which nothing does.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
import json
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.doctor.findings import BAD, GOOD, NOTE, findings, works
from arcface_mxnet.doctor.probes import LIMIT
from arcface_mxnet.given import path_name

SOMETHING_IS_BAD = 1
MARKS = {GOOD: " ", NOTE: "-", BAD: "!"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="arcface-doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of text")
    parser.add_argument("--root", type=path_name, default=Path(), help="folder with models/ and "
                        "datasets/ (default: this one)")  # fmt: skip
    parser.add_argument("--limit", type=float, default=LIMIT, metavar="SECONDS", help="how long a "
                        "library may take to load (%(default)s)")  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: _work(arguments))


def _work(arguments: argparse.Namespace) -> int:
    if not arguments.limit > 0:
        raise ValueError(f"--limit {arguments.limit}: give seconds above 0")
    if not arguments.root.is_dir():
        raise FileNotFoundError(f"--root: no folder {arguments.root.absolute()}")
    found = findings(arguments.root, arguments.limit)
    if arguments.json:
        print(json.dumps({"works": works(found), "findings": [asdict(one) for one in found]},
                         indent=1))  # fmt: skip
    else:
        for one in found:
            print(f"{MARKS[one.state]} {one.topic:14} {one.value}")
            if one.cure:
                print(f"  {'':14} -> {one.cure}")
        states = Counter(one.state for one in found)
        said = "the basic things work" if works(found) else "something basic does not work (!)"
        print(f"{said}; {states[NOTE]} notes (-)")
    return 0 if works(found) else SOMETHING_IS_BAD


if __name__ == "__main__":
    sys.exit(main())
