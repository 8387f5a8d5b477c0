"""Kill processes that rewrite sets of files, and read what they left.

    make kills N=100             N kills of each kind at random points, in a few minutes
    python -m tests.kills 100    the same
    python -m tests.kills 0      every point of each kind once

A line per kind: how often the old set was read, the new one, or it was refused, saying that it was
interrupted; and what must not be: mixed, refused without that word, not healed by writing it again.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
import random
import sys
import tempfile

from tests.kills.judging import FAULTS, READS, Rewriting
from tests.kills.kinds import KINDS


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, metavar="N", help="kills of each kind; 0: all points")
    parser.add_argument("--seed", type=int, default=0, help="of the random points (0)")
    parser.add_argument("--kind", choices=KINDS, help="just this one")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    is_faulty = False
    for name, kind in KINDS.items():
        if args.kind not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            rewriting = Rewriting(kind, Path(folder))
            points = range(rewriting.points)
            if args.count:
                points = random.Random(args.seed).choices(points, k=args.count)
            found = Counter()
            for point in points:
                results = rewriting.killed(point)
                found.update(results)
                for result in set(results) & set(FAULTS):
                    print(f"  {name}: {result} after a kill at point {point}")
        counts = ", ".join(f"{found[outcome]} {outcome}" for outcome in (*READS, *FAULTS))
        print(f"{name}: {len(points)} kills at {rewriting.points} points: {counts}", flush=True)
        is_faulty |= any(found[fault] for fault in FAULTS)
    return 1 if is_faulty else 0


if __name__ == "__main__":
    sys.exit(main())
