"""The training step with the classifier shared out over processes; the network is as ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.last_state import LastState
from ..checkpoints.nodes import Graph
from ..checkpoints.parts import embedding_part
from ..checkpoints.shards import Ranges, classifier_of, write_shard
from ..training.optimizer import COUNT, Rule, count_of, refuse_other_states
from ..training.stepper import Params
from .classifier import Classifier
from .fills import Fill, filled_from, filled_of
from .graph import Change
from .slices import slice_of
from .stepper import Output, TorchStepper, first_bad

CHUNK = 1 << 16  # rows that are looked at together
MOST_MARK = 1 << 53  # exact in JSON, whoever reads it


class NearestOutput(Output):
    """Probabilities of all identities, of which the largest alone is known.

    tensor: the logarithm of their normaliser, (N,).
    """

    def __init__(self, tensor: Tensor, nearest: Tensor, identities: int):
        super().__init__(tensor)
        self._nearest, self._identities = nearest, identities

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._nearest), self._identities

    @property
    def size(self) -> int:
        return len(self._nearest) * self._identities

    def asnumpy(self) -> np.ndarray:
        raise TypeError("no process has all probabilities")

    def sum(self) -> Output:
        raise TypeError("no process has all probabilities")

    def argmax(self, axis: int) -> Output:
        assert axis == 1, axis
        return Output(self._nearest)


class SharedStepper(TorchStepper):
    """A network's parameters on one device, and this process's rows of the classifier.

    graph: the training symbol.  classifier: of the same graph, its rows still to be filled.  fill:
    what fills them, None where they come later.  The rest as TorchStepper.
    """

    def __init__(
        self,
        graph: Graph,
        device: torch.device | str,
        shapes: Mapping[str, tuple[int, ...]],
        arg_params: Params,
        aux_params: Params,
        optimizer: Rule,
        classifier: Classifier,
        fill: Fill | None,
        **options: Any,
    ):
        super().__init__(
            embedding_part(graph), device, shapes, arg_params, aux_params, optimizer, **options
        )
        self._states |= {name: self._tensor(aux_params[name]) for name in classifier.loss.states}
        self.classifier, self._is_clipping = classifier, bool(optimizer.grad_clip)
        self.output_names = classifier.output_names
        self._nearest: Tensor | None = None
        self._mark, self._marked = 0, -1  # of the rows that were saved last, and their step
        if fill:
            classifier.rows.fill(fill)

    def _backward(
        self, outputs: list[Tensor], given: Mapping[str, Tensor]
    ) -> tuple[list[Tensor], list[Change]]:
        (embedding,) = outputs
        passed = self.classifier(embedding.detach(), given, self._states)
        embedding.backward(passed.gradient)
        self._nearest = passed.nearest
        return passed.outputs, passed.changes

    def _is_finite(self, gradients: Mapping[str, Tensor]) -> bool:
        return self.classifier.all_agree(
            super()._is_finite(gradients) and first_bad(self.classifier.rows.gradients()) is None
        )

    def _apply(self, gradients: Mapping[str, Tensor], lr: float, scale: float) -> None:
        others = self.classifier.norm() if self._is_clipping else 0.0
        clip = self._optimizer.clip_factor(gradients, scale, others)
        self._optimizer.update(gradients, lr, clip, scale)
        self.classifier.update(lr, clip)

    def update(self, lr: float) -> None:
        super().update(lr)
        self.classifier.rows.drop()

    def rewind(self) -> None:
        super().rewind()
        self.classifier.rows.drop()

    def outputs(self) -> list[list[Output]]:
        (softmax,) = self.classifier.softmax
        return [[
            NearestOutput(tensor, self._nearest, self.classifier.identities)
            if name == softmax else Output(tensor)
            for name, tensor in zip(self.output_names, self._outputs, strict=True)
        ]]  # fmt: skip

    def first_bad_parameter(self) -> str | None:
        """Of the classifier the rows of this process are looked at."""
        for name, rows in self.classifier.rows.weights.items():
            for part in rows.detach().split(CHUNK):
                if not bool(torch.isfinite(part).all()):
                    return name
        return super().first_bad_parameter()

    def ranges(self, step: int) -> Ranges:
        count, rows = self.classifier.together.count, self.classifier.rows
        slices = [list(slice_of(self.classifier.identities, rank, count)) for rank in range(count)]
        identities = self.classifier.identities
        return Ranges(identities, dict(rows.rows), slices, rows.count, step, self._mark)

    def save_shard(self, prefix: str, step: int) -> None:
        rows, fault = self.classifier.rows, None
        if step != self._marked:  # the same files again are those that a last state names already
            self._mark, self._marked = self.classifier.drawn(MOST_MARK), step
        params, states = (
            {name: tensor.detach().cpu().numpy() for name, tensor in part.items()}
            for part in (rows.weights, rows.moments)
        )
        try:
            write_shard(prefix, self.ranges(step), self.classifier.together.rank, params, states)
        except OSError as error:
            fault = error
        if not self.classifier.all_agree(fault is None):
            raise fault or OSError("another process cannot write its rows of the classifier")

    def restore_last(self, last: LastState, prefix: str) -> None:
        """The classifier may be in files of other ranges, or whole in the last state itself.

        Raises ValueError for one of other shapes.
        """
        rows = self.classifier.rows
        own = rows.weights | rows.moments
        stored = classifier_of(prefix, last)
        if stored:
            shapes = {name: stored.shape(name) for name in stored.names}
            fill, rows.count = filled_from(stored), stored.ranges.count
        else:
            arrays = {n: a for n, a in (last.arg_params | last.state).items() if n in own}
            shapes = {name: array.shape for name, array in arrays.items()}
            fill = filled_of(arrays)
            rows.count = count_of(last.state[COUNT]) if COUNT in last.state else 0
        refuse_other_states(shapes, own)
        for name, tensor in own.items():
            each = rows.rows[name.rpartition(":")[2]]
            wanted = (self.classifier.identities * each, *tensor.shape[1:])
            if shapes[name] != wanted:
                raise ValueError(f"{name} is {shapes[name]}, not {wanted}")
            fill(name, rows.range.begin * each, tensor)
        self.restore({name: array for name, array in last.state.items() if name not in own})
