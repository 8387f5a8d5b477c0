"""The part of a checkpoint that an embedding needs."""

from __future__ import annotations

from ..lazy_mxnet import mx
from .load import Params, load_checkpoint

EMBEDDING_OUTPUT = "fc1_output"  # published name of the embedding in every checkpoint


def embedding_symbol(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the part of a symbol that ends in the embedding.  Raises ValueError without one."""
    internals = symbol.get_internals()
    if EMBEDDING_OUTPUT not in internals.list_outputs():
        raise ValueError(
            f"no output {EMBEDDING_OUTPUT!r} in the symbol; it ends in "
            f"{', '.join(symbol.list_outputs())}: not a network that embeds"
        )
    return internals[EMBEDDING_OUTPUT]


def slim(
    symbol: mx.sym.Symbol, arg_params: Params, aux_params: Params
) -> tuple[mx.sym.Symbol, Params, Params]:
    """Return the embedding's symbol and just the parameters that it reads.

    Raises ValueError if the symbol has no embedding, or names parameters that are missing.
    """
    symbol = embedding_symbol(symbol)
    args = [name for name in symbol.list_arguments() if name != "data"]
    auxs = symbol.list_auxiliary_states()
    missing = [n for n in args if n not in arg_params] + [n for n in auxs if n not in aux_params]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ValueError(
            f"the parameters lack {', '.join(missing[:5])}{more}, which the symbol reads: the "
            "symbol and the parameters belong to different networks"
        )
    return symbol, {n: arg_params[n] for n in args}, {n: aux_params[n] for n in auxs}


def load_slim(checkpoint: str) -> tuple[mx.sym.Symbol, Params, Params]:
    """Return slim() of the checkpoint "prefix,number"."""
    return slim(*load_checkpoint(checkpoint))
