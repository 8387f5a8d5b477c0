"""The parameters with which a run starts: drawn, or taken from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
import logging

import mxnet as mx

from ..checkpoints.load import Params, load_checkpoint
from ..networks.published import renamed_parameters

logger = logging.getLogger(__name__)


# A classifier belongs to its dataset; everything else to the network.
CLASSIFIER_PREFIX = "fc7"


def initial_params(
    symbol: mx.sym.Symbol,
    shapes: Mapping[str, tuple[int, ...]],
    initializer: mx.init.Initializer,
    pretrained: str = "",
) -> tuple[Params, Params]:
    """Return (arg_params, aux_params) of a training symbol, in CPU memory.

    Drawn by the initializer; those of the checkpoint "prefix,number" replace them by name.
    What was taken, drawn and left over is logged.  Raises ValueError if a network parameter
    of the checkpoint has another shape; a classifier of another shape is drawn anew.
    """
    arg_params, aux_params = _drawn(symbol, shapes, initializer)
    if pretrained:
        _take(pretrained, symbol, arg_params, aux_params)
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


def _take(checkpoint: str, symbol: mx.sym.Symbol, arg_params: Params, aux_params: Params) -> None:
    _, given_args, given_aux = load_checkpoint(checkpoint)
    given_args, renamed = renamed_parameters(given_args, symbol)
    given = given_args | given_aux
    taken, redrawn, wrong = [], [], []
    for params in (arg_params, aux_params):
        for name, array in params.items():
            if name not in given:
                continue
            if given[name].shape == array.shape:
                params[name] = given[name].astype(array.dtype)
                taken.append(name)
            elif name.startswith(CLASSIFIER_PREFIX):
                redrawn.append(f"{name} (there {given[name].shape}, here {array.shape})")
            else:
                wrong.append(f"  {name}: there {given[name].shape}, here {array.shape}")
    if wrong:
        raise ValueError(
            f"--pretrained {checkpoint}: {len(wrong)} parameters have another shape; choose the "
            "--network, --emb-size and --version-* that the checkpoint was trained with:\n"
            + "\n".join(wrong[:5])
            + ("\n  ..." if len(wrong) > 5 else "")
        )
    drawn = [name for name in arg_params | aux_params if name not in taken]
    ignored = [name for name in given if name not in arg_params | aux_params]
    if not taken:
        raise ValueError(
            f"--pretrained {checkpoint}: not one of its {len(given)} parameters belongs to this "
            "network; choose the --network that it was trained with"
        )
    for message in renamed:
        logger.warning("pretrained: %s", message)
    logger.info("pretrained: took %d parameters of %s", len(taken), checkpoint)
    if drawn:
        logger.warning("pretrained: initialised %d: %s", len(drawn), _some(drawn))
    if redrawn:
        logger.warning("pretrained: of another shape, so initialised: %s", _some(redrawn))
    if ignored:
        logger.info("pretrained: ignored %d: %s", len(ignored), _some(ignored))


def _some(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
