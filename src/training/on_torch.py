"""Training on PyTorch: the same symbol, executed with autograd."""

from __future__ import annotations

from dataclasses import replace
import math
import os
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.graph import parse_graph
from ..checkpoints.last_state import has_last
from ..checkpoints.network import read_network
from ..checkpoints.nodes import Graph
from ..checkpoints.parts import EMBEDDING_OUTPUT, embedding_part
from ..config import TrainConfig
from ..embedding.image_embedder import ImageEmbedder
from ..engines.packages import has_bfloat16, has_mxnet, has_onnxruntime
from ..lazy_mxnet import mx
from ..torch_engine.classifier_memory import refuse_too_much
from ..torch_engine.collectives import Collectives
from ..torch_engine.embedder import TensorEmbedder
from ..torch_engine.free_memory import free_on_gpu, free_on_host
from ..torch_engine.graph import Measured, Program, frozen_statistics
from ..torch_engine.shared_stepper import SharedStepper
from ..torch_engine.stepper import DTYPES, TorchStepper, refuse_unfed
from .engine import Engine, visible_gpus
from .few_images import told_of_few
from .machines import Machines
from .memory import BYTES, MemoryEstimate
from .optimizer import make_optimizer
from .shared_classifier import (
    drawing_of,
    first_rows,
    first_states,
    make_classifier,
    memory_of,
    split_of,
)
from .stepper import Params, Stepper
from .stored_first import stored_parameters
from .stored_symbol import StoredSymbol

if TYPE_CHECKING:
    from .plan import Plan

# Bytes kept per byte of operator outputs, for the gradient and while it is computed: on a CPU
# (benchmarks/memory.py); on a GPU nothing is measured.
KEPT = 1.3
VIEWS = frozenset({"Reshape", "Flatten", "BlockGrad", "_copy", "expand_dims", "slice_axis"})


