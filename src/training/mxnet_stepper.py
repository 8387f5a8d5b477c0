"""The training step on MXNet.

Data parallel, as published: each device sees a contiguous share of the batch, keeps its own
batch normalisation statistics, and has the same weights.  Gradients are summed over devices
(and machines, with a distributed kvstore) and every device makes the same update, so weights,
momentum and learning rate are all at hand here and nothing is hidden in a parameter server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import mxnet as mx

from ..checkpoints.load import Params
from .loss_scale import LOSS_SCALE, LossScale, all_finite, scaled_parameters
from .optimizer import Rule
from .stepper import Stepper, taken_statistics


class MxnetStepper(Stepper):
    """Executors of one symbol, one per device.

    shapes: per-device input shapes by name, such as {"data": (128, 3, 112, 112),
    "softmax_label": (128,)}.  The batch of a step holds len(ctx) shares of them, in order.
    kvstore: sums gradients over devices and machines, after join(); needed for more than one.
    accumulate: how many batches run before each update; their gradients add up.
    """

    def __init__(
        self,
        symbol: mx.sym.Symbol,
        ctx: Sequence[mx.Context],
        shapes: Mapping[str, tuple[int, ...]],
        arg_params: Params,
        aux_params: Params,
        optimizer: Rule,
        *,
        kvstore: mx.kvstore.KVStore | None = None,
        accumulate: int = 1,
    ):
        self.ctx = list(ctx)
        self.shapes = dict(shapes)
        scaled = scaled_parameters(symbol)
        self._scale = LossScale() if scaled else None
        inputs = {*self.shapes, LOSS_SCALE}
        self.param_names = [n for n in symbol.list_arguments() if n not in inputs]
        self.changes = 0  # of parameters and statistics, for those who hold copies
        self._accumulate = accumulate
        self._kvstore = kvstore
        num_workers = kvstore.num_workers if kvstore else 1
        grad_req = dict.fromkeys(self.param_names, "add" if accumulate > 1 else "write")
        grad_req |= dict.fromkeys(inputs & set(symbol.list_arguments()), "null")
        self._executors = [
            symbol.simple_bind(context, grad_req=grad_req, **self.shapes) for context in self.ctx
        ]
        self.output_names = symbol.list_outputs()
        self._optimizers = [
            optimizer.bound(
                {name: executor.arg_dict[name] for name in self.param_names},
                {name: executor.grad_dict[name] for name in self.param_names},
                rescale_grad=1.0 / (len(self.ctx) * num_workers * accumulate),
                scaled=scaled,
            )
            for executor in self._executors
        ]
        self._set_params(arg_params, aux_params)

    def join(self) -> None:
        """Enter the weights in the kvstore, where there is one: all machines begin with those of
        rank 0, and wait for each other."""
        if not self._kvstore:
            return
        for name in self.param_names:
            weights = [executor.arg_dict[name] for executor in self._executors]
            self._kvstore.init(name, weights[0])
            self._kvstore.pull(name, out=weights)

    def _set_params(self, arg_params: Params, aux_params: Params) -> None:
        arg_params, aux_params = _on_mxnet(arg_params), _on_mxnet(aux_params)
        for executor, optimizer in zip(self._executors, self._optimizers, strict=True):
            executor.copy_params_from(arg_params, aux_params)
            optimizer.set_masters(arg_params)

    def forward_backward(self, inputs: Mapping[str, Any]) -> None:
        """Run one batch: inputs by name, (len(ctx) * per-device, ...), numpy's or MXNet's."""
        self.changes += 1
        for device, executor in enumerate(self._executors):
            if self._scale:
                executor.arg_dict[LOSS_SCALE][:] = self._scale.scale
            for name, shape in self.shapes.items():
                share = inputs[name][device * shape[0] : (device + 1) * shape[0]]
                executor.arg_dict[name][:] = share
            executor.forward(is_train=True)
        for executor in self._executors:
            executor.backward()

    def collect(self) -> None:
        """The kvstore sums in update()."""

    def update(self, lr: float) -> None:
        """Apply the gradients of the last `accumulate` batches together.

        In half precision those that overflow are dropped, and the loss scale changes.
        """
        self.changes += 1
        if self._kvstore:
            for priority, name in enumerate(self.param_names):
                gradients = [executor.grad_dict[name] for executor in self._executors]
                self._kvstore.push(name, gradients, priority=-priority)
                self._kvstore.pull(name, out=gradients, priority=-priority)
        scale, is_finite = self.loss_scale or 1.0, True
        if self._scale:
            # Summed, they are the same on all devices and machines, and so is what follows.
            is_finite = all_finite(self._executors[0].grad_dict[n] for n in self.param_names)
            self._scale.take(is_finite)
        if is_finite:
            for optimizer in self._optimizers:
                optimizer.update(lr, scale)
        if self._accumulate > 1:
            for executor in self._executors:
                for name in self.param_names:
                    executor.grad_dict[name][:] = 0

    @property
    def loss_scale(self) -> float | None:
        return self._scale.scale if self._scale else None

    def outputs(self) -> list[list[mx.nd.NDArray]]:
        """Return the outputs of the last batch, device by device."""
        return [executor.outputs for executor in self._executors]

    def first_bad_output(self) -> str | None:
        """Return the name of the first output that holds NaN or Inf, or None."""
        return _first_bad(executor.output_dict for executor in self._executors)

    def first_bad_parameter(self) -> str | None:
        """Return the name of the first weight or state that holds NaN or Inf, or None."""
        return _first_bad(
            {name: executor.arg_dict[name] for name in self.param_names} | executor.aux_dict
            for executor in self._executors
        )

    def remember(self) -> None:
        """Keep the statistics as they are between two steps, for rewind()."""
        mx.nd.waitall()  # as in params()
        self._remembered = [
            {name: array.copy() for name, array in executor.aux_dict.items()}
            for executor in self._executors
        ]

    def rewind(self) -> None:
        """Undo what forward_backward() changed since remember(); not an update."""
        mx.nd.waitall()  # as in params()
        for executor, statistics in zip(self._executors, self._remembered, strict=True):
            for name, array in statistics.items():
                array.copyto(executor.aux_dict[name])
        self.changes += 1

    def params(self) -> tuple[Params, Params]:
        """Return (arg_params, aux_params) in CPU memory; statistics averaged over devices."""
        mx.nd.waitall()  # the backward pass writes statistics without telling MXNet's engine
        weights = self._executors[0].arg_dict | self._optimizers[0].masters
        arg_params = {name: weights[name].copyto(mx.cpu()) for name in self.param_names}
        aux_params = {}
        for name in self._executors[0].aux_dict:
            copies = [executor.aux_dict[name].copyto(mx.cpu()) for executor in self._executors]
            aux_params[name] = copies[0] if len(copies) == 1 else mx.nd.add_n(*copies) / len(copies)
        return arg_params, aux_params

    def state(self) -> Params:
        """Return what a resumed run needs besides the parameters, by name, in CPU memory.

        The optimizer's own states, the loss scale's, and each device's own statistics.
        """
        mx.nd.waitall()  # as in params()
        state = {k: v.copyto(mx.cpu()) for k, v in self._optimizers[0].states.items()}
        if self._scale:
            state[LOSS_SCALE] = mx.nd.array(self._scale.state(), mx.cpu(), dtype="float64")
        for device, executor in enumerate(self._executors):
            for name, array in executor.aux_dict.items():
                state[f"aux{device}:{name}"] = array.copyto(mx.cpu())
        return state

    def restore(self, state: Params) -> None:
        """Continue from state(); the number of devices must be the same."""
        self.changes += 1
        state = _on_mxnet(state)
        if self._scale and LOSS_SCALE in state:  # else it is of an older version
            self._scale.restore(state.pop(LOSS_SCALE).asnumpy())
        shapes = {name: array.shape for name, array in self._executors[0].aux_dict.items()}
        of_all = taken_statistics(state, shapes)
        if shapes and len(of_all) != len(self._executors):
            raise ValueError(
                f"it has the statistics of {len(of_all)} devices, {len(self._executors)} train"
            )
        for optimizer in self._optimizers:
            optimizer.set_states(state)
        for executor, statistics in zip(self._executors, of_all, strict=False):
            for name, array in statistics.items():
                array.copyto(executor.aux_dict[name])


def _on_mxnet(arrays: Mapping[str, Any]) -> Params:
    """Return arrays of numpy or MXNet as MXNet's, of the same types."""
    return {
        name: array if isinstance(array, mx.nd.NDArray) else mx.nd.array(array, dtype=array.dtype)
        for name, array in arrays.items()
    }


def _first_bad(devices: Iterable[Params]) -> str | None:
    """Return the name of the first array that is not finite on some device, or None."""
    flags = [
        [(name, mx.nd.all_finite(array)) for name, array in arrays.items()] for arrays in devices
    ]  # all are queued before the first is waited for
    for same in zip(*flags, strict=True):
        if any(flag.asscalar() == 0 for _, flag in same):
            return same[0][0]
    return None
