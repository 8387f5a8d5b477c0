"""Compare what fast_graph makes of random graphs with float64: agreement.py says how.

    make fuzz-graphs N=5000                       a minute for a thousand
    python -m tests.ops.fuzz_graphs 5000          the same
    python -m tests.ops.fuzz_graphs 1 --first 17  that of seed 17 alone

Prints each graph that differs and how to run it again.  Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
from collections import Counter
import sys

import arcface_mxnet  # noqa: F401  (first: it makes MXNet importable)
from tqdm import tqdm

from tests.ops.agreement import OWN, judge
from tests.ops.random_graphs import RandomGraph


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, metavar="N", help="how many graphs")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (0)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    failed, stock, kinks, graphs, operators = 0, 0, 0, 0, Counter()
    for seed in tqdm(range(args.first, args.first + args.count), unit="graph"):
        verdict = judge(RandomGraph(seed))
        kinks, graphs = kinks + verdict.kinks, graphs + verdict.graphs
        operators.update(verdict.operators)
        failed, stock = failed + bool(verdict.differences), stock + verdict.stock_is_wrong
        for difference in verdict.differences:
            tqdm.write(f"seed {seed}: {difference}")
        if verdict.differences:
            tqdm.write(f"  again: python -m tests.ops.fuzz_graphs 1 --first {seed}")
    ours = ", ".join(f"{count} {op}" for op, count in operators.items() if op.startswith(OWN))
    print(
        f"{args.count} graphs, {graphs} with those made of them compared; in these {ours or 'none'}"
    )
    print(f"{kinks} points within rounding of a kink, whose graphs were given other arrays")
    print(f"{stock} graphs of which MXNet's own operators are wrong themselves")
    print(f"{failed} graphs differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
