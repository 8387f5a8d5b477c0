"""What the tests of losses share: building, running, angles to choose, slopes by differences."""

from collections.abc import Callable
from types import SimpleNamespace

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture(scope="session")
def build() -> Callable:
    """build(loss_type, num_classes, **options) -> Loss"""

    def build(loss_type, num_classes, **options):
        config = TrainConfig(loss_type=str(loss_type), **options)
        return build_loss(config.loss_type, config, num_classes)

    return build


@pytest.fixture(scope="session")
def run() -> Callable:
    """run(loss, x, label, arrays, is_train) -> outputs, gradients, states, by name.

    x (N, D) is the embedding; arrays gives parameters, states and inputs by name, others
    are drawn or, for inputs, those of the second step.
    """

    def run(loss, x, label, arrays=(), is_train=True):
        symbol = loss.symbol(mx.sym.Variable("x"), mx.sym.Variable("softmax_label"))
        inputs = {name: np.full(len(x), value) for name, value in loss.step_inputs(2)}
        given = {"x": np.asarray(x), "softmax_label": np.asarray(label), **inputs, **dict(arrays)}
        shapes = {"x": given["x"].shape, "softmax_label": (len(x),)}
        executor = symbol.simple_bind(
            mx.cpu(), **shapes, **{name: (len(x),) for name, _ in loss.step_inputs(2)}
        )
        places = {**executor.arg_dict, **executor.aux_dict}
        assert set(given) <= set(places)
        rng = np.random.default_rng(3)
        for name, place in places.items():
            start = rng.normal(size=place.shape) if name in executor.arg_dict else 0
            place[:] = given.get(name, start)
        executor.forward(is_train=is_train)
        if is_train:
            executor.backward()
        gradients = {k: v.asnumpy() for k, v in executor.grad_dict.items() if v is not None}
        return SimpleNamespace(
            outputs={
                name.removesuffix("_output"): array.asnumpy()
                for name, array in executor.output_dict.items()
            },
            gradients=gradients,
            states={name: array.asnumpy() for name, array in executor.aux_dict.items()},
        )

    return run


@pytest.fixture(scope="session")
def at_angles() -> Callable:
    """at_angles(degrees, num_classes, dim, lengths) -> x (N, D), weight (C, D), label (N,).

    Sample i stands at degrees[i] from the weight of its own class; float64.
    """

    def at_angles(degrees, num_classes=5, dim=6, lengths=None, seed=7):
        rng = np.random.default_rng(seed)
        weight = rng.normal(size=(num_classes, dim))
        label = np.arange(len(degrees)) % num_classes
        x = np.empty((len(degrees), dim))
        for i, angle in enumerate(np.radians(degrees)):
            own = weight[label[i]] / np.linalg.norm(weight[label[i]])
            side = rng.normal(size=dim)
            side -= (side @ own) * own
            side /= np.linalg.norm(side)
            length = rng.uniform(0.5, 3) if lengths is None else lengths[i]
            x[i] = length * (np.cos(angle) * own + np.sin(angle) * side)
        return x, weight, label

    return at_angles


@pytest.fixture(scope="session")
def assert_slopes() -> Callable:
    """assert_slopes(objective, array, gradient): row by row within 1e-3 of central differences.

    objective(array) -> float is a float64 reference; gradient float32 is what MXNet gave.
    """

    def assert_slopes(objective, array, gradient, step=1e-5):
        wanted = np.zeros_like(array, dtype=np.float64)
        for place in np.ndindex(array.shape):
            above, below = array.astype(np.float64), array.astype(np.float64)
            above[place] += step
            below[place] -= step
            wanted[place] = (objective(above) - objective(below)) / (2 * step)
        floor = 1e-4 * np.linalg.norm(wanted)  # a row without a slope has float32 noise alone
        for row, (got, want) in enumerate(zip(gradient, wanted, strict=True)):
            error = np.linalg.norm(got - want) / max(np.linalg.norm(want), floor)
            assert error < 1e-3, f"row {row}: {got} is not {want}"
        assert np.linalg.norm(wanted) > 1e-4  # the reference has a slope to compare with

    return assert_slopes


@pytest.fixture(scope="session")
def cross_entropy() -> Callable:
    """cross_entropy(logits (N, C), label) -> float, mean over samples, by a plain loop."""

    def cross_entropy(logits, label):
        total = 0.0
        for row, own in zip(logits, label, strict=True):
            largest = max(row)
            total += largest + np.log(sum(np.exp(z - largest) for z in row)) - row[own]
        return total / len(label)

    return cross_entropy


@pytest.fixture(scope="session")
def cosine_table() -> Callable:
    """cosine_table(x (N, D), weight (C, D)) -> (N, C) float64, by a plain loop."""

    def cosine_table(x, weight):
        table = np.empty((len(x), len(weight)))
        for i, embedding in enumerate(x):
            for j, row in enumerate(weight):
                table[i, j] = embedding @ row / np.sqrt((embedding @ embedding) * (row @ row))
        return table

    return cosine_table
