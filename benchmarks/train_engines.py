"""Training steps by engine: PyTorch executing the symbol, a plain PyTorch model, and MXNet.

    python -m benchmarks.train_engines                         y1 and r50, float32 and bfloat16
    python -m benchmarks.train_engines --networks r50 --device cuda --batch 128 --dtypes bfloat16

A step is forward, backward and update (SGD with momentum) with ArcFace over 1000 identities, from
images in numpy's memory to the new weights.  All take turns; medians.  The plain model has as many
parameters as the symbol, which is checked.  MXNet, on our operators, runs on the CPU alone.  On a
machine that is not quiet, OMP_NUM_THREADS=1 and --busy count the processor's seconds, the least.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import time

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.initial import initial_params
from arcface_mxnet.training.optimizer import SGD
import numpy as np

from benchmarks.timing import alternate, alternate_busy

BATCHES = {"y1": 32, "r50": 8}
NUM_CLASSES = 1000
SETTLE = 0.5  # seconds until the threads of MXNet no longer spin


def batch_of(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (rows, 3, 112, 112)).astype(np.float32)
    return images, rng.integers(0, NUM_CLASSES, rows).astype(np.float32)


def executed(symbol, name: str, rows: int, device: str, dtype: str, compiled: bool):
    """Return a step of the torch engine, and the number of the network's parameters."""
    from arcface_mxnet.networks import NETWORKS
    from arcface_mxnet.torch_engine.stepper import TorchStepper

    shapes = {"data": (rows, 3, 112, 112), "softmax_label": (rows,)}
    params = initial_params(symbol, shapes, NETWORKS[name].initializer())
    rule = SGD(0.9, TrainConfig.wd, {})
    graph = parse_graph(symbol.tojson(), "the symbol")
    stepper = TorchStepper(graph, device, shapes, *params, rule, dtype=dtype, compiled=compiled)
    data, label = batch_of(rows)

    def step() -> None:
        stepper.forward_backward({"data": data, "softmax_label": label})
        stepper.update(0.01)
        stepper.outputs()[0][-1].sum().asnumpy()  # waits for the device

    sizes = [int(np.prod(array.shape)) for name, array in params[0].items() if name != "fc7_weight"]
    fixed = int(np.prod(params[0]["fc1_gamma"].shape))
    return step, sum(sizes) - fixed


def plain(name: str, rows: int, device: str, dtype: str, parameters: int) -> Callable[[], object]:
    from benchmarks.plain_torch import NETWORKS, PlainStep

    step = PlainStep(name, NUM_CLASSES, device, dtype)
    own = step.num_parameters() - NETWORKS[name][1]  # the last gamma, which MXNet holds at 1
    assert own == parameters, f"{name}: {own} parameters, the symbol {parameters}"
    data, label = batch_of(rows)
    return lambda: step(data, label)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="y1,r50", help="comma separated, of y1, r50 (both)")
    parser.add_argument("--batch", type=int, help="images per step (y1: 32, r50: 8)")
    parser.add_argument("--dtypes", default="float32,bfloat16", help="comma separated")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    parser.add_argument("--rounds", type=int, default=5, help="timed steps of each (5)")
    parser.add_argument("--compile", action="store_true", help="the executor compiled, too")
    parser.add_argument("--busy", action="store_true", help="least CPU seconds, not median ones")
    parser.add_argument("--without-mxnet", action="store_true", help="leave MXNet out")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    try:
        import torch
    except ModuleNotFoundError:
        print("PyTorch is not installed: pip install 'arcface_mxnet[torch]'")
        return
    from benchmarks.train_step import own_step, training_symbol

    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in args.networks.split(","):
        rows, symbol = args.batch or BATCHES[name], training_symbol(name)
        works: dict[str, Callable[[], object]] = {}
        for dtype in args.dtypes.split(","):
            step, parameters = executed(symbol, name, rows, args.device, dtype, False)
            works[f"executor, {dtype}"] = step
            works[f"plain torch, {dtype}"] = plain(name, rows, args.device, dtype, parameters)
            if args.compile:
                works[f"compiled, {dtype}"], _ = executed(
                    symbol, name, rows, args.device, dtype, True
                )
        if args.device == "cpu" and not args.without_mxnet:
            works["MXNet, float32"] = own_step(symbol, name, rows, "auto")
        began = time.perf_counter()
        if args.busy:
            seconds = alternate_busy(works, args.rounds)
        else:
            seconds = alternate(works, args.rounds, settle=SETTLE)
        print(f"{name}, batch {rows}, on {args.device} ({time.perf_counter() - began:.0f} s)")
        for work, value in seconds.items():
            beside = seconds.get(work.replace("executor", "plain torch"), value)
            print(f"  {work:24}{rows / value:9.1f} images/s  {beside / value:5.2f} x plain torch")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
