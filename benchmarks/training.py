"""What a triplet step costs beside an ArcFace step, and what validation and saving cost a run.

    python -m benchmarks.training

Triplet and ArcFace steps of the same network and batch, alternating.  The share of a run that is
not training is put together from measured parts: at published settings 2,000 steps of 512 images
lie between two verifications of lfw, cfp_fp and agedb_30 (plain and flipped), a checkpoint with
85,742 identities is written twice, and 100 progress lines are written.
"""

from __future__ import annotations

from pathlib import Path
import tempfile
import time

from arcface_mxnet.checkpoints.params import write_params
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.ops import fast_graph
from arcface_mxnet.training.initial import initial_params
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.optimizer import SGD
from arcface_mxnet.training.progress import Progress
import mxnet as mx
import numpy as np

from .timing import alternate

NETWORK, BATCH, ROUNDS = "y1", 30, 5
OPTIONS = NetworkOptions(emb_size=512)
IDENTITIES = 85_742  # of MS1M-refine-v2
STEPS, STEP_IMAGES, LINES = 2_000, 512, 100
PACK_IMAGES = 12_000 + 14_000 + 12_000
PASSES = 2  # plain and flipped


def stepper(loss_type: str, num_classes: int = 1000) -> MxnetStepper:
    """Return the training step of a loss."""
    embedding = build_network(NETWORK, OPTIONS)
    config = TrainConfig(loss_type=loss_type, per_batch_size=BATCH)
    loss = build_loss(loss_type, config, num_classes)
    symbol = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
    shapes = {"data": (BATCH, 3, 112, 112), "softmax_label": (BATCH,)}
    params = initial_params(symbol, shapes, NETWORKS[NETWORK].initializer())
    rule = SGD(momentum=0.9, wd=5e-4, attributes=symbol.attr_dict())
    graph = fast_graph(symbol, mx.cpu(), shapes, training=True)
    return MxnetStepper(graph, [mx.cpu()], shapes, *params, rule)


def one_step(step: MxnetStepper, inputs: dict[str, mx.nd.NDArray]) -> None:
    """Run a whole step and wait for it."""
    step.forward_backward(inputs)
    step.first_bad_output()
    step.update(1e-3)
    mx.nd.waitall()


def main() -> None:
    """Print both tables."""
    rng = np.random.RandomState(0)
    inputs = {
        "data": mx.nd.array(rng.randint(0, 256, (BATCH, 3, 112, 112))),
        "softmax_label": mx.nd.array(rng.randint(0, 1000, BATCH)),
    }
    steps = {name: stepper(kind) for name, kind in (("arcface", "4"), ("triplet", "12"))}
    seconds = alternate(
        {name: lambda step=step: one_step(step, inputs) for name, step in steps.items()}, ROUNDS
    )
    ratio = seconds["triplet"] / seconds["arcface"]
    print(f"{NETWORK}, batch {BATCH}: a triplet step takes {ratio:.2f} x an ArcFace step")
    print_share(seconds["arcface"] / BATCH, inputs["data"])


def print_share(train_seconds_per_image: float, images: mx.nd.NDArray) -> None:
    """Print the share of validation, checkpoints and log lines in a run."""
    shapes = {"data": images.shape}
    embedding = fast_graph(build_network(NETWORK, OPTIONS), mx.cpu(), shapes, training=False)
    executor = embedding.simple_bind(mx.cpu(), grad_req="null", **shapes)

    def embed() -> None:
        executor.forward(is_train=False, data=images)[0].wait_to_read()

    embed_seconds = alternate({"embed": embed}, ROUNDS)["embed"] / BATCH
    parts = {
        "validation": PACK_IMAGES * PASSES * embed_seconds,
        "checkpoints": 2 * checkpoint_seconds(),
        "log lines": LINES * line_seconds(),
    }
    training = STEPS * STEP_IMAGES * train_seconds_per_image
    total = training + sum(parts.values())
    for name, value in parts.items():
        print(f"{name:12} {value:9.1f} s between two verifications: {value / total:7.3%}")
    print(f"{'training':12} {training:9.1f} s; all else together {1 - training / total:.2%}")


def checkpoint_seconds() -> float:
    """Return the seconds of writing r100's weights, classifier and both momenta."""
    weights = np.zeros(65_000_000 + IDENTITIES * 512, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_params(Path(folder, "m.params"), {"arg:w": weights, "state:mom:w": weights})
        return time.perf_counter() - began


def line_seconds() -> float:
    """Return the seconds of one progress line."""
    progress = Progress(STEP_IMAGES, STEPS)
    progress.start(0, 0.0)
    began = time.perf_counter()
    for step in range(1, LINES + 1):
        progress.line(step, 0.0)
    return (time.perf_counter() - began) / LINES


if __name__ == "__main__":
    main()
