"""--plan-only: what a run elsewhere needs of MXNet, and no step."""

from __future__ import annotations

from pathlib import Path

from ..config import TrainConfig
from .loop import make_prefix_folder
from .plan import make_plan
from .stored_symbol import Origin, takes_stored_symbol, write_training_symbol


def write_plan(config: TrainConfig) -> list[Path]:
    """Write the training symbol, its plan and the parameters with which the run would begin.

    Returns the paths.  Raises ValueError where there is no MXNet to build them, and all that a
    run raises before its first step.
    """
    if takes_stored_symbol(config):
        raise ValueError(
            "--plan-only builds the symbol with MXNet, which is not installed here (or "
            "--train-symbol was given): run it where MXNet is"
        )
    plan = make_plan(config)
    make_prefix_folder(config.prefix)
    plan.engine.seed(config.seed)
    parameters = plan.engine.first_parameters(plan)
    origin = Origin(plan.teacher_fingerprint, plan.fingerprints)
    return write_training_symbol(config, plan.loss, origin, plan.published.tojson(), *parameters)
