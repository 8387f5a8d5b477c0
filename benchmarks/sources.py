"""Sources of embeddings against the bare engine: what reading, mirroring and writing cost.

    python -m benchmarks.sources                  m1, 640 crops, plain and flipped
    python -m benchmarks.sources --images 12000   24,000 embeddings, as LFW's pair set takes

The bare engine is onnxruntime's session alone, on batches that are in memory as it takes them.  The
others take turns with it: a pair set of JPEGs (arcface-verify), a folder to a packed store
(arcface-embed, the whole command, with opening the network), and the same network as a file of
others, fed (x - mean) / scale.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path
import sys
import tempfile

from arcface_mxnet.checkpoints.network import StoredNetwork
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding import embed
from arcface_mxnet.engines.conversion import convert
from arcface_mxnet.engines.model_input import Declaration
from arcface_mxnet.engines.session import Session
from arcface_mxnet.eval.pair_embeddings import embed_pair_set
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.networks import NETWORKS, build_network
from arcface_mxnet.training.initial import initial_params
import cv2
import mxnet as mx
import numpy as np

from benchmarks.timing import alternate

SIZE, BATCH = (112, 112), 32
WANTED = 0.95  # of the bare engine's rate
SETTLE = 0.1  # seconds


def untrained(name: str) -> bytes:
    """Return the export of a network as it starts to train: its time is that of any weights."""
    symbol = build_network(name, NETWORKS[name].published)
    mx.random.seed(1)
    params = initial_params(symbol, {"data": (1, 3, *SIZE)}, NETWORKS[name].initializer())
    return convert(StoredNetwork.of(symbol, *params), SIZE).SerializeToString()


def of_others(model: bytes) -> bytes:
    """Return the same network without what our exports say of themselves."""
    import onnx

    parsed = onnx.load_model_from_string(model)
    del parsed.metadata_props[:]
    return parsed.SerializeToString()


def jpegs(count: int) -> list[bytes]:
    """Return crops as packs hold them, smooth as faces are."""
    rng = np.random.default_rng(0)
    coarse = (rng.integers(0, 256, (14, 14, 3), dtype=np.uint8) for _ in range(count))
    return [cv2.imencode(".jpg", cv2.resize(one, SIZE[::-1]))[1].tobytes() for one in coarse]


def measure(name: str, count: int, rounds: int) -> None:
    """Print images per second of each, plain and flipped, and its share of the bare engine's."""
    model = untrained(name)
    images = jpegs(count)
    pair_set = PairSet(images, np.arange(count // 2) % 2 == 0)
    session = Session(model)
    ready = np.random.default_rng(0).uniform(0, 255, (BATCH, 3, *SIZE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "net.onnx").write_bytes(model)
        (folder / "theirs.onnx").write_bytes(of_others(model))
        (folder / "crops").mkdir()
        for number, image in enumerate(images):
            (folder / f"crops/{number:06}.jpg").write_bytes(image)
        ours = Embedder(folder / "net.onnx", batch_size=BATCH)
        declared = Declaration(color="bgr", mean=(127.5,), scale=(128.0,))
        theirs = Embedder(folder / "theirs.onnx", batch_size=BATCH, declared=declared)

        def bare() -> None:
            for _ in range(2 * count // BATCH):
                session.run({"data": ready})

        def store() -> None:
            for path in folder.glob("v.*"):
                path.unlink()
            words = [str(folder / "crops"), str(folder / "v.npy"), "--gpu", "-1"]
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                assert embed.main([*words, "--model", str(folder / "net.onnx")]) == 0

        seconds = alternate(
            {
                "bare engine": bare,
                "pair set": lambda: embed_pair_set(ours, pair_set),
                "of others": lambda: embed_pair_set(theirs, pair_set),
                "arcface-embed": store,
            },
            rounds,
            settle=SETTLE,
        )
    for work, value in seconds.items():
        share = seconds["bare engine"] / value
        print(f"{name}, {count:,} crops plain and flipped, batch {BATCH}  {work:14} "
              f"{2 * count / value:7.1f} embeddings/s  {share:5.3f} of the bare engine  "
              f"(wanted: {WANTED})")  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="m1", help="(%(default)s)")
    parser.add_argument("--images", type=int, default=640, help="crops (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed passes of each (%(default)s)")
    args = parser.parse_args(argv or [])
    if args.images < BATCH or args.images % BATCH:
        parser.error(f"--images {args.images}: give a multiple of {BATCH}")
    measure(args.network, args.images, args.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
