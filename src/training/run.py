"""What moves while a plan is carried out: parameters, the place in the data, the metric."""

from __future__ import annotations

from dataclasses import dataclass
import json
import logging
import math
from typing import Any

import numpy as np

from ..batches.order import PLANS
from ..batches.source import BatchSource
from ..checkpoints.last_state import LastState
from ..checkpoints.names import LAST, params_path
from ..checkpoints.shards import with_classifier
from ..config import TrainConfig
from ..errors import CutShortError
from ..lazy_mxnet import mxnet_errors
from ..losses.reports import Metrics
from .agreement import agree
from .divergence import refuse_divergence
from .machines import Machines
from .plan import Plan
from .resume import Position, as_record, refuse_other_parameters, replicas
from .schedule import make_schedule
from .stepper import Stepper
from .teacher import of_images

logger = logging.getLogger(__name__)


@dataclass
class Run:
    """A run at its place.

    last_step: where it ends, inf where no end is set.  schedule: its learning rates.
    """

    plan: Plan
    machines: Machines
    stepper: Stepper
    source: BatchSource
    metric: Metrics
    position: Position
    last_step: float
    schedule: Any

    def __post_init__(self) -> None:
        # Of the step that is being made: where it began, None between two steps.
        self._began: dict[str, Any] | None = None
        self._passes = 0  # what stepper.changes was then
        self._is_updating = False
        # Where the processes stood in their batches, by rank, and after which step.
        self._places: list[dict[str, Any]] = []
        self._places_step = -1
        # Only these must go back behind a pass through the network; keeping the statistics costs
        # a wait for the device in every step.
        self._remembers = self.plan.config.accumulate > 1 or self.machines.count > 1

    def begin_step(self) -> None:
        """Remember the place between two steps, for rewind()."""
        self._began = self._moving()
        self._passes = self.stepper.changes
        if self._remembers:
            self.stepper.remember()

    def update(self, lr: float) -> None:
        """Make the step whose gradients there are."""
        self.stepper.collect()
        self._is_updating = True
        self.stepper.update(lr)
        self.position.step += 1
        self.position.images += self.plan.images_per_step
        self._began, self._is_updating = None, False

    @property
    def scheduled_step(self) -> int:
        """The step, counted from 1, that is to be made next as the options count steps: that in
        which its first image stands."""
        return self.position.images // self.plan.images_of_a_step + 1

    def rewind(self) -> bool:
        """Go back to the last whole step, for last_state(); False if that cannot be."""
        if self._began and self.stepper.changes != self._passes:
            if self._is_updating or not self._remembers:
                return False
            self.stepper.rewind()
            self._passes = self.stepper.changes
        return True

    def last_state(self) -> LastState:
        """Return all that a resumed run needs, of the last whole step."""
        record = {
            "position": self.position.record(),
            **(self._began or self._moving()),
            "config": as_record(self.plan.config),
            "num_devices": len(self.plan.ctx),
            "num_machines": self.machines.count,
            "images_of_a_step": self.plan.images_of_a_step,
            "data": self.plan.fingerprints,
            "teacher": self.plan.teacher_fingerprint,
        }
        if self._places_step == self.position.step:
            record["places"] = self._places
        if ranges := self.stepper.ranges(self.position.step):
            record["classifier"] = ranges._asdict()
        return LastState(*self.stepper.params(), self.stepper.state(), record)

    def save_shard(self) -> None:
        """Write this process's rows, if the classifier is shared out."""
        self.stepper.save_shard(self.plan.config.prefix, self.position.step)

    def give_own(self) -> None:
        """Give what this process alone knows to the last state that rank 0 is about to save: its
        rows, and where it stands in its batches.  All processes do, between two steps.

        Raises DivergedError if what this one would give is not finite.
        """
        refuse_divergence(self.stepper.first_bad_parameter(), self.position.step, self.plan.config)
        self.save_shard()
        if self.machines.validates_together:
            text = json.dumps(self.source.state()).encode()
            found = self.machines.gather(np.frombuffer(text, np.uint8))
            self._places = [json.loads(rows.tobytes()) for rows in found]
            self._places_step = self.position.step

    def _moving(self) -> dict[str, Any]:
        """Return what moves on within a step."""
        return {
            "batches": self.source.state(),
            "metric": [[float(m.sum_metric), float(m.num_inst)] for m in self.metric.metrics],
        }

    def restore(self, earlier: LastState) -> None:
        """Take the place of an earlier run."""
        self.stepper.restore_last(earlier, self.plan.config.prefix)
        place, is_moved = self._place_of(earlier.record)
        before = place["images_per_batch"] * (earlier.record.get("num_machines") or 1)
        self.source.restore(place, before if is_moved else None)
        sums = earlier.record["metric"]  # since its last progress line
        if len(sums) != len(self.metric.metrics):
            raise ValueError(
                f"it has {len(sums)} sums of metrics, this loss {len(self.metric.metrics)}"
            )
        for part, (total, count) in zip(self.metric.metrics, sums, strict=True):
            part.sum_metric, part.num_inst = total, count

    def _place_of(self, record: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return where to go on in the batches, and whether that is a place of others: of another
        number of processes, or of rank 0, which alone is known when a process was lost."""
        count, rank = self.machines.count, self.machines.rank
        if replicas(record) != len(self.plan.ctx) * count:
            return record["batches"], True
        places = record.get("places") or []
        if len(places) == count:
            return places[rank], False
        if count > 1 and not PLANS[self.plan.loss.batch_plan].is_common:
            logger.warning(
                "the last state tells where rank 0 stood in its batches, and of no other: valid, "
                "but not what the whole run would have drawn"
            )
        return record["batches"], rank > 0


def start_run(plan: Plan, earlier: LastState | None, machines: Machines) -> Run:
    """Return the run of a plan, at its beginning or where an earlier one stopped.

    Raises ValueError if the state of the earlier one does not fit the plan, or if the machines are
    not about to make the same run.
    """
    run = _resumed(plan, earlier, machines) if earlier else _started(plan, None, machines)
    try:
        agree(machines, plan, run.position.step)
        run.stepper.join()
    except BaseException:
        run.source.close()  # its threads
        raise
    return run


def _resumed(plan: Plan, earlier: LastState, machines: Machines) -> Run:
    try:
        return _started(plan, earlier, machines)
    except CutShortError:
        raise  # nothing is wrong with the last state
    except (ValueError, KeyError, TypeError, *mxnet_errors()) as error:
        path = params_path(plan.config.prefix, LAST)
        reason = (str(error).strip().splitlines() or [""])[-1]
        if isinstance(error, KeyError):
            reason = f"it has no {reason}"
        raise ValueError(f"{path}: this run cannot go on from it: {reason}") from error


def _started(plan: Plan, earlier: LastState | None, machines: Machines) -> Run:
    config = plan.config
    engine = plan.engine
    engine.seed(config.seed)
    if earlier and config.classifier == "dense":
        earlier = with_classifier(earlier, config.prefix)
    if earlier:
        refuse_other_parameters(earlier, engine.parameter_shapes(plan), config)
        parameters = earlier.arg_params, earlier.aux_params
    else:
        parameters = engine.first_parameters(plan)
    stepper = engine.stepper(plan, *parameters, machines)
    source = BatchSource(
        plan.loss.batch_plan,
        plan.datasets,
        config,
        np.random.default_rng(config.seed),
        engine.embedder(plan, stepper, config.triplet_dtype).forward,
        len(plan.ctx),
        to_device=engine.for_mining,
        worker=machines.rank,
        num_workers=machines.count,
        of_images=of_images(plan),
    )
    try:
        position = Position.of(earlier, config) if earlier else Position()
        images = final_images(
            config, source.batches_per_epoch, plan.images_per_step, plan.images_of_a_step
        )
        schedule = make_schedule(config, plan.drops, steps_of(images, plan.images_of_a_step))
        left = steps_of(max(images - position.images, 0), plan.images_per_step)
        last_step = position.step + left
        run = Run(
            plan, machines, stepper, source, plan.loss.metric(), position, last_step, schedule
        )
        if earlier:
            run.restore(earlier)
    except BaseException:
        source.close()  # its threads
        raise
    return run


def final_images(
    config: TrainConfig, batches_per_epoch: int | None, images_per_step: int, images_of_a_step: int
) -> float:
    """Return after how many images the run ends: by --max-steps, of images_of_a_step, or by
    --end-epoch, whichever is first.

    batches_per_epoch is None where an epoch has no fixed length; then --max-steps alone counts,
    and inf is returned where that is not given.  Raises ValueError for a step of more batches than
    --end-epoch allows in all.
    """
    ends = [config.max_steps * images_of_a_step] if config.max_steps else []
    if batches_per_epoch:
        batches = config.end_epoch * batches_per_epoch
        if config.accumulate > batches:
            raise ValueError(
                f"--accumulate {config.accumulate}: one step would take more than the {batches} "
                f"batches that --end-epoch {config.end_epoch} ends after; lower the first, or "
                "raise the second"
            )
        ends.append(batches // config.accumulate * images_per_step)
    return min(ends, default=math.inf)


def steps_of(images: float, images_per_step: int) -> float:
    """Return how many steps show so many images, the last one perhaps more."""
    return images if math.isinf(images) else -(-int(images) // images_per_step)
