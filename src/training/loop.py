"""The training loop, in reading order; one for every loss."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from dataclasses import asdict, dataclass
import logging
import math

import mxnet as mx
import numpy as np

from ..batches.source import batches
from ..checkpoints.last_state import LastState, save_last
from ..checkpoints.load import save_checkpoint, save_symbol
from ..checkpoints.names import LAST
from ..config import TrainConfig
from ..ops import fast_graph
from .announce import announce, run_facts
from .imprint import imprint
from .initial import initial_params
from .live import LiveEmbedder
from .memory import estimate_memory, refuse_excess
from .optimizer import SGD
from .plan import Plan, make_plan
from .progress import Progress
from .resume import Position, as_record, earlier_run
from .runlog import RunLog
from .schedule import learning_rate
from .signals import stop_request
from .stepper import Stepper
from .validation import TargetResult, find_targets, number_to_save, validate

logger = logging.getLogger(__name__)

# MXNet's generators cannot be saved, so every step begins with a seed of its own: a resumed
# run draws what the uninterrupted one would have drawn.
SEED_STRIDE = 1_000_003
SEED_LIMIT = 2**31


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    steps: updates made in all.  checkpoint: "prefix,last".  results: of the last verification,
    in the order of the targets.  stopped_by: the signal that ended it early, or None.
    """

    steps: int
    checkpoint: str
    results: tuple[TargetResult, ...]
    stopped_by: str | None


class DivergedError(ValueError):
    """An output or a parameter of the network became NaN or infinite."""


def train(config: TrainConfig, ctx: Sequence[mx.Context] | None = None) -> TrainResult:
    """Train as configured, on ctx or the devices that config names; return how it ended.

    Raises ValueError or FileNotFoundError for options and files that are wrong, DivergedError
    at the first output or parameter that is not finite.  What was saved before stays.
    """
    plan = make_plan(config, ctx)
    config = plan.config
    fingerprints = [dataset.fingerprint() for dataset in plan.datasets]
    earlier = earlier_run(config, len(plan.ctx), fingerprints)
    position = Position.of(earlier, config) if earlier else Position()
    memory = estimate_memory(plan)
    refuse_excess(memory, config.memory_limit, plan)
    mx.random.seed(config.seed)
    arg_params, aux_params = (
        (earlier.arg_params, earlier.aux_params)
        if earlier
        else initial_params(
            plan.published, plan.shapes, plan.network.initializer(), config.pretrained
        )
    )
    if config.fc7_init == "imprint" and not earlier:
        imprint(
            plan.published, arg_params, aux_params, plan.ctx, plan.datasets[0],
            plan.images_per_batch,
        )  # fmt: skip
    stepper = make_stepper(plan, arg_params, aux_params)
    embedder = LiveEmbedder(plan, stepper)
    miner = embedder
    if plan.loss.batch_plan == "triplets" and config.triplet_dtype != "float32":
        miner = LiveEmbedder(plan, stepper, config.triplet_dtype)
    rng = np.random.default_rng(config.seed)
    source = batches(
        plan.loss.batch_plan,
        plan.datasets,
        config,
        rng,
        miner.embed,
        len(plan.ctx),
        worker=plan.rank,
        num_workers=plan.num_workers,
    )
    if earlier:
        stepper.restore(earlier.state)
        source.restore(earlier.record["batches"])
    pair_sets = find_targets(config.data_dir.split(","), config.target)
    metric = plan.loss.metric()
    if earlier:
        restore_metric(metric, earlier.record["metric"])
    last_step = final_step(config, source.batches_per_epoch)
    progress = Progress(plan.images_per_step, last_step)
    results: list[TargetResult] = []

    def keep_last() -> None:
        record = {
            "position": position.record(),
            "batches": source.state(),
            "metric": metric_state(metric),
            "config": as_record(config),
            "num_devices": len(plan.ctx),
            "data": fingerprints,
        }
        save_last(config.prefix, LastState(*stepper.params(), stepper.state(), record))

    def verify_and_save() -> None:
        refuse_divergence(stepper.first_bad_parameter(), position.step, config)
        results[:] = validate(embedder, pair_sets, plan.image_shape)
        position.verifications += 1
        number = number_to_save(config.ckpt, position.best.take(results), position.verifications)
        for result in results:
            values = asdict(result)
            log.validation(position.step, source.epoch, values.pop("target"), values)
            print_result(position.step, result)
        if number is not None:
            path = save_checkpoint(config.prefix, number, plan.published, *stepper.params())
            logger.info("[%d]saved %s", position.step, path)
        if results:
            logger.info("[%d]Accuracy-Highest: %1.5f", position.step, position.best.accuracy)

    if plan.rank == 0:
        announce(plan, memory, source.batches_per_epoch, last_step, position.step)
        save_symbol(config.prefix, plan.published)
        log = RunLog(config, run_facts(plan), position.step)
    progress.start(position.step, source.wait_seconds)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(source.close)
        if plan.rank == 0:
            cleanup.callback(log.close)
        stop = cleanup.enter_context(stop_request())
        while position.step < last_step and not stepper.on_any_machine(bool(stop.received)):
            step = position.step + 1
            lr = learning_rate(step, config.lr, plan.drops, config.lr_warmup)
            extra = plan.loss.step_inputs(step)
            mx.random.seed((config.seed * SEED_STRIDE + step) % SEED_LIMIT)
            for _ in range(config.accumulate):
                batch = next(source)
                stepper.forward_backward(inputs_of(batch, extra, plan.images_per_batch))
                refuse_divergence(stepper.first_bad_output(), step, config)
                update_metric(metric, stepper, batch.label[0])
            stepper.update(lr)
            position.step = step
            if plan.rank:
                continue
            if step % config.frequent == 0 or step == last_step:
                values = dict(metric.get_name_value())
                metric.reset()
                line = progress.line(step, source.wait_seconds)
                log.metrics(step, source.epoch, values | {"lr": lr})
                print_progress(step, source.epoch, values, lr, line)
            if step % config.verbose == 0 or step == last_step:
                verify_and_save()
                keep_last()
                progress.start(step, source.wait_seconds)
        stopped_by = (stop.received or "another machine") if position.step < last_step else None
        if stopped_by and plan.rank == 0:
            refuse_divergence(stepper.first_bad_parameter(), position.step, config)
            keep_last()
    return TrainResult(position.step, f"{config.prefix},{LAST}", tuple(results), stopped_by)


