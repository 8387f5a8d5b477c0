"""Embedding on a CPU: our engine, onnxruntime's CPU provider, and stock MXNet.

    python -m benchmarks.embedding                     y1, m1, r50; batches of 1 and 16
    python -m benchmarks.embedding --networks r18 --batches 16 --rounds 9
    python -m benchmarks.embedding --peer ""           no onnxruntime of another version

One network after the other, untrained: the time does not depend on the weights.  The engines take
turns, each in a process of its own; medians.  From 1.27 on onnxruntime's PRelu is slow on a CPU, so
the version decides the factor: both are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import subprocess
import sys
import tempfile

from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.checkpoints.network import StoredNetwork
from arcface_mxnet.compiler import user_cache_dir
from arcface_mxnet.cores import num_threads
from arcface_mxnet.engines.conversion import convert, write_model
from arcface_mxnet.engines.packages import installed_packages
from arcface_mxnet.engines.session import Session, fastest_dtype
from arcface_mxnet.networks import NETWORKS, build_network
from arcface_mxnet.training.initial import initial_params
import mxnet as mx
import numpy as np

from benchmarks.timing import alternate, processor

PEER = "1.32.0"
SIZE = (112, 112)
SETTLE = 0.1  # seconds
TIMES = 4  # batches that one timing runs
# Each engine answers in a process of its own: threads of two libraries in one spin for the cores.
LIBRARY = """
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"])
run = lambda: session.run(None, {{"data": images}})
"""
OURS = """
from arcface_mxnet.engines.session import Session
session = Session(open({model!r}, "rb").read(), dtype={dtype!r})
run = lambda: session.run({{"data": images}})
"""
STOCK = """
import arcface_mxnet, mxnet as mx
from arcface_mxnet.checkpoints.load import load_checkpoint
symbol, *params = load_checkpoint({checkpoint!r})
executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape)
executor.copy_params_from(*params)
run = lambda: executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()
"""
LOOP = """
for _ in sys.stdin:
    for _ in range({times}):
        run()
    print("done", flush=True)
"""


class Engine:
    """An engine in a process of its own; call it to embed the images TIMES times."""

    def __init__(self, setup: str, images: Path, path: str = ""):
        first = f"import sys; sys.path[:0] = {[path] if path else []!r}\nimport numpy\n"
        first += "import onnxruntime\n" if path or setup.startswith("\noptions") else ""
        first += f"images = numpy.load({str(images)!r})\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", first + setup + LOOP.format(times=TIMES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self) -> None:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError("an engine failed; its message is above")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def other_version(version: str) -> str:
    """Return a folder with this version of onnxruntime, fetched once into the cache."""
    folder = user_cache_dir() / "peers" / f"onnxruntime-{version}"
    if not folder.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        subprocess.run([*command, str(folder), f"onnxruntime=={version}"], check=True)
    return str(folder)


def measure(name: str, batch: int, rounds: int, peer: str) -> None:
    """Print the images per second of each engine for one network and batch size."""
    symbol = build_network(name, NETWORKS[name].published)
    mx.random.seed(1)
    params = initial_params(symbol, {"data": (1, 3, *SIZE)}, NETWORKS[name].initializer())
    (version,) = installed_packages().values()
    with tempfile.TemporaryDirectory() as folder:
        model, images = Path(folder, "model.onnx"), Path(folder, "images.npy")
        write_model(model, convert(StoredNetwork.of(symbol, *params), SIZE))
        save_checkpoint(f"{folder}/net", 0, symbol, *params)
        data = np.random.default_rng(0).uniform(0, 255, (batch, 3, *SIZE))
        np.save(images, data.astype(np.float32))
        library = LIBRARY.format(model=str(model), threads=num_threads())
        engines = {}
        if peer:
            engines[f"CPU provider {peer}"] = Engine(library, images, other_version(peer))
        engines[f"CPU provider {version}"] = Engine(library, images)
        ours = OURS.format(model=str(model), dtype="float32")
        engines[f"ours: {Session(model.read_bytes()).provider} {version}"] = Engine(ours, images)
        if fastest_dtype(-1) == "bfloat16":
            half = OURS.format(model=str(model), dtype="bfloat16")
            engines["ours, bfloat16"] = Engine(half, images)
        engines["stock MXNet"] = Engine(STOCK.format(checkpoint=f"{folder}/net,0"), images)
        seconds = alternate(engines, rounds, settle=SETTLE)
        for engine in engines.values():
            engine.close()
    first = next(iter(seconds.values()))
    for engine, value in seconds.items():
        print(f"{name:5} batch {batch:3}  {engine:26} {TIMES * batch / value:8.1f} images/s "
              f"{first / value:6.2f} x the first")  # fmt: skip
    if "ours, bfloat16" not in seconds:
        print(f"{name:5} batch {batch:3}  bfloat16: not measured, processor or package lacks it")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="y1,m1,r50", help="comma separated (%(default)s)")
    parser.add_argument("--batches", default="1,16", help="images per pass (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="timed passes of each (%(default)s)")
    parser.add_argument(
        "--peer", default=PEER, help="version of onnxruntime to compare with (%(default)s)"
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    print(processor())
    for name in args.networks.split(","):
        for batch in map(int, args.batches.split(",")):
            measure(name, batch, args.rounds, args.peer)


if __name__ == "__main__":
    main(sys.argv[1:])
