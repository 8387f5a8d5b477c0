"""Parameters of a checkpoint in place of those that were drawn, and only where they belong.

A checkpoint of another depth or width has enough names in common to be taken for a part of this
network, and what is left trains as badly as it starts; so the networks must be the same, one
parameter for one.  Two parts are the user's to change: the classifier, which belongs to the
dataset, and, with --new-head, the head.
"""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import logging

from ..checkpoints.embedding_part import embedding_symbol
from ..checkpoints.graph import parse_graph
from ..checkpoints.load import Params, load_checkpoint
from ..checkpoints.network import CLASSIFIER_PREFIX, TRAINING_PREFIXES
from ..checkpoints.pixels import pixel_scaling, raw_pixel_layer
from ..checkpoints.shards import classifier_beside
from ..lazy_mxnet import mx
from ..networks.heads import head_parameters
from ..networks.published import renamed_parameters
from .growth import Growth, tell_rows_by_number
from .teacher import without_map_of_another

logger = logging.getLogger(__name__)


def take_pretrained(
    checkpoint: str,
    symbol: mx.sym.Symbol,
    arg_params: Params,
    aux_params: Params,
    *,
    new_head: bool = False,
    growth: Growth | None = None,
    teacher: str = "",
) -> None:
    """Replace parameters of a training symbol, by name, by those of "prefix,number".

    growth: which rows of its classifier belong to whom here.  teacher: the fingerprint of the one
    that is learned from; a map to another's vectors is not taken.  Raises ValueError, with nothing
    replaced, if the checkpoint's network is another one.
    """
    given_symbol, given_args, given_aux = load_checkpoint(checkpoint)
    given_args, renamed = renamed_parameters(given_args, symbol)
    given = dict(without_map_of_another(checkpoint, given_args | given_aux, teacher))
    here = arg_params | aux_params
    given |= _rows_beside(checkpoint, here.keys() - given.keys())
    head = head_parameters() if new_head else frozenset()
    of_network = _of_network(symbol) - head
    of_another_classifier = _names(given_symbol) - _of_network(given_symbol)
    grown: Params = {}
    if growth and not growth.is_same:
        of_rows = (here.keys() & given.keys()) - _of_network(symbol)
        grown = {
            name: growth.carried(name, given[name].asnumpy(), here[name].asnumpy())
            for name in sorted(of_rows)
            if name.startswith(CLASSIFIER_PREFIX)
        }
        given |= {name: mx.nd.array(rows) for name, rows in grown.items()}
    fitting = {
        name for name in given.keys() & here.keys() - head if given[name].shape == here[name].shape
    }
    left_over = given.keys() - here.keys()
    _refuse_another_network(
        checkpoint,
        missing=[name for name in here if name in of_network - given.keys()],
        left_over=[
            name
            for name in given
            if name in left_over - of_another_classifier - head
            and not name.startswith(TRAINING_PREFIXES)
        ],
        unlike=[
            _unlike(name, given, here)
            for name in here
            if name in of_network & given.keys() - fitting
        ],
        is_empty=not fitting,
    )
    for params in (arg_params, aux_params):
        for name in params.keys() & fitting:
            params[name] = given[name].astype(params[name].dtype)
    for message in renamed:
        logger.warning("pretrained: %s", message)
    logger.info("pretrained: took %d parameters of %s", len(fitting), checkpoint)
    if grown:
        growth.tell()
    elif not growth:
        tell_rows_by_number(name for name in fitting if name.startswith(CLASSIFIER_PREFIX))
    drawn = [
        _unlike(name, given, here) if name in given and name not in head else name
        for name in here
        if name not in fitting
    ]
    if drawn:
        logger.warning("pretrained: initialised %d: %s", len(drawn), _some(drawn))
    if left_over:
        ignored = [name for name in given if name in left_over]
        logger.info("pretrained: ignored %d: %s", len(ignored), _some(ignored))
    _tell_of_pixels(checkpoint, given_symbol, symbol)


def _rows_beside(checkpoint: str, missing: Iterable[str]) -> Params:
    """Return what is missing of a classifier that was shared out, and so lies in files beside."""
    wanted = sorted(name for name in missing if name.startswith(CLASSIFIER_PREFIX))
    stored = classifier_beside(checkpoint) if wanted else None
    names = [name for name in wanted if name in stored.names] if stored else []
    return {name: mx.nd.array(stored.whole(name)) for name in names}


def _refuse_another_network(
    checkpoint: str, *, missing: list[str], left_over: list[str], unlike: list[str], is_empty: bool
) -> None:
    faults = [
        f"  {len(names)} {what}: {_some(names)}"
        for names, what in (
            (missing, "of this network missing there"),
            (left_over, "of that network left over"),
            (unlike, "of another shape"),
        )
        if names
    ]
    if not faults and not is_empty:
        return
    differing = {name.split(" ")[0] for name in (*missing, *left_over, *unlike)}
    cure = (
        "choose the --network, --emb-size and --version-* that it was trained with; only a head "
        "may be another one, if --new-head 1 says so"
    )
    if differing and differing <= head_parameters():
        cure = (
            "only the head differs: choose the --version-output and --emb-size that it was trained "
            "with, or give --new-head 1 to draw the head anew"
        )
    raise ValueError(
        f"--pretrained {checkpoint}: holds another network than this one; {cure}:\n"
        + "\n".join(faults or ["  not one parameter in common"])
    )


def _tell_of_pixels(checkpoint: str, given_symbol: mx.sym.Symbol, symbol: mx.sym.Symbol) -> None:
    """Warn if the two symbols do not scale the pixels alike."""
    graphs = [parse_graph(each.tojson(), "the symbol") for each in (given_symbol, symbol)]
    there, here = map(raw_pixel_layer, graphs)
    if there and not here:
        logger.warning(
            "pretrained: the symbol of %s hands raw pixels to %r, this network scales them first. "
            "If the scaling was only cut off (for ncnn or TensorRT), its parameters fit; if they "
            "were trained on raw pixels, or the scaling was folded into them, they do not",
            checkpoint,
            there,
        )
    elif here and not there:
        logger.warning(
            "pretrained: this network hands raw pixels to %r, the symbol of %s scales them first: "
            "its parameters do not fit such pixels",
            here,
            checkpoint,
        )
    else:
        _tell_of_scaling(checkpoint, *map(pixel_scaling, graphs))


def _tell_of_scaling(
    checkpoint: str, there: tuple[float, float] | None, here: tuple[float, float] | None
) -> None:
    """Warn if both scale the pixels, and not alike, as networks of others do."""
    if there and here and there != here:
        logger.warning(
            "pretrained: the symbol of %s takes (x - %g) * %.7g of the pixels, this network "
            "(x - %g) * %.7g; to train it as it is, give its own symbol: --network %s-symbol.json",
            checkpoint,
            *there,
            *here,
            checkpoint.rpartition(",")[0],
        )


def _unlike(name: str, given: Params, here: Params) -> str:
    return f"{name} (there {given[name].shape}, here {here[name].shape})"


def _of_network(symbol: mx.sym.Symbol) -> set[str]:
    """Return the names of the parameters that the embedding reads; all, if there is none."""
    with contextlib.suppress(ValueError):
        symbol = embedding_symbol(symbol)
    return _names(symbol)


def _names(symbol: mx.sym.Symbol) -> set[str]:
    return {*symbol.list_arguments(), *symbol.list_auxiliary_states()} - {"data"}


def _some(names: Iterable[str], limit: int = 8) -> str:
    names = list(names)
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
