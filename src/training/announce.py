"""What a run is about to do, said before its first step."""

from __future__ import annotations

import logging
import math
from typing import Any

from .memory import MemoryEstimate
from .plan import Plan
from .schedule import SCHEDULES

logger = logging.getLogger(__name__)


def announce(
    plan: Plan, memory: MemoryEstimate, batches_per_epoch: int | None, last_step: float, done: int
) -> None:
    """Log data, geometry, memory, schedule and end."""
    config = plan.config
    for dataset, count in zip(plan.datasets, plan.num_identities, strict=True):
        without = f" ({count} of them with images)" if count < dataset.num_classes else ""
        logger.info(
            "data: %s, %d identities%s, %d images of %dx%d",
            dataset.folder,
            dataset.num_classes,
            without,
            len(dataset.image_keys),
            *dataset.image_shape,
        )
    logger.info(
        "network %s, loss %s, embedding %d, by %s on %s",
        config.network,
        config.loss_type,
        config.emb_size,
        plan.engine.said(plan),
        ", ".join(map(str, plan.ctx)),
    )
    if plan.loss.batch_plan == "triplets":
        logger.info("mining: bags are embedded in %s (--triplet-dtype)", config.triplet_dtype)
    if plan.teacher:
        logger.info(
            "teacher: %s, vectors of %d, %s distance, weight %g",
            plan.teacher.text,
            plan.teacher.size,
            config.teacher_loss,
            config.teacher_weight,
        )
    per_step = f"{config.per_batch_size} images x {len(plan.ctx)} device(s)"
    if config.accumulate > 1:
        per_step += f" x {config.accumulate} accumulated"
    logger.info("batch: %s = %d images per step", per_step, plan.images_per_step)
    logger.info("memory: %s", memory)
    steps_per_epoch = batches_per_epoch / config.accumulate if batches_per_epoch else None
    drops = ", ".join(_when(step, steps_per_epoch) for step in plan.drops)
    told = SCHEDULES[config.lr_schedule].told.format(drops=drops)
    if not config.apply_mult and (config.fc7_lr_mult, config.fc7_wd_mult) != (1, 1):
        logger.warning(
            "--fc7-lr-mult and --fc7-wd-mult stand in the symbol alone, as published: they change "
            "nothing here without --apply-mult 1"
        )
    if not config.lr:
        logger.warning("--lr 0: no parameter learns; statistics of batch normalisation alone move")
    logger.info("%s, learning rate %g, %s", config.optimizer, config.lr, told)
    end = f"ends at step {_when(last_step, steps_per_epoch)}"
    if math.isinf(last_step):
        end = "no end set: --max-steps or Ctrl-C ends it, and --resume goes on"
    logger.info("%s%s", end, f", going on from step {done}" if done else "")


def _when(step: float, steps_per_epoch: float | None) -> str:
    return f"{step} (epoch {step / steps_per_epoch:.1f})" if steps_per_epoch else str(step)


def run_facts(plan: Plan) -> dict[str, Any]:
    """Return what run.json says of data and geometry."""
    return {
        "data": [
            {
                "folder": str(dataset.folder),
                "identities": dataset.num_classes,
                "identities_with_images": count,
                "images": len(dataset.image_keys),
                "fingerprint": dataset.fingerprint(),
            }
            for dataset, count in zip(plan.datasets, plan.num_identities, strict=True)
        ],
        "teacher": plan.teacher_fingerprint,
        "engine": plan.engine.name,
        "versions": plan.engine.versions(),
        "devices": [str(context) for context in plan.ctx],
        "images_per_step": plan.images_per_step,
        "learning_rate_drops": list(plan.drops),
    }
