"""The parameters with which a run starts: drawn, or taken from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from ..checkpoints.load import Params
from ..lazy_mxnet import mx
from .growth import Growth
from .pretrained import take_pretrained


def initial_params(
    symbol: mx.sym.Symbol,
    shapes: Mapping[str, tuple[int, ...]],
    initializer: mx.init.Initializer,
    pretrained: str = "",
    *,
    new_head: bool = False,
    growth: Growth | None = None,
    teacher: str = "",
) -> tuple[Params, Params]:
    """Return (arg_params, aux_params) of a training symbol, in CPU memory.

    Drawn by the initializer; those of the checkpoint "prefix,number" replace them by name.
    The network's must be its, one for one and of the same shapes, save those of the head with
    new_head, which stay as drawn.  The classifier belongs to its dataset: where it does not fit
    it is drawn, or left over; its rows follow the names where growth tells them.  A
    map to the vectors of a teacher is taken if they are this one's.  Which were taken, drawn and
    left over is logged.
    Raises ValueError naming what of the network is missing, left over or of another shape.
    """
    arg_params, aux_params = _drawn(symbol, shapes, initializer)
    if pretrained:
        take_pretrained(
            pretrained,
            symbol,
            arg_params,
            aux_params,
            new_head=new_head,
            growth=growth,
            teacher=teacher,
        )
    return arg_params, aux_params


def _drawn(
    symbol: mx.sym.Symbol, shapes: Mapping[str, tuple[int, ...]], initializer: mx.init.Initializer
) -> tuple[Params, Params]:
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    attributes = symbol.attr_dict()

    def draw(name: str, shape: tuple[int, ...]) -> mx.nd.NDArray:
        array = mx.nd.zeros(shape)
        initializer(mx.init.InitDesc(name, attributes.get(name)), array)
        return array

    arguments = zip(symbol.list_arguments(), arg_shapes, strict=True)
    states = zip(symbol.list_auxiliary_states(), aux_shapes, strict=True)
    return (
        {name: draw(name, shape) for name, shape in arguments if name not in shapes},
        {name: draw(name, shape) for name, shape in states},
    )
