"""State that lives in the graph: running statistics and centres, saved with the checkpoint.

A state is an auxiliary array of the symbol, like the statistics of batch normalisation: each
device keeps its own, and a checkpoint holds their mean.  MXNet's symbols have no assignment,
but its optimizer operators change an input in place: with lr -1, momentum 1 and no decay,
sgd_mom_update is "state += change".  Only stock operators, so any MXNet loads the symbol.
"""

from __future__ import annotations

import functools
import json

from ..lazy_mxnet import mx


def state(name: str, shape: tuple[int, int], start: float = 0.0) -> mx.sym.Symbol:
    """Return the variable of a state, two-dimensional float32, filled with start at first."""
    # the storage type must be said: the optimizer operators would take sparse arrays too
    return mx.sym.Variable(name, shape=shape, init=mx.init.Constant(start), stype="default")


def advanced(variable: mx.sym.Symbol, change: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return state + change and, in training, store it; in inference the state stays.

    change must be computed from the state where both are used: whatever else reads the
    variable itself may see it before or after.  No gradient flows.  The result must reach an
    output, or it is not computed.
    """
    change = mx.sym.BlockGrad(mx.sym.broadcast_mul(change, _is_training()))
    added = _add_in_place()(weight=mx.sym.zeros_like(change), grad=change, state=variable)
    return mx.sym.BlockGrad(added)


def running(name: str, value: mx.sym.Symbol, decay: float, start: float) -> mx.sym.Symbol:
    """Return the running value of a (1, 1) symbol: in training decay * old + (1 - decay) * value.

    The state has this name and starts at start.
    """
    old = state(name, (1, 1), start)
    return advanced(old, (1 - decay) * (value - old))


def decay_faults(decay: float) -> list[str]:
    """Return what is wrong with --running-decay."""
    if 0 <= decay < 1:
        return []
    return [f"--running-decay {decay}: the old value's share, from 0 to below 1"]


def _is_training() -> mx.sym.Symbol:
    """Return 1 in training and 0 in inference, (1, 1): dropout makes a 1 into 0 or 2, or not."""
    return mx.sym.abs(mx.sym.Dropout(mx.sym.ones((1, 1)), p=0.5) - 1)


@functools.cache
def _add_in_place() -> mx.sym.Symbol:
    # mx.sym.sgd_mom_update cannot be called: that operator names no inputs.  JSON can say it.
    names = ["weight", "grad", "state"]
    nodes = [{"op": "null", "name": name, "inputs": []} for name in names]
    attrs = {"lr": "-1", "momentum": "1", "wd": "0"}
    inputs = [[i, 0, 0] for i in range(len(names))]
    nodes.append({"op": "sgd_mom_update", "name": "advanced", "attrs": attrs, "inputs": inputs})
    graph = {"nodes": nodes, "arg_nodes": [0, 1, 2], "heads": [[3, 0, 0]]}
    graph["attrs"] = {"mxnet_version": ["int", 10901]}
    return mx.sym.load_json(json.dumps(graph))
