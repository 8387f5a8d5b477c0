"""Train a face recognition network; one script for every loss.

    train_softmax.py --network r100 --loss-type 4 --margin-m 0.5 --data-dir D --prefix P
    train_softmax.py --network m1 --loss-type 12 --lr 0.005 --mom 0.0 --per-batch-size 150 \\
        --data-dir D --pretrained P,50 --prefix T

Installed as arcface-train.  --data-dir holds train.rec, train.idx, property and the pair sets
of --target; checkpoints appear as PREFIX-symbol.json and PREFIX-0001.params.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from arcface_mxnet.cli import INTERRUPTED, run
from arcface_mxnet.config import TrainConfig, add_arguments, flag_of, from_namespace
from arcface_mxnet.flags import shown
from arcface_mxnet.registry import Registry

# What needs MXNet is imported where it is used: without it run() says what to install.


def choices(registry: Registry) -> list[str]:
    """Return a heading and, for each entry, what it does and which flags it alone reads."""
    lines = [f"{registry.flag}:"]
    for name in registry.names():
        first, _, _ = registry[name].__doc__.partition("\n")
        lines.append(f"  {name:8}{first}")
        for option in sorted(registry[name].options):
            default = shown(getattr(TrainConfig, option)) or "empty"
            lines.append(f"  {'':8}reads {flag_of(option)} (default: {default})")
    return [*lines, ""]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser: one flag per field of TrainConfig."""
    from arcface_mxnet.training.optimizer import OPTIMIZERS
    from arcface_mxnet.training.schedule import SCHEDULES

    head, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=head,
        epilog="\n".join([*choices(OPTIMIZERS), *choices(SCHEDULES), usage]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return 0, 2 for bad input, 130 if a signal ended the run."""

    def work() -> int:
        arguments = build_parser().parse_args(argv)
        config = from_namespace(arguments)
        if config.plan_only:
            from arcface_mxnet.training.plan_only import write_plan

            print(*write_plan(config), sep="\n")
            return 0
        from arcface_mxnet.training.loop import train

        result = train(config)
        if result.stopped_by:
            print(f"{result.stopped_by}: saved at step {result.steps}; go on with --resume")
            return INTERRUPTED
        if result.rank:
            return 0
        for score in result.results:
            print(f"{score.target}: {score.accuracy:.5f} +- {score.std:.5f}")
        print(f"{result.steps} steps; last state: {result.checkpoint}")
        return 0

    code = run(work)
    if "arcface_mxnet.training.world" in sys.modules:
        sys.modules["arcface_mxnet.training.world"].leave_broken_job(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
