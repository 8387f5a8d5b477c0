"""Training on MXNet: the published symbol, bound with our operators on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import TYPE_CHECKING, Any, ClassVar

import mxnet as mx
import numpy as np

from ..config import TrainConfig
from ..engines.choice import choose_engine, device_numbers
from ..engines.session import fastest_dtype
from ..ops import fast_graph
from .engine import Engine
from .first import first_parameters
from .live import LiveEmbedder
from .machines import Machines
from .memory import MemoryEstimate, estimate_memory
from .mxnet_stepper import MxnetStepper
from .optimizer import make_optimizer
from .stepper import Params, Stepper

if TYPE_CHECKING:
    from .plan import Plan

LARGEST_ARRAY = (1 << 31) - 1  # values; the wheel is built without large arrays


class MxnetEngine(Engine):
    """MXNet on one or several devices of this machine."""

    name: ClassVar[str] = "mxnet"

    def __init__(self, config: TrainConfig, ctx: Sequence[mx.Context] | None, reason: str):
        from . import plan  # which imports engine.py, and is where tests name other devices

        self.devices = list(ctx) if ctx else plan.contexts(config)

    def said(self, plan: Plan) -> str:
        return "mxnet"

    def versions(self) -> dict[str, str]:
        return {"mxnet": mx.__version__}

    def teacher_gpu(self) -> int:
        return device_numbers(self.devices)[0]

    def mining_dtype(self) -> str:
        return fastest_dtype(device_numbers(self.devices)[0])

    def check(self, plan: Plan) -> None:
        is_mining = plan.loss.batch_plan == "triplets"
        from .plan import check_symbol

        # Verifies and mines; refuses what cannot be had before anything is trained.
        dtype = plan.config.triplet_dtype if is_mining else "float32"
        choose_engine("", "auto", self.devices, dtype)
        check_symbol(plan)
        refuse_large_arrays(plan)

    def estimate(self, plan: Plan) -> MemoryEstimate:
        return estimate_memory(plan)

    def seed(self, number: int) -> None:
        mx.random.seed(number)

    def first_parameters(self, plan: Plan) -> tuple[Params, Params]:
        return first_parameters(plan, self.devices)

    def stepper(
        self, plan: Plan, arg_params: Params, aux_params: Params, machines: Machines
    ) -> Stepper:
        kvstore = machines.kvstore
        if not kvstore and len(self.devices) > 1:
            kvstore = mx.kvstore.create(plan.config.kvstore)
        return make_stepper(plan, arg_params, aux_params, kvstore)

    def embedder(self, plan: Plan, stepper: Stepper, dtype: str = "float32") -> LiveEmbedder:
        return LiveEmbedder(plan, stepper, dtype)

    def for_mining(self, rows: np.ndarray) -> Any:
        return mx.nd.array(rows, self.devices[0])


def refuse_large_arrays(plan: Plan) -> None:
    """Raise ValueError for an array of more values than MXNet counts."""
    internals = plan.symbol.get_internals()
    shapes = internals.infer_shape(**plan.shapes)[1]
    sizes = {name: math.prod(s) for name, s in zip(internals.list_outputs(), shapes, strict=True)}
    name = max(sizes, key=sizes.__getitem__)
    if sizes[name] > LARGEST_ARRAY:
        raise ValueError(
            f"{name} would have {sizes[name]:,} values with --per-batch-size "
            f"{plan.config.per_batch_size}, and MXNet takes {LARGEST_ARRAY:,} in an array: give "
            "less with --accumulate, a smaller --network, or --engine torch"
        )


def make_stepper(
    plan: Plan, arg_params: Params, aux_params: Params, kvstore: mx.kvstore.KVStore | None
) -> MxnetStepper:
    """Return the step of a plan, with its optimizer."""
    config = plan.config
    optimizer = make_optimizer(config, plan.published.attr_dict())
    return MxnetStepper(
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
        kvstore=kvstore,
        accumulate=config.accumulate,
    )