def make_stepper(plan: Plan, arg_params: dict, aux_params: dict) -> Stepper:
    """Return the step of a plan, with its optimizer."""
    config = plan.config
    optimizer = SGD(
        momentum=config.mom,
        wd=config.wd,
        attributes=plan.published.attr_dict(),
        apply_mult=bool(config.apply_mult),
        grad_clip=config.grad_clip,
    )
    return Stepper(
        fast_graph(
            plan.symbol,
            plan.ctx,
            plan.shapes,
            training=True,
            accumulates=config.accumulate > 1,
        ),
        plan.ctx,
        plan.shapes,
        arg_params,
        aux_params,
        optimizer,
        kvstore=plan.kvstore,
        accumulate=config.accumulate,
    )


def final_step(config: TrainConfig, batches_per_epoch: int | None) -> float:
    """Return the step at which the run ends: --max-steps or --end-epoch, whichever is first.

    batches_per_epoch is None where an epoch has no fixed length; then --max-steps alone counts,
    and inf is returned where that is not given.
    """
    ends = [config.max_steps] if config.max_steps else []
    if batches_per_epoch:
        ends.append(config.end_epoch * batches_per_epoch // config.accumulate)
    return max(1, min(ends, default=math.inf))


def inputs_of(
    batch: mx.io.DataBatch, extra: Sequence[tuple[str, float]], rows: int
) -> dict[str, mx.nd.NDArray]:
    """Return every input of the graph by name."""
    inputs = {"data": batch.data[0], "softmax_label": batch.label[0]}
    return inputs | {name: mx.nd.full((rows,), value) for name, value in extra}


def update_metric(metric: mx.metric.EvalMetric, stepper: Stepper, label: mx.nd.NDArray) -> None:
    """Add the outputs of every device, each with its share of the labels."""
    rows = stepper.shapes["softmax_label"][0]
    for device, outputs in enumerate(stepper.outputs()):
        labels = {"softmax_label": label[device * rows : (device + 1) * rows]}
        metric.update_dict(labels, dict(zip(stepper.output_names, outputs, strict=True)))


def metric_state(metric: mx.metric.CompositeEvalMetric) -> list[list[float]]:
    """Return (sum, count) of each part since the last progress line."""
    return [[float(part.sum_metric), float(part.num_inst)] for part in metric.metrics]


def restore_metric(metric: mx.metric.CompositeEvalMetric, state: list[list[float]]) -> None:
    """Go on averaging from metric_state()."""
    for part, (total, count) in zip(metric.metrics, state, strict=True):
        part.sum_metric, part.num_inst = total, count


def refuse_divergence(bad: str | None, step: int, config: TrainConfig) -> None:
    """Raise DivergedError if there is an output or parameter of this name that is not finite."""
    if bad is None:
        return
    raise DivergedError(
        f"step {step}: {bad!r} is NaN or infinite; training stops and what was saved stays. Try "
        f"--lr {config.lr / 10:g}, --lr-warmup 1000, --grad-clip 5 or a smaller margin, from "
        f"--pretrained {config.prefix},{LAST} if that was saved"
    )


def print_progress(step: int, epoch: int, values: dict[str, float], lr: float, line: str) -> None:
    """Log one progress line."""
    shown = ", ".join(f"{name} {value:.5f}" for name, value in values.items())
    logger.info("step %d, epoch %d: %s, lr %g, %s", step, epoch, shown, lr, line)


def print_result(step: int, result: TargetResult) -> None:
    """Log one verification as the published script words it."""
    name = result.target
    logger.info("[%s][%d]XNorm: %f", name, step, result.xnorm)
    logger.info("[%s][%d]Accuracy-Flip: %1.5f+-%1.5f", name, step, result.accuracy, result.std)
