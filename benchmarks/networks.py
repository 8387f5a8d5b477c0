"""Forward pass and training step of the networks on the CPU: stock operators against ours.

    python -m benchmarks.networks                  a handful, under two minutes
    python -m benchmarks.networks r100 d121        these
    python -m benchmarks.networks --all            every network: slow
    python -m benchmarks.networks --kind convolution   ours as it is without a compiler

Untrained networks with their published options: the time does not depend on the weights.  A
training step is forward, backward and update under a softmax over 1000 identities: the stock
one by mx.mod.Module, as the published script, ours as train_softmax.py makes it.  Both hold the
same parameters and take turns; medians; a ratio above 1 says ours is faster.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
import sys
import time

from arcface_mxnet.networks import NETWORKS, build_network
from arcface_mxnet.ops import fast_graph
import mxnet as mx

from benchmarks.steps import own_step, published_step

HANDFUL = ("y1", "m1", "m2", "r18", "r50", "s20")
NUM_CLASSES = 1000


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NETWORK", help=f"default: {' '.join(HANDFUL)}")
    parser.add_argument("--all", action="store_true", help="every network")
    parser.add_argument("--batch", type=int, default=4, help="images per step (default: 4)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each (default: 3)")
    parser.add_argument(
        "--kind", default="auto", choices=("auto", "own", "convolution"), help="our way (auto)"
    )
    return parser


def training_symbol(name: str) -> mx.sym.Symbol:
    embedding = build_network(name, NETWORKS[name].published)
    logits = mx.sym.FullyConnected(embedding, num_hidden=NUM_CLASSES, no_bias=True, name="fc7")
    return mx.sym.SoftmaxOutput(logits, name="softmax", normalization="valid")


def forward_pass(symbol: mx.sym.Symbol, name: str, batch: int) -> Callable[[], None]:
    """Return one forward pass of evaluation with initial parameters."""
    mx.random.seed(0)
    module = mx.mod.Module(symbol, label_names=["softmax_label"], context=mx.cpu())
    data, label = [("data", (batch, 3, 112, 112))], [("softmax_label", (batch,))]
    module.bind(data, label, for_training=False)
    module.init_params(NETWORKS[name].initializer())
    example = mx.io.DataBatch(
        [mx.nd.random.uniform(0, 255, (batch, 3, 112, 112))], [mx.nd.arange(batch)]
    )

    def forward() -> None:
        module.forward(example, is_train=False)
        mx.nd.waitall()

    return forward


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(name: str, batch: int, repetitions: int, kind: str, train: bool) -> tuple[float, float]:
    """Return the median seconds of one pass with the stock operators and with ours."""
    stock = training_symbol(name)
    if train:
        works = [published_step(stock, name, batch), own_step(stock, name, batch, kind)]
    else:
        shapes = {"data": (batch, 3, 112, 112), "softmax_label": (batch,)}
        ours = fast_graph(stock, mx.cpu(), shapes, kind=kind, training=False)
        works = [forward_pass(graph, name, batch) for graph in (stock, ours)]
    for work in works:
        work()  # the first pass prepares memory and kernels
    times = [[seconds(work) for work in works] for _ in range(repetitions)]
    first, second = zip(*times, strict=True)
    return median(first), median(second)


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    names = NETWORKS.names() if args.all else args.names or HANDFUL
    print(f"batch {args.batch}; images/s with stock operators and with ours")
    print("network     forward stock    ours  ours/stock     train stock    ours  ours/stock")
    for name in names:
        cells = []
        for train in (False, True):
            stock, ours = measure(name, args.batch, args.repetitions, args.kind, train)
            cells.append(
                f"{args.batch / stock:13.1f}  {args.batch / ours:6.1f}  {stock / ours:10.2f}"
            )
        print(f"{name:10}  {'   '.join(cells)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
