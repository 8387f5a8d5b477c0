"""A network given as a symbol file, `PREFIX-symbol.json`: an imported one, or one's own."""

from __future__ import annotations

from ..checkpoints.embedding_part import embedding_symbol
from ..checkpoints.load import load_symbol
from ..checkpoints.slices import refuse_empty_slices
from ..lazy_mxnet import mx
from .base import Network, NetworkOptions
from .initializers import gaussian_out

SIDE = 112  # pixels; of the images for which the embedding's size is worked out


def stored_network(path: str) -> Network:
    """Return the network of a symbol file, cut at its embedding "fc1".

    It starts as the resnets do, if no --pretrained says otherwise.  Raises FileNotFoundError or
    ValueError if there is no such file, or no network in it that embeds.
    """
    try:
        symbol = embedding_symbol(load_symbol(path))
    except ValueError as error:
        raise ValueError(f"--network {path}: {error}") from None

    def build(options: NetworkOptions) -> mx.sym.Symbol:
        size = _embedding_size(symbol)
        if size not in (None, options.emb_size):
            raise ValueError(
                f"--emb-size {options.emb_size}: the embedding of {path} has {size}; give "
                f"--emb-size {size}"
            )
        return symbol

    return Network(build=build, initializer=gaussian_out, uses=frozenset({"emb_size"}))


def _embedding_size(symbol: mx.sym.Symbol) -> int | None:
    """Return the length of the embedding, None if it depends on the image's size."""
    try:
        refuse_empty_slices(symbol, {"data": (2, 3, SIDE, SIDE)}, "the network")
        _, (shape,), _ = symbol.infer_shape(data=(2, 3, SIDE, SIDE))
    except (mx.MXNetError, TypeError, ValueError):
        return None
    return shape[1]
