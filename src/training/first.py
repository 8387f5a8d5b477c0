"""The parameters with which a new run begins, where MXNet draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .imprint import imprint
from .initial import initial_params

if TYPE_CHECKING:
    from .plan import Plan


def first_parameters(plan: Plan, ctx: list[Any]) -> tuple[dict, dict]:
    """Return (arg_params, aux_params): drawn, from --pretrained, the classifier imprinted.

    ctx: what embeds for the imprinting.
    """
    initializer, config = plan.network.initializer(), plan.config
    growth = plan.growth
    parameters = initial_params(
        plan.published,
        plan.shapes,
        initializer,
        config.pretrained,
        new_head=bool(config.new_head),
        growth=growth,
        teacher=plan.teacher_fingerprint,
    )
    if config.fc7_init == "imprint":
        imprint(
            plan.published,
            *parameters,
            ctx,
            plan.datasets[0],
            plan.images_per_batch,
            config.max_bad,
            known=growth.kept if growth else (),
        )
    return parameters
