"""CPU embedding with onnxruntime and with MXNet, side by side.

    python -m benchmarks.engines

Untrained networks: the time does not depend on the weights.  One image (latency) and a batch
of 16 (throughput); the engines alternate, medians.
"""

from __future__ import annotations

from statistics import median
import time

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.export.conversion import to_onnx
from arcface_mxnet.export.onnx_embedder import OnnxEmbedder
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.initial import initial_params
import numpy as np

NETWORK_OPTIONS = {
    "y1": NetworkOptions(emb_size=128, output="GDC"),
    "m1": NetworkOptions(emb_size=128),
    "r50": NetworkOptions(),
}
BATCHES = {1: 15, 16: 5}  # batch size: repetitions


def _network(name: str):
    symbol = build_network(name, NETWORK_OPTIONS[name])
    shapes = {"data": (1, 3, 112, 112)}
    return symbol, *initial_params(symbol, shapes, NETWORKS[name].initializer())


def _seconds(work, images) -> float:
    start = time.perf_counter()
    work(images)
    return time.perf_counter() - start


def main() -> None:
    rng = np.random.default_rng(0)
    print("network  batch  onnxruntime ms/image  MXNet ms/image  MXNet / onnxruntime")
    for name in NETWORK_OPTIONS:
        network = _network(name)
        exported = to_onnx(*network).SerializeToString()
        for batch, repetitions in BATCHES.items():
            images = rng.integers(0, 256, (batch, 112, 112, 3), dtype=np.uint8)
            engines = (
                OnnxEmbedder(exported, batch_size=batch, flip=False),
                Embedder.from_parameters(*network, batch_size=batch, flip=False),
            )
            for engine in engines:
                engine(images)
            times = [[_seconds(e, images) for e in engines] for _ in range(repetitions)]
            ours, theirs = (1000 * median(column) / batch for column in zip(*times, strict=True))
            print(f"{name:7}  {batch:5}  {ours:20.1f}  {theirs:14.1f}  {theirs / ours:19.2f}")


if __name__ == "__main__":
    main()
