"""What is saved of a network that has a teacher: the symbol and parameters of its loss alone.

The teacher's input, and the map to its vectors, are read in training only; the map stays in the
last state, from which training goes on.
"""

from __future__ import annotations

from dataclasses import replace

from ..checkpoints.graph import to_json
from ..lazy_mxnet import mx
from ..losses.distill import MAP, without_teacher
from .stepper import Params
from .stored_symbol import StoredSymbol


def untaught(symbol: mx.sym.Symbol | StoredSymbol) -> mx.sym.Symbol | StoredSymbol:
    """Return a training symbol without the teacher's outputs, itself if it has none."""
    names = symbol.list_outputs()
    places = without_teacher(names)
    if len(places) == len(names):
        return symbol
    if isinstance(symbol, StoredSymbol):
        graph = symbol.graph.ending_in([symbol.graph.outputs[place] for place in places])
        return replace(symbol, graph=graph, text=to_json(graph))
    return mx.sym.Group([symbol[place] for place in places])


def without_map(arg_params: Params, aux_params: Params) -> tuple[Params, Params]:
    """Return the parameters without the teacher's map."""
    return {name: array for name, array in arg_params.items() if name != MAP}, aux_params
