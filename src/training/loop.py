"""The training loop, in reading order; one for every loss."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..batches.source import Batch
from ..checkpoints.names import LAST
from ..config import TrainConfig
from ..losses.reports import Metrics, step_of
from .divergence import DivergedError, refuse_divergence
from .logs import logged_apart
from .machines import Machines, Word, joined
from .memory import refuse_excess
from .plan import counted_by, make_plan
from .recorder import open_recorder
from .resume import earlier_run, images_of_a_step
from .run import start_run
from .schedule import learning_rate
from .signals import stop_request
from .stepper import Stepper
from .validation import TargetResult

__all__ = ["DivergedError", "TrainResult", "train"]

# The generators of the engines cannot be saved, so every step begins with a seed of its own: a
# resumed run draws what the uninterrupted one would have drawn.
SEED_STRIDE = 1_000_003
RANK_STRIDE = 500_000_003  # between machines, which drop out each for itself
SEED_LIMIT = 2**31


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    steps: updates made in all.  checkpoint: "prefix,last".  results: of the last verification,
    in the order of the targets.  stopped_by: the signal that ended it early, or None.  rank: of
    the machine; 0 reports.
    """

    steps: int
    checkpoint: str
    results: tuple[TargetResult, ...]
    stopped_by: str | None
    rank: int = 0


def train(config: TrainConfig, ctx: Sequence[Any] | None = None) -> TrainResult:
    """Train as configured, on ctx or the devices that config names; return how it ended.

    Raises ValueError or FileNotFoundError for options and files that are wrong, DivergedError
    at the first output or parameter that is not finite: then what was saved before stays.  At
    any other error the last whole step is saved first.
    """
    with joined(config, ctx) as machines, logged_apart(machines, config.prefix):
        return train_on(machines, config, ctx)


def train_on(machines: Machines, config: TrainConfig, ctx: Sequence[Any] | None) -> TrainResult:
    """Train on one machine of a job; all of them do this at the same time."""
    plan = make_plan(config, ctx, machines)
    config = plan.config
    earlier = earlier_run(
        config,
        len(plan.ctx),
        machines.count,
        plan.fingerprints,
        plan.teacher_fingerprint,
        is_elastic=plan.engine.is_elastic,
    )
    plan = counted_by(plan, images_of_a_step(earlier, plan.images_per_step))
    memory = plan.engine.estimate(plan)
    refuse_excess(memory, config.memory_limit, plan)
    make_prefix_folder(config.prefix)
    run = start_run(plan, earlier, machines)
    stepper, position = run.stepper, run.position
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(run.source.close)
        if plan.teacher:
            plan.teacher.prepare(machines)
        recorder = open_recorder(run, memory)
        cleanup.callback(recorder.close)
        stop = cleanup.enter_context(stop_request())
        cleanup.enter_context(recorder.rescuing())
        is_last = False
        while position.step < run.last_step and not is_last:
            step = position.step + 1
            due = run.scheduled_step
            run.begin_step()
            extra = plan.loss.step_inputs(due)
            seed = config.seed * SEED_STRIDE + step + machines.rank * RANK_STRIDE
            plan.engine.seed(seed % SEED_LIMIT)
            with step_of(run.metric, step):
                for _ in range(config.accumulate):
                    batch = next(run.source)
                    inputs = inputs_of(batch, extra, plan.images_per_batch)
                    stepper.forward_backward(inputs | run.source.beside)
                    refuse_divergence(stepper.first_bad_output(), step, config)
                    update_metric(run.metric, stepper, batch.label)
            words, _ = machines.tell(Word.STOP if stop.received else Word.GO)
            lr = learning_rate(due, config.lr, run.schedule, config.lr_warmup)
            run.update(lr)
            recorder.after_step(lr)
            is_last = Word.STOP in words or (machines.count == 1 and bool(stop.received))
        stopped_by = None
        if position.step < run.last_step:
            stopped_by = stop.received or "another machine"
            recorder.stopped()
    return TrainResult(
        position.step, f"{config.prefix},{LAST}", recorder.results, stopped_by, machines.rank
    )


def make_prefix_folder(prefix: str) -> None:
    """Make the folder of the checkpoints.  Raises ValueError if nothing can be written there."""
    folder = Path(prefix).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise ValueError(f"--prefix {prefix}: cannot make {folder}: {error.strerror}") from None
    if not writable:
        raise ValueError(f"--prefix {prefix}: {folder} is not writable; choose another folder")


def inputs_of(batch: Batch, extra: Sequence[tuple[str, float]], rows: int) -> dict[str, np.ndarray]:
    """Return every input of the graph by name."""
    inputs = {"data": batch.data, "softmax_label": batch.label}
    return inputs | {name: np.full((rows,), value, np.float32) for name, value in extra}


def update_metric(metric: Metrics, stepper: Stepper, label: np.ndarray) -> None:
    """Add the outputs of every device, each with its share of the labels."""
    rows = stepper.shapes["softmax_label"][0]
    for device, outputs in enumerate(stepper.outputs()):
        labels = {"softmax_label": label[device * rows : (device + 1) * rows]}
        metric.update_dict(labels, dict(zip(stepper.output_names, outputs, strict=True)))
