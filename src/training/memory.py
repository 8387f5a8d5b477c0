"""How much memory a run takes on each device, estimated before anything is allocated.

Weights, gradients and momentum are counted exactly.  Activations are the outputs of all
operators of the graph that is bound, for one device's batch, times what was measured to be kept
of them: MXNet's plan reuses some, while oneDNN on the CPU keeps copies in its own layout, which
our own operators do not.  benchmarks/memory.py compares the estimate with what runs really take;
the figure for GPUs is MXNet's plan without cuDNN's choices, unmeasured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import json
import math

from ..losses import build_loss
from .few_images import LEAST, norms_of_few
from .loss_scale import LOSS_SCALE
from .optimizer import make_optimizer
from .plan import Plan
from .stored_symbol import StoredSymbol

BYTES = 4  # of a float32
# Bytes kept per byte of operator outputs.
KEPT = 1.0
KEPT_ONEDNN = 3.0
KEPT_GPU = 1.3
ONEDNN = frozenset(
    {"Activation", "BatchNorm", "Concat", "Convolution", "LeakyReLU", "Pooling"}
    | {"elemwise_add", "_Plus"}
)
WORKING = 256 * 2**20  # buffers of the libraries and of the loader
GB = 2**30


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one device.  logits: outputs as long as there are identities; working: buffers
    that do not depend on the run."""

    weights: int
    gradients: int
    momentum: int
    activations: int
    logits: int
    working: int = WORKING

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    def __str__(self) -> str:
        listing = ", ".join(f"{part} {size / GB:.2f}" for part, size in vars(self).items())
        return f"about {self.total / GB:.2f} GB on each device ({listing})"


def estimate_memory(plan: Plan) -> MemoryEstimate:
    """Return the estimate of a plan."""
    from ..ops import fast_graph  # which imports MXNet

    accumulates = plan.config.accumulate > 1
    graph = fast_graph(plan.symbol, plan.ctx, plan.shapes, training=True, accumulates=accumulates)
    internals = graph.get_internals()
    _, shapes, _ = internals.infer_shape(**plan.shapes)
    states = set(graph.list_auxiliary_states())
    arguments = set(graph.list_arguments())
    operators = {node["name"]: node["op"] for node in json.loads(graph.tojson())["nodes"]}
    classes = plan.datasets[0].num_classes
    weights = activations = logits = 0
    for name, shape in zip(internals.list_outputs(), shapes, strict=True):
        size = math.prod(shape) * BYTES
        if name in plan.shapes or name in states or name == LOSS_SCALE:
            continue
        if name in arguments:
            weights += size
            continue
        node, _, _ = name.rpartition("_")  # of outputs like relu1_output or bn1_mean
        kept = size * _kept(operators[node], plan)
        if _is_logits(shape, plan.config.per_batch_size, classes):
            logits += kept
        else:
            activations += kept
    return MemoryEstimate(
        weights=weights,
        gradients=weights,
        momentum=weights * len(make_optimizer(plan.config, {}).moments),
        activations=round(activations),
        logits=round(logits),
    )


def _kept(operator: str, plan: Plan) -> float:
    if plan.ctx[0].device_type != "cpu":
        return KEPT_GPU
    return KEPT_ONEDNN if operator in ONEDNN else KEPT


def _is_logits(shape: Sequence[int], batch: int, classes: int) -> bool:
    return tuple(shape) == (batch, classes)


def refuse_excess(estimate: MemoryEstimate, limit_gb: float, plan: Plan) -> None:
    """Raise ValueError with advice if the estimate exceeds a limit in GB; 0 is no limit."""
    if not limit_gb or estimate.total <= limit_gb * GB:
        return
    fixed = estimate.total - estimate.activations - estimate.logits
    per_image = (estimate.activations + estimate.logits) / plan.config.per_batch_size
    raise ValueError(
        f"this run takes {estimate}, more than --memory-limit {limit_gb:g} GB; "
        + _advice(plan, int((limit_gb * GB - fixed) / per_image))
    )


def _advice(plan: Plan, fitting: int) -> str:
    """Return what to do where so many images would fit on a device."""
    smaller = "choose a smaller --network, or fewer identities"
    if fitting < 1:
        return f"even one image does not fit: {smaller}"
    images = next((n for n in range(fitting, 0, -1) if _can_learn(plan, n)), 0)
    if not images:
        return f"{fitting} would fit, too few for this loss and network to learn from: {smaller}"
    together = images * len(plan.ctx) * plan.num_workers
    batches = -(-plan.images_per_step // together)
    effect = "keeps the images per step"
    if batches * together != plan.images_per_step:
        effect = f"makes {batches * together} images per step of {plan.images_per_step}"
    return f"--per-batch-size {images} would fit; --accumulate {batches} with it {effect}"


def _can_learn(plan: Plan, images: int) -> bool:
    """Return whether a run with so many images per device is neither refused nor warned of."""
    config = replace(plan.config, per_batch_size=images)
    try:
        build_loss(config.loss_type, config, plan.datasets[0].num_classes)
    except ValueError:
        return False
    if images >= LEAST:
        return True
    if isinstance(plan.symbol, StoredSymbol):  # nothing tells without MXNet
        return False
    shapes = {name: (images, *shape[1:]) for name, shape in plan.shapes.items()}
    return not norms_of_few(plan.symbol, shapes, LEAST - 1)