class TorchEngine(Engine):
    """PyTorch on one device of each process: a GPU if one is named or visible, else the CPU."""

    name: ClassVar[str] = "torch"
    is_elastic: ClassVar[bool] = True

    def __init__(self, config: TrainConfig, reason: str, local_rank: int | None = None):
        self.devices = [torch_device(visible_gpus(config), local_rank)]
        self._reason, self._dtype = reason, config.dtype
        # float32 is float32 here, as it is in MXNet.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    def said(self, plan: Plan) -> str:
        why = f" (auto: {self._reason})" if self._reason else ""
        compiled = ", compiled" if plan.config.compile else ""
        exact = ", TF32 off" if self._dtype == "float32" and self.devices[0].type == "cuda" else ""
        return f"torch {torch.__version__}{why}, {self._dtype}{exact}{compiled}"

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def teacher_gpu(self) -> int:
        device = self.devices[0]
        return device.index if device.type == "cuda" else -1

    def teacher_embedder(self, checkpoint: str, batch_size: int) -> ImageEmbedder | None:
        """On a GPU, and where nothing else embeds, PyTorch itself."""
        device = self.devices[0]
        if device.type != "cuda" and (has_mxnet() or has_onnxruntime()):
            return None
        network = read_network(checkpoint)
        tensors = {
            name: torch.tensor(array, device=device) for name, array in network.parameters.items()
        }
        return TensorEmbedder(network.graph, lambda: tensors, device, batch_size)

    def mining_dtype(self) -> str:
        return "bfloat16" if self.devices[0].type == "cpu" and has_bfloat16() else "float32"

    def check(self, plan: Plan) -> None:
        if plan.config.classifier != "dense":
            self._check_classifier(plan)
        if isinstance(plan.published, StoredSymbol):
            told_of_few(self._norms(plan), plan.config.per_batch_size)
            return
        from .plan import check_symbol

        check_symbol(plan)

    def _check_classifier(self, plan: Plan) -> None:
        loss = split_of(plan, self.graph(plan))
        processes = plan.num_workers
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of this machine
        refuse_too_much(
            memory_of(plan, loss, processes),
            plan.config.classifier_memory == "host",
            free_on_host() // here,
            free_on_gpu(self.devices[0]) if self.devices[0].type == "cuda" else None,
        )

    def _norms(self, plan: Plan) -> list[tuple[str, int]]:
        """Return the normalisations by the batch, and how many values each sees per channel."""
        frozen = {n.name for n in self.graph(plan).nodes if n.get("use_global_stats", False)}
        return [
            (node.name, math.prod(shape) // shape[1])
            for node, shape, _ in self._measured(plan)
            if node.operator == "BatchNorm" and node.name not in frozen
        ]

    def graph(self, plan: Plan) -> Graph:
        """Return the training graph."""
        if not isinstance(plan.symbol, StoredSymbol):
            return parse_graph(plan.symbol.tojson(), "the training symbol")
        graph = plan.symbol.graph
        return frozen_statistics(graph) if plan.config.freeze_bn else graph

    def _measured(self, plan: Plan) -> list[Measured]:
        """Return what the graph gives; of a classifier that is shared out nothing is measured."""
        graph = self.graph(plan)
        if plan.config.classifier != "dense":
            graph = embedding_part(graph)
        program = Program(graph, training=True, dtype=DTYPES[self._dtype])
        shapes = plan.shapes | self.parameter_shapes(plan)
        refuse_unfed(program.variables, set(shapes), graph.source)
        return program.measured(shapes)

    def parameter_shapes(self, plan: Plan) -> dict[str, tuple[int, ...]]:
        if isinstance(plan.published, StoredSymbol):
            return {k: v.shape for part in self._stored(plan) for k, v in part.items()}
        return super().parameter_shapes(plan)

    def _stored(self, plan: Plan) -> tuple[Params, Params]:
        if not hasattr(self, "_held"):
            self._held = stored_parameters(plan)
        return self._held

    def estimate(self, plan: Plan) -> MemoryEstimate:
        if plan.config.classifier != "dense":
            return self._estimate_shared(plan)
        shapes = self.parameter_shapes(plan)
        states = self.graph(plan).states()
        weights = BYTES * sum(
            math.prod(shape)
            for name, shape in shapes.items()
            if name not in states and name not in plan.shapes
        )
        activations = logits = 0.0
        of_logits = (plan.config.per_batch_size, plan.datasets[0].num_classes)
        for node, shape, size in self._measured(plan):
            if node.operator in VIEWS:
                continue
            if tuple(shape) == of_logits:
                logits += KEPT * size
            else:
                activations += KEPT * size
        moments = len(make_optimizer(plan.config, {}).moments)
        return MemoryEstimate(
            weights, weights, weights * moments, round(activations), round(logits)
        )

    def _estimate_shared(self, plan: Plan) -> MemoryEstimate:
        """Return the network's estimate with the classifier's formula; what lies in the host's
        memory is not on the device."""
        graph = embedding_part(self.graph(plan))
        program = Program(graph, training=True, dtype=DTYPES[self._dtype])
        shapes = plan.shapes | self.parameter_shapes(plan)
        states = graph.states()
        weights = BYTES * sum(
            math.prod(shapes[name])
            for name in program.variables
            if name not in states and name not in plan.shapes
        )
        kept = sum(one.size for one in program.measured(shapes) if one.node.operator not in VIEWS)
        moments = len(make_optimizer(plan.config, {}).moments)
        loss = split_of(plan, self.graph(plan))
        rows = memory_of(plan, loss, plan.num_workers)
        is_here = plan.config.classifier_memory == "device"
        return MemoryEstimate(
            weights + rows.weights * is_here + rows.moved,
            weights + rows.gradients,
            weights * moments + rows.moments * is_here,
            round(KEPT * kept) + rows.embeddings,
            rows.logits,
        )

    def seed(self, number: int) -> None:
        torch.manual_seed(number)

    def first_parameters(self, plan: Plan) -> tuple[Params, Params]:
        if isinstance(plan.published, StoredSymbol):
            held = self._stored(plan)
            del self._held  # the stepper has a copy
            return held
        if plan.config.classifier != "dense":
            return self._first_of_network(plan)
        from .first import first_parameters

        mx.random.seed(plan.config.seed)  # the numbers with which MXNet would begin
        return first_parameters(plan, [mx.cpu()])

    def _first_of_network(self, plan: Plan) -> tuple[Params, Params]:
        """Return the parameters but the classifier's rows, which are drawn where they lie."""
        from .first import first_parameters

        mx.random.seed(plan.config.seed)
        network = plan.published.get_internals()[EMBEDDING_OUTPUT]
        data = {"data": plan.shapes["data"]}
        part = replace(plan, published=network, shapes=data)
        arg_params, aux_params = first_parameters(part, [mx.cpu()])
        loss = split_of(plan, self.graph(plan))
        attributes, pretrained = plan.published.attr_dict(), plan.config.pretrained
        states = first_states(attributes, loss.states, pretrained)
        return arg_params, aux_params | states

    def stepper(
        self, plan: Plan, arg_params: Params, aux_params: Params, machines: Machines
    ) -> Stepper:
        config = plan.config
        attributes = plan.published.attr_dict()
        given = (self.graph(plan), self.devices[0], plan.shapes, arg_params, aux_params)
        rule = make_optimizer(config, attributes)
        options = {
            "accumulate": config.accumulate,
            "dtype": config.dtype,
            "compiled": bool(config.compile),
            "processes": machines if machines.count > 1 else None,
        }
        if config.classifier == "dense":
            return TorchStepper(*given, rule, **options)
        identities = plan.datasets[0].num_classes
        together = Collectives(options["processes"], self.devices[0])
        classifier = make_classifier(
            config, given[0], identities, frozenset(plan.shapes), attributes, together,
            self.devices[0],
        )  # fmt: skip
        fill = None  # the rows of an earlier run come when it is restored
        if not has_last(config.prefix):
            fill = first_rows(
                config, identities, classifier.loss.weights, arg_params, plan.growth,
                drawing_of(plan),
            )  # fmt: skip
        return SharedStepper(*given, rule, classifier, fill, **options)

    def embedder(self, plan: Plan, stepper: TorchStepper, dtype: str = "float32") -> TensorEmbedder:
        low = DTYPES.get(dtype)
        graph, device = self.graph(plan), self.devices[0]
        return TensorEmbedder(graph, stepper.tensors, device, plan.images_per_batch, low)

    def for_mining(self, rows: np.ndarray) -> Tensor:
        return torch.as_tensor(rows, device=self.devices[0])


def torch_device(numbers: list[int], local_rank: int | None = None) -> torch.device:
    """Return the device of these GPU numbers, the CPU for none.

    local_rank: which of the processes that torchrun started on this computer takes its one of them.
    Raises ValueError for several without it, and for one that is not there.
    """
    if not numbers:
        return torch.device("cpu")
    if local_rank is None and len(numbers) > 1:
        raise ValueError(
            f"--engine torch trains on one GPU, and {len(numbers)} are named or visible: give "
            "--gpus with one number, start a process for each by torchrun (docs/scale.md), or give "
            "--engine mxnet"
        )
    if (local_rank or 0) >= len(numbers):
        raise ValueError(
            f"torchrun started a process number {local_rank} on this computer, counted from 0, and "
            f"{len(numbers)} GPU(s) are named or visible: give --nproc-per-node {len(numbers)}"
        )
    number, present = numbers[local_rank or 0], torch.cuda.device_count()
    if number >= present:
        raise ValueError(
            f"GPU {number} not found: PyTorch sees {present}. Install its CUDA build and a "
            "driver, or unset --gpus and CUDA_VISIBLE_DEVICES to train on the CPU"
        )
    return torch.device("cuda", number)
