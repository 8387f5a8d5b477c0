"""What a loss tells about itself while training: averages, and lines every so many steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
import logging
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)


class Metric:
    """A mean over the samples of all steps since reset(): sum_metric of num_inst.

    The outputs that it reads come from an engine, which also adds up and looks for the largest:
    they have asnumpy(), sum() and argmax(axis).
    """

    def __init__(self, name: str, output_names: Sequence[str]):
        self.name, self.output_names = name, list(output_names)
        self.reset()

    def reset(self) -> None:
        self.sum_metric, self.num_inst = 0.0, 0

    def update(self, labels: Sequence[Any], preds: Sequence[Any]) -> None:
        """Add the outputs, in the order of output_names, of samples with these labels."""
        raise NotImplementedError

    def get(self) -> tuple[Any, Any]:
        """Return name and value, NaN where nothing came."""
        return self.name, self.sum_metric / self.num_inst if self.num_inst else float("nan")


class Accuracy(Metric):
    """The share of samples whose class has the largest output, (N, C)."""

    def update(self, labels: Sequence[Any], preds: Sequence[Any]) -> None:
        for label, pred in zip(labels, preds, strict=True):
            found = pred.argmax(axis=1).asnumpy().astype(np.int32)
            self.sum_metric += float((found == as_numpy(label).astype(np.int32)).sum())
            self.num_inst += len(found)


class Mean(Metric):
    """The mean of all values."""

    def update(self, labels: Sequence[Any], preds: Sequence[Any]) -> None:
        for pred in preds:
            self.sum_metric += float(pred.sum().asnumpy().item())
            self.num_inst += pred.size


class Metrics:
    """Several together."""

    def __init__(self, metrics: Sequence[Metric]):
        self.metrics = list(metrics)

    def update_dict(self, labels: Mapping[str, Any], preds: Mapping[str, Any]) -> None:
        """Add outputs by their names, such as "softmax_output"."""
        for metric in self.metrics:
            metric.update(list(labels.values()), [preds[name] for name in metric.output_names])

    def get_name_value(self) -> list[tuple[str, float]]:
        found = []
        for metric in self.metrics:
            names, values = metric.get()
            found += (
                [(names, values)] if isinstance(names, str) else zip(names, values, strict=True)
            )
        return found

    def reset(self) -> None:
        for metric in self.metrics:
            metric.reset()


def as_numpy(array: Any) -> np.ndarray:
    """Return an array of numpy or of an engine as numpy's."""
    return array.asnumpy() if hasattr(array, "asnumpy") else np.asarray(array)


def mean_of(output: str, name: str = "") -> Metric:
    """Return the metric that averages an output over samples, under the output's own name."""
    return Mean(name or output, [f"{output}_output"])


class LineEvery(Metric):
    """Logs a line about some outputs every so many steps; adds no number to the metrics.

    begin(step) comes before the outputs of a step, which arrive once for each batch and device,
    and end() after them; line(arrays) gets each output of the whole step.
    """

    def __init__(self, every: int, *outputs: str):
        super().__init__("", [f"{name}_output" for name in outputs])
        self._every = every
        self._is_wanted = False
        self._parts: list[list[np.ndarray]] = []

    def line(self, arrays: list[np.ndarray]) -> str:
        raise NotImplementedError

    def begin(self, step: int) -> None:
        """Take the outputs that come, if a line is due for this step, counted from 1."""
        self._is_wanted = step % self._every == 0
        self._parts = []

    def update(self, labels: Sequence[Any], preds: Sequence[Any]) -> None:
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
def step_of(metric: Metrics, step: int) -> Iterator[None]:
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
