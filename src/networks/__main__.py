"""Print every network with its size.

python -m arcface_mxnet.networks                  all of them, as published
python -m arcface_mxnet.networks r50 y1           some
python -m arcface_mxnet.networks --markdown       as a table for a document
"""

from __future__ import annotations

import argparse
import sys

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
from arcface_mxnet.networks import NETWORKS, build_network
from arcface_mxnet.networks.base import find_network
from arcface_mxnet.networks.cost import network_cost

COLUMNS = ("network", "parameters", "multiply-adds", "embedding", "head")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arcface_mxnet.networks",
        description="List the networks with the options they were published with: parameters "
        "in millions without running statistics, multiply-adds in billions for one picture, "
        "embedding size and head.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks (default: all)")
    add_image_size_argument(parser)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    return parser


def rows(names: list[str], size: tuple[int, int]) -> list[tuple[str, str, str, str, str]]:
    """Return one row of COLUMNS per network, for pictures of (height, width).

    Raises ValueError for an unknown network.
    """
    found = []
    for name in names:
        options = find_network(name).published
        try:
            cost = network_cost(build_network(name, options), *size)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        found.append(
            (
                name,
                f"{cost.parameters / 1e6:.2f} M",
                f"{cost.multiply_adds / 1e9:.2f} G",
                str(cost.embedding_size),
                options.output,
            )
        )
    return found


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    table = rows(args.names or NETWORKS.names(), parse_size(args.image_size))
    if args.markdown:
        print("| " + " | ".join(COLUMNS) + " |")
        print("|---|--:|--:|--:|---|")
        for row in table:
            print("| " + " | ".join(row) + " |")
        return 0
    widths = [max(len(row[k]) for row in [COLUMNS, *table]) for k in range(len(COLUMNS))]
    for row in [COLUMNS, *table]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        print("  ".join([*cells, row[-1]]))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
