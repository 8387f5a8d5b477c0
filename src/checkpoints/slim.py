"""Slim a training checkpoint to what an embedding needs.

    python -m arcface_mxnet.checkpoints.slim --model ../models/model-r50,12
    python -m arcface_mxnet.checkpoints.slim --model ../models/model-r50,12 --output ../models/r50

The symbol is cut at fc1_output and the classifier (fc7*) is dropped.  The result is written
under another prefix as number 0; the training symbol and its parameters stay as they are.
(As published, model_slim.py wrote over the training symbol.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arcface_mxnet.cli import run
from arcface_mxnet.given import file_name

SLIM_NUMBER = 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Cut a checkpoint at the embedding and drop its classifier."
    )
    parser.add_argument("--model", required=True, metavar="PREFIX,NUMBER", help="checkpoint")
    parser.add_argument(
        "--output",
        type=file_name(),
        metavar="PREFIX",
        help="prefix of the slim checkpoint, number 0 (default: PREFIX-slim)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> None:
        # Here, so that without MXNet run() says what to install.
        from arcface_mxnet.checkpoints.embedding_part import load_slim
        from arcface_mxnet.checkpoints.load import save_checkpoint

        prefix = args.model.rpartition(",")[0]
        output = args.output or f"{prefix}-slim"
        if Path(output).resolve() == Path(prefix).resolve():
            raise ValueError(
                f"--output {output}: is the prefix of --model, whose training symbol would be "
                "overwritten; give another one"
            )
        symbol, arg_params, aux_params = load_slim(args.model)
        save_checkpoint(output, SLIM_NUMBER, symbol, arg_params, aux_params)
        values = sum(array.size for array in [*arg_params.values(), *aux_params.values()])
        print(f"{output},{SLIM_NUMBER}: {values / 1e6:.2f} M values, {values * 4 / 2**20:.1f} MiB")

    return run(work)


if __name__ == "__main__":
    raise SystemExit(main())
