"""Commands run in this process, and what a training command did at each of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import csv
from dataclasses import dataclass, field
from functools import cached_property
import io
from itertools import count
import json
import logging
import os
from pathlib import Path
import signal
import threading
from typing import Any
from unittest import mock

from arcface_mxnet import train_softmax
from arcface_mxnet.checkpoints.last_state import LastState, load_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.checkpoints.names import checkpoint_numbers
from arcface_mxnet.config import TrainConfig, from_namespace
from arcface_mxnet.training import plan
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
import mxnet as mx
import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass
class Done:
    """How a command ended: exit code, stdout, stderr, and the lines that it logged."""

    argv: list[str]
    code: int
    out: str
    err: str
    log: list[str]

    @property
    def said(self) -> str:
        return "\n".join([self.out, self.err, *self.log])


def run(main: Callable[[Sequence[str]], int], argv: Sequence[object]) -> Done:
    """Run a command's main; what argparse refuses ends with its code too."""
    texts = [str(argument) for argument in argv]
    out, err, lines = io.StringIO(), io.StringIO(), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(texts)
            except SystemExit as ended:
                code = ended.code
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return Done(texts, code, out.getvalue(), err.getvalue(), lines)


@dataclass(frozen=True)
class Share:
    """What one device saw of one batch: images (N, 3, H, W), identities (N,), all outputs, and the
    teacher's vectors (N, T) where there is one."""

    device: int
    data: np.ndarray
    label: np.ndarray
    outputs: Arrays
    teacher: np.ndarray | None = None

    @property
    def embedding(self) -> np.ndarray:
        return self.outputs["embedding"]


@dataclass
class Step:
    """One update: its shares, device by device and batch by batch; weights around it."""

    before: Arrays
    shares: list[Share] = field(default_factory=list)
    after: Arrays = field(default_factory=dict)

    def moved(self, name: str) -> np.ndarray:
        return self.after[name] - self.before[name]


@dataclass
class Trained(Done):
    """A training command: also its steps and what it left."""

    steps: list[Step]
    devices: int
    kvstores: list[str]  # that were made
    readers: int  # threads that read images

    @cached_property
    def config(self) -> TrainConfig:
        return from_namespace(train_softmax.build_parser().parse_args(self.argv))

    @property
    def prefix(self) -> str:
        return self.config.prefix

    @cached_property
    def record(self) -> dict[str, Any]:
        """PREFIX-run.json."""
        return json.loads(Path(f"{self.prefix}-run.json").read_text())

    @cached_property
    def metrics(self) -> list[dict[str, str]]:
        """The rows of PREFIX-metrics.csv: step, epoch, metric, value."""
        with Path(f"{self.prefix}-metrics.csv").open() as file:
            return list(csv.DictReader(file))

    def values(self, metric: str) -> dict[int, float]:
        """Return the values of a metric by step."""
        return {int(r["step"]): float(r["value"]) for r in self.metrics if r["metric"] == metric}

    @cached_property
    def last(self) -> LastState:
        return load_last(self.prefix)

    @property
    def numbers(self) -> list[int]:
        return checkpoint_numbers(self.prefix)

    def saved(self, number: int | str = "last") -> Arrays:
        """Return all parameters and states of a checkpoint."""
        _, args, aux = load_checkpoint(f"{self.prefix},{number}")
        return {name: array.asnumpy() for name, array in (args | aux).items()}

    @cached_property
    def symbol(self) -> str:
        return Path(f"{self.prefix}-symbol.json").read_text()

    @property
    def images(self) -> np.ndarray:
        """All images that were trained on, in order, float32 (N, 3, H, W)."""
        return np.concatenate([s.data for step in self.steps for s in step.shares])

    @property
    def labels(self) -> np.ndarray:
        return np.concatenate([s.label for step in self.steps for s in step.shares])


def train(argv: Sequence[object], devices: int = 1) -> Trained:
    """Run arcface-train; with several devices the one CPU is taken for them.

    No flag names a CPU, so what the flags come to is replaced there alone.
    """
    several = mock.patch.object(plan, "contexts", lambda _: [mx.cpu(i) for i in range(devices)])
    kinds: list[str] = []
    with contextlib.ExitStack() as stack:
        if devices > 1:
            stack.enter_context(several)
        steps, readers = stack.enter_context(watched())
        stack.enter_context(noted(mx.kvstore, "create", kinds))
        done = run(train_softmax.main, argv)
    return Trained(
        **vars(done), steps=steps, devices=devices, kvstores=kinds, readers=max(readers, default=0)
    )


def noted(owner: Any, name: str, seen: list[Any]) -> Any:
    """Return a context in which the first argument of each call of a function is noted."""
    function = getattr(owner, name)

    def noting(first: Any, *more: Any, **options: Any) -> Any:
        seen.append(first)
        return function(first, *more, **options)

    return mock.patch.object(owner, name, noting)


@contextlib.contextmanager
def stopping_after(step: int) -> Iterator[None]:
    """Let the next run receive SIGTERM in its update of this number."""
    update, numbers = MxnetStepper.update, count(1)

    def counted(self, *arguments):
        result = update(self, *arguments)
        if next(numbers) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    with mock.patch.object(MxnetStepper, "update", counted):
        yield


def arrays_of(params: dict[str, mx.nd.NDArray]) -> Arrays:
    return {name: array.asnumpy() for name, array in params.items()}


@contextlib.contextmanager
def watched() -> Iterator[tuple[list[Step], list[int]]]:
    """Yield two lists: of every step that an MxnetStepper makes, and of how many threads read."""
    steps: list[Step] = []
    readers: list[int] = []
    forward_backward, update = MxnetStepper.forward_backward, MxnetStepper.update

    def watched_forward(self, inputs, *more):
        if not steps or steps[-1].after:
            steps.append(Step(steps[-1].after if steps else arrays_of(self.params()[0])))
        readers.append(sum(t.name.startswith("read_") for t in threading.enumerate()))
        result = forward_backward(self, inputs, *more)
        rows = self.shapes["softmax_label"][0]
        names = [name.removesuffix("_output") for name in self.output_names]
        for device, outputs in enumerate(self.outputs()):
            place = slice(device * rows, (device + 1) * rows)
            steps[-1].shares.append(
                Share(
                    device,
                    inputs["data"][place],
                    inputs["softmax_label"][place].astype(int),
                    dict(zip(names, (o.asnumpy() for o in outputs), strict=True)),
                    inputs["teacher"][place] if "teacher" in inputs else None,
                )
            )
        return result

    def watched_update(self, *arguments):
        result = update(self, *arguments)
        steps[-1].after = arrays_of(self.params()[0])
        return result

    with (
        mock.patch.object(MxnetStepper, "forward_backward", watched_forward),
        mock.patch.object(MxnetStepper, "update", watched_update),
    ):
        yield steps, readers
