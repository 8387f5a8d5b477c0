"""Training steps to be timed: as the published script made them, and as ours."""

from __future__ import annotations

from collections.abc import Callable

from arcface_mxnet.networks import NETWORKS
from arcface_mxnet.ops import fast_graph
from arcface_mxnet.training.initial import initial_params
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.optimizer import SGD
import mxnet as mx

# A rate of almost nothing: numbers must stay ordinary, NaN and denormals cost time.
LR, MOMENTUM, WD = 1e-6, 0.9, 5e-4


def published_step(symbol: mx.sym.Symbol, name: str, batch: int) -> Callable[[], None]:
    """Return one step of mx.mod.Module with the stock operators and MXNet's SGD."""
    mx.random.seed(0)
    module = mx.mod.Module(symbol, context=mx.cpu())
    inputs = _inputs(batch)
    module.bind(
        [("data", inputs["data"].shape)], [("softmax_label", inputs["softmax_label"].shape)]
    )
    module.init_params(NETWORKS[name].initializer())
    options = {"learning_rate": LR, "momentum": MOMENTUM, "wd": WD}
    module.init_optimizer(kvstore=None, optimizer="sgd", optimizer_params=options)
    example = mx.io.DataBatch([inputs["data"]], [inputs["softmax_label"]])

    def step() -> None:
        module.forward_backward(example)
        module.update()
        mx.nd.waitall()

    return step


def own_step(
    symbol: mx.sym.Symbol, name: str, batch: int, kind: str = "auto"
) -> Callable[[], None]:
    """Return one step as train_softmax.py makes it."""
    mx.random.seed(0)
    inputs = _inputs(batch)
    shapes = {key: value.shape for key, value in inputs.items()}
    params = initial_params(symbol, shapes, NETWORKS[name].initializer())
    optimizer = SGD(MOMENTUM, WD, symbol.attr_dict())
    graph = fast_graph(symbol, mx.cpu(), shapes, kind=kind, training=True, accumulates=False)
    stepper = MxnetStepper(graph, [mx.cpu()], shapes, *params, optimizer)

    def step() -> None:
        stepper.forward_backward(inputs)
        stepper.update(LR)
        mx.nd.waitall()

    return step


def _inputs(batch: int) -> dict[str, mx.nd.NDArray]:
    images = mx.nd.random.uniform(0, 255, (batch, 3, 112, 112))
    return {"data": images, "softmax_label": mx.nd.arange(batch)}
