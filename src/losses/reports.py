"""What a loss tells about itself while training: averages, and lines every so many steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging

import mxnet as mx
import numpy as np

logger = logging.getLogger(__name__)


def mean_of(output: str, name: str = "") -> mx.metric.EvalMetric:
    """Return the metric that averages an output over samples, under the output's own name."""
    return mx.metric.Loss(name=name or output, output_names=[f"{output}_output"])


class LineEvery(mx.metric.EvalMetric):
    """Logs a line about some outputs every so many steps; adds no number to the metrics.

    begin(step) comes before the outputs of a step, which arrive once for each batch and device,
    and end() after them; line(arrays) gets each output of the whole step.
    """

    def __init__(self, every: int, *outputs: str):
        super().__init__("", output_names=[f"{name}_output" for name in outputs])
        self._every = every
        self._is_wanted = False
        self._parts: list[list[np.ndarray]] = []

    def line(self, arrays: list[np.ndarray]) -> str:
        raise NotImplementedError

    def begin(self, step: int) -> None:
        """Take the outputs that come, if a line is due for this step, counted from 1."""
        self._is_wanted = step % self._every == 0
        self._parts = []

    def update(self, labels: list[mx.nd.NDArray], preds: list[mx.nd.NDArray]) -> None:
        if self._is_wanted:
            self._parts.append([pred.asnumpy().ravel() for pred in preds])

    def end(self) -> None:
        """Log the line of the step, if it is due."""
        if self._parts:
            arrays = [np.concatenate(parts) for parts in zip(*self._parts, strict=True)]
            logger.info("%s", self.line(arrays))
            self._parts = []

    def get(self) -> tuple[list[str], list[float]]:
        return [], []


@contextmanager
def step_of(metric: mx.metric.CompositeEvalMetric, step: int) -> Iterator[None]:
    """Yield while the outputs of a step, counted from 1, are added to a loss's metric."""
    lines = [part for part in metric.metrics if isinstance(part, LineEvery)]
    for line in lines:
        line.begin(step)
    yield
    for line in lines:
        line.end()


class AnglesEvery(LineEvery):
    """The mean angle to the own class, before and after the margin."""

    def line(self, arrays: list[np.ndarray]) -> str:
        before, after = (np.degrees(np.arccos(np.clip(a, -1, 1))).mean() for a in arrays)
        cosines = ", ".join(f"{a.mean():.4f}" for a in arrays)
        return f"target angle {before:.2f} degrees, with margin {after:.2f}; cosines {cosines}"


class DecilesEvery(LineEvery):
    """The mean probability of the own class among the worst and the best tenth of a batch."""

    def line(self, arrays: list[np.ndarray]) -> str:
        ranked = np.sort(arrays[0])
        tenth = max(1, len(ranked) // 10)
        low, high = ranked[:tenth].mean(), ranked[-tenth:].mean()
        return f"target probability: lowest tenth {low:.4f}, highest tenth {high:.4f}"
