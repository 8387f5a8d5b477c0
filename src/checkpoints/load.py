"""Checkpoints as MXNet's symbols and arrays."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path

import mxnet as mx
import numpy as np

from ..files import replace_file
from .graph import read_graph
from .names import existing_params, params_path, split_checkpoint, symbol_path
from .params import named_params, read_params, split_params, write_params

Params = dict[str, mx.nd.NDArray]


def load_checkpoint(checkpoint: str) -> tuple[mx.sym.Symbol, Params, Params]:
    """Return (symbol, arg_params, aux_params) of "prefix,number", in CPU memory.

    Raises ValueError if the text or a file is malformed, FileNotFoundError with the path and
    the numbers that exist if a file is missing.
    """
    path = existing_params(checkpoint)
    symbol = load_symbol(str(symbol_path(split_checkpoint(checkpoint)[0])))
    arg_params, aux_params = split_params(load_params(path))
    return symbol, arg_params, aux_params


def load_params(path: str | Path) -> Params:
    """Return read_params() as MXNet's arrays of the same types."""
    return mxnet_arrays(read_params(path))


def mxnet_arrays(arrays: Mapping[str, np.ndarray]) -> Params:
    """Return arrays as MXNet's, of the same types."""
    return {name: mx.nd.array(value, dtype=value.dtype) for name, value in arrays.items()}


def load_symbol(path: str) -> mx.sym.Symbol:
    """Return the symbol of a JSON file.  Raises FileNotFoundError or ValueError."""
    read_graph(path)  # MXNet trusts what it reads
    try:
        symbol = mx.sym.load_json(Path(path).read_text(encoding="utf-8-sig"))
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{path}: not a symbol that MXNet can read: {reason}") from None
    _check_outputs(path, json.loads(symbol.tojson()))
    return symbol


def _check_outputs(path: str, written: dict) -> None:
    """Refuse an output that its operator has not: to ask MXNet for it ends the process.

    written: what MXNet says of the symbol; only it knows how many outputs an operator has.
    """
    rows = written["node_row_ptr"]
    entries = [entry for node in written["nodes"] for entry in node["inputs"]] + written["heads"]
    for number, output, _ in entries:
        if output >= rows[number + 1] - rows[number]:
            raise ValueError(
                f"{path}: not a symbol that MXNet can read: output {output} of "
                f"{written['nodes'][number]['name']!r} is read, which has "
                f"{rows[number + 1] - rows[number]}"
            )


def save_checkpoint(
    prefix: str, number: int | str, symbol: mx.sym.Symbol, arg_params: Params, aux_params: Params
) -> Path:
    """Write symbol and parameters, each complete or not at all; return the parameter file."""
    save_symbol(prefix, symbol)
    path = params_path(prefix, number)
    write_params(path, named_params(arg_params, aux_params))
    return path


def save_symbol(prefix: str, symbol: mx.sym.Symbol) -> None:
    """Write PREFIX-symbol.json, complete or not at all."""
    with replace_file(symbol_path(prefix), "w", encoding="utf-8") as file:
        file.write(symbol.tojson())
