"""A teacher beside a loss: the embedding learns the vectors that another network gives.

The graph gets an input more, "teacher" (N, T), a vector for each image; where T is not the
embedding's size, a linear map goes between, which belongs to training alone.  Source: the idea is
that of Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531; directions
of embeddings in place of logits, arXiv 1905.10620.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..lazy_mxnet import mx
from ..registry import Registry
from .base import LOSSES, Loss
from .reports import Metric, mean_of

TEACHER = "teacher"  # the input, (N, T)
MAP = "teacher_map_weight"  # (T, D)
LOSS, COSINE = "teacher_loss", "teacher_cosine"  # outputs, (1,) and (N,)

# distance(student, teacher), both (N, T) of length 1 -> (N,), lower is nearer
DISTANCES = Registry("distance to the teacher", "--teacher-loss")


@DISTANCES.register("cosine")
def cosine_distance(student: mx.sym.Symbol, teacher: mx.sym.Symbol) -> mx.sym.Symbol:
    """1 - cosine."""
    return 1 - mx.sym.sum(student * teacher, axis=1)


@DISTANCES.register("squared")
def squared_distance(student: mx.sym.Symbol, teacher: mx.sym.Symbol) -> mx.sym.Symbol:
    """The squared distance: of unit vectors twice 1 - cosine, so twice its gradient."""
    return mx.sym.sum(mx.sym.square(student - teacher), axis=1)


@LOSSES.register("none")
@dataclass(frozen=True)
class NoLoss(Loss):
    """No loss of its own: the --teacher alone is learned from, and no label is read.

    Outputs: the embedding, and the label, which the graph does not need otherwise.
    """

    needs_identities = False
    needs_teacher = True

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        outputs = [mx.sym.BlockGrad(embedding, name="embedding")]
        return mx.sym.Group([*outputs, mx.sym.BlockGrad(label, name="label")])


@dataclass(frozen=True)
class Taught(Loss):
    """A loss, and weight times the mean distance to the teacher's vectors, (N, size).

    Both are compared at length 1; the embedding (N, emb_size) goes through the map first if the
    sizes differ.  Outputs besides the loss's own: "teacher_loss", the mean distance, and
    "teacher_cosine" (N,), to be reported.
    """

    loss: Loss
    distance: str
    weight: float
    size: int
    emb_size: int

    @property
    def batch_plan(self) -> str:
        return self.loss.batch_plan

    @property
    def base_milestones(self) -> tuple[int, ...]:
        return self.loss.base_milestones

    @property
    def needs_identities(self) -> bool:
        return self.loss.needs_identities

    @property
    def delay(self) -> int:
        return self.loss.delay

    def step_inputs(self, step: int) -> Sequence[tuple[str, float]]:
        return self.loss.step_inputs(step)

    def image_inputs(self) -> dict[str, tuple[int, ...]]:
        return {**self.loss.image_inputs(), TEACHER: (self.size,)}

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        group = self.loss.symbol(embedding, label)
        student = embedding
        if self.size != self.emb_size:
            student = mx.sym.FullyConnected(
                embedding,
                mx.sym.Variable(MAP, shape=(self.size, self.emb_size)),
                no_bias=True,
                num_hidden=self.size,
                name="teacher_map",
            )  # (N, T)
        student = mx.sym.L2Normalization(student, mode="instance", name="teacher_student")
        teacher = mx.sym.Variable(TEACHER)
        teacher = mx.sym.L2Normalization(teacher, mode="instance", name="teacher_unit")
        teacher = mx.sym.BlockGrad(teacher)  # the student alone learns
        mean = mx.sym.mean(DISTANCES[self.distance](student, teacher))
        cosine = mx.sym.sum(student * teacher, axis=1)
        outputs = [
            mx.sym.MakeLoss(mean, grad_scale=self.weight, name=LOSS),
            mx.sym.BlockGrad(cosine, name=COSINE),
        ]
        return mx.sym.Group([*group, *outputs])

    def reports(self) -> list[Metric]:
        return [*self.loss.reports(), mean_of(COSINE)]


def without_teacher(outputs: Sequence[str]) -> list[int]:
    """Return the places of the outputs, by their names, that are not the teacher's."""
    own = {f"{name}_output" for name in (LOSS, COSINE)}
    return [place for place, name in enumerate(outputs) if name not in own]
