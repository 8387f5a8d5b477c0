"""What makes the steps, MXNet or PyTorch: what a run asks of either, and which one runs.

MXNet is the published engine and runs wherever it can; PyTorch executes the same symbol where its
wheel has no code for the GPU, where it cannot be installed, and where it is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
import logging
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..config import TrainConfig
from ..cuda import compute_capabilities, visible_entries, wheel_serves
from ..embedding.image_embedder import ImageEmbedder
from ..engines.packages import has_mxnet
from .stepper import Params, Stepper

if TYPE_CHECKING:
    from .machines import Machines
    from .memory import MemoryEstimate
    from .plan import Plan

logger = logging.getLogger(__name__)

NAMES = ("auto", "mxnet", "torch")
HOW = "pip install 'arcface_mxnet[torch]'"


class Engine(ABC):
    """One of the two.  devices: that train, as plan.ctx has them."""

    name: ClassVar[str]
    is_elastic: ClassVar[bool] = False  # whether another number of devices may go on with a run
    devices: list[Any]

    @abstractmethod
    def said(self, plan: Plan) -> str:
        """Return what is said of it before the first step."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the packages that compute, with their versions, for run.json."""

    @abstractmethod
    def teacher_gpu(self) -> int:
        """Return the number of the GPU that embeds for --teacher, -1 for the CPU."""

    def teacher_embedder(self, checkpoint: str, batch_size: int) -> ImageEmbedder | None:
        """Return what embeds with a checkpoint for --teacher; None where it is what embeds
        elsewhere."""
        return None

    @abstractmethod
    def mining_dtype(self) -> str:
        """Return in what bags are embedded fastest here."""

    @abstractmethod
    def check(self, plan: Plan) -> None:
        """Raise ValueError for what this engine cannot do, or cannot learn from."""

    @abstractmethod
    def estimate(self, plan: Plan) -> MemoryEstimate:
        """Return the memory that the run takes on each device."""

    @abstractmethod
    def seed(self, number: int) -> None:
        """Begin the random numbers of a step or of a run."""

    @abstractmethod
    def first_parameters(self, plan: Plan) -> tuple[Params, Params]:
        """Return (arg_params, aux_params) with which a new run begins."""

    def parameter_shapes(self, plan: Plan) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters and statistics that a last state of the plan has."""
        symbol = plan.published
        args, _, auxs = symbol.infer_shape(**plan.shapes)
        names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
        shapes = zip(names, [*args, *auxs], strict=True)
        return {name: shape for name, shape in shapes if name not in plan.shapes}

    @abstractmethod
    def stepper(
        self, plan: Plan, arg_params: Params, aux_params: Params, machines: Machines
    ) -> Stepper:
        """Return the step of a plan, with its optimizer."""

    @abstractmethod
    def embedder(self, plan: Plan, stepper: Stepper, dtype: str = "float32") -> ImageEmbedder:
        """Return what embeds as a checkpoint of the last step would; dtype: of the products."""

    @abstractmethod
    def for_mining(self, rows: np.ndarray) -> Any:
        """Return embeddings (M, D) where they are mined."""


def has_torch() -> bool:
    """Return whether PyTorch is installed.  Does not import it."""
    return find_spec("torch") is not None


def open_engine(
    config: TrainConfig, ctx: Sequence[Any] | None = None, local_rank: int | None = None
) -> Engine:
    """Return the engine of --engine on the devices that the options name, or on ctx.

    ctx: MXNet's contexts, which only its own engine takes.  local_rank: which of the processes that
    share the named devices this one is, None where it has them all.  Raises ValueError for an
    engine that is not installed, or that cannot do what the options ask for, and for devices that
    are not there.
    """
    name, reason = chosen_engine(config, ctx)
    faults = []
    if name == "mxnet":
        if config.dtype == "bfloat16":
            faults.append("--dtype bfloat16: MXNet computes none; give --engine torch")
        if config.compile:
            faults.append("--compile 1: MXNet compiles nothing; give --engine torch")
        if config.classifier != "dense":
            faults.append(f"--classifier {config.classifier}: is of --engine torch")
        if config.train_symbol:
            faults.append("--train-symbol: MXNet builds the symbol itself; give --engine torch")
    elif not has_torch():
        faults.append(f"--engine torch is not installed: {HOW}")
    elif config.kvstore == "dist_sync":
        faults.append("--kvstore dist_sync: is MXNet's; give --engine mxnet, or leave it out")
    if faults:
        raise ValueError("\n".join(faults))
    if name == "mxnet":
        from .on_mxnet import MxnetEngine

        return MxnetEngine(config, ctx, reason)
    from .on_torch import TorchEngine

    return TorchEngine(config, reason, local_rank)


def chosen_engine(config: TrainConfig, ctx: Sequence[Any] | None) -> tuple[str, str]:
    """Return the name of the engine, and why if auto takes another than MXNet."""
    return (config.engine, "") if config.engine != "auto" else _chosen(config, ctx)


def _chosen(config: TrainConfig, ctx: Sequence[Any] | None) -> tuple[str, str]:
    if ctx:
        return "mxnet", ""
    if not has_mxnet():
        if not has_torch():
            raise ValueError(f"neither PyTorch ({HOW}) nor MXNet ([cpu] or [cu112]) is installed")
        return "torch", "MXNet is not installed"
    if config.dtype == "bfloat16" or config.train_symbol or config.classifier != "dense":
        return "torch", "MXNet does not do that"
    if has_torch():
        capabilities = dict(enumerate(compute_capabilities()))
        for number in visible_gpus(config):
            if number in capabilities and not wheel_serves(capabilities[number]):
                major, minor = capabilities[number]
                return "torch", f"MXNet has no code for compute capability {major}.{minor}"
    return "mxnet", ""


def visible_gpus(config: TrainConfig) -> list[int]:
    """Return the GPU numbers to use: --gpus, else all of CUDA_VISIBLE_DEVICES, else none.

    CUDA numbers the visible devices from 0, so its entries count but do not name.
    Raises ValueError if --gpus is not a list of numbers.
    """
    if config.gpus:
        numbers = [part.strip() for part in config.gpus.split(",")]
        if not all(part.isdecimal() for part in numbers) or len(set(numbers)) < len(numbers):
            raise ValueError(f"--gpus {config.gpus!r}: give numbers, each once, such as 0,1")
        return list(map(int, numbers))
    return list(range(len(visible_entries() or [])))
