"""What a run said and left, against the formulas and against another run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcface_mxnet.checkpoints.load import load_params
import numpy as np

from tests.end_to_end.commands import Trained
from tests.end_to_end.formulas import (
    LOGITS,
    cross_entropy,
    distance,
    log_softmax,
    own_objective,
    teacher_cosines,
)
from tests.end_to_end.updates import points

COSINE = "teacher_cosine"


def assert_outputs(run: Trained) -> None:
    """Assert that every share's outputs, and the metrics of every step, are those of the loss.

    The run logs every step (--frequent 1).
    """
    logged = {name: run.values(name) for name in ("acc", "lossvalue", "ce_loss", COSINE)}
    for number, (step, parts) in enumerate(points(run), start=1):
        wanted: dict[str, list[float]] = {"acc": [], "lossvalue": [], "ce_loss": [], COSINE: []}
        for share, p in zip(step.shares, parts, strict=True):
            if p.teacher is not None:
                found = share.outputs["teacher_loss"]
                np.testing.assert_allclose(found, distance(p), rtol=1e-4, atol=1e-6)
                wanted[COSINE].append(float(np.mean(teacher_cosines(p))))
            if p.options.loss_type == "none":
                continue
            if p.options.loss_type not in LOGITS:
                wanted["lossvalue"].append(own_objective(p))
                found = share.outputs["loss"]
                np.testing.assert_allclose(found, own_objective(p), rtol=1e-4, atol=1e-6)
                continue
            logits = LOGITS[p.options.loss_type](p)
            found, probabilities = share.outputs["softmax"], np.exp(log_softmax(logits))
            np.testing.assert_allclose(found, probabilities, rtol=1e-3, atol=1e-5)
            wanted["acc"].append(float(np.mean(found.argmax(axis=1) == p.y)))
            wanted["ce_loss"].append(cross_entropy(logits, p.y))
        for name, values in wanted.items():
            if values and (logged[name] or name != "ce_loss"):
                np.testing.assert_allclose(
                    logged[name][number], np.mean(values), rtol=1e-3, atol=1e-6,
                    err_msg=f"{name} of step {number} in {run.prefix}-metrics.csv",
                )  # fmt: skip
    assert bool(logged["ce_loss"]) == run.config.ce_loss


def assert_same(left: Mapping[str, Any], right: Mapping[str, Any], where: str) -> None:
    """Assert that arrays by name are the same bits."""
    assert left.keys() == right.keys(), where
    for name, array in left.items():
        np.testing.assert_array_equal(
            np.asarray(right[name]), np.asarray(array), err_msg=f"{name} in {where}"
        )


def assert_same_end(left: Trained, right: Trained) -> None:
    """Assert that two runs have left the same numbers, bit for bit."""
    assert left.metrics == right.metrics
    assert left.record["validation"] == right.record["validation"]
    assert left.numbers == right.numbers
    for number in left.numbers:
        assert_same(left.saved(number), right.saved(number), f"checkpoint {number}")
    ends = [load_params(f"{run.prefix}-last.params") for run in (left, right)]
    for end in ends:
        del end["run:json"]  # holds the options, and --prefix among them
    assert_same(*[{k: v.asnumpy() for k, v in end.items()} for end in ends], "the last state")
    for name in ("position", "batches", "metric"):
        assert left.last.record[name] == right.last.record[name]
