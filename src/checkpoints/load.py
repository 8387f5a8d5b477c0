"""Checkpoints as MXNet's symbols and arrays."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
import re
from typing import Any

import numpy as np

from ..files import marker_path, reading_set, replace_file, replace_set
from ..lazy_mxnet import mx
from ..limits import read_limited
from .graph import LARGEST_FILE, Graph, parse_graph, read_graph, to_json
from .names import (
    LAST,
    checkpoint_numbers,
    existing_params,
    params_path,
    split_checkpoint,
    symbol_path,
)
from .network import computes_the_same
from .params import (
    named_params,
    naming_checkpoint,
    read_params,
    split_params,
    write_arrays,
    write_params,
)

# In what MXNet says.
UNKNOWN_OPERATOR = re.compile(r"Failed loading Op (\S+) of type (\S+): .*is not registered")

Params = dict[str, Any]  # of mx.nd.NDArray


def load_checkpoint(checkpoint: str) -> tuple[mx.sym.Symbol, Params, Params]:
    """Return (symbol, arg_params, aux_params) of "prefix,number", in CPU memory.

    Raises ValueError if the text or a file is malformed, FileNotFoundError with the path and
    the numbers that exist if a file is missing.
    """
    path = existing_params(checkpoint)
    symbol_file = symbol_path(split_checkpoint(checkpoint)[0])
    with reading_set(symbol_file, path):
        symbol = load_symbol(str(symbol_file))
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
    data = read_limited(path, LARGEST_FILE, "symbol file")
    parse_graph(data, path)  # MXNet trusts what it reads
    return _parsed(data.decode("utf-8-sig"), path)


def as_symbol(graph: Graph) -> mx.sym.Symbol:
    """Return a graph as MXNet's symbol.  Raises ValueError if MXNet does not know an operator."""
    return _parsed(to_json(graph), graph.source)


def _parsed(text: str, source: str) -> mx.sym.Symbol:
    try:
        symbol = mx.sym.load_json(text)
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        unknown = UNKNOWN_OPERATOR.search(reason)
        if unknown:
            reason = f"node {unknown[1]!r}: MXNet {mx.__version__} has no operator {unknown[2]!r}"
        raise ValueError(f"{source}: not a symbol that MXNet can read: {reason}") from None
    _check_outputs(source, json.loads(symbol.tojson()))
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
    """Write symbol and parameters, both or neither; return the parameter file.

    Raises ValueError if other checkpoints of the prefix are of another network: they share the
    symbol.
    """
    path, text = params_path(prefix, number), symbol.tojson()
    arrays = named_params(arg_params, aux_params)
    if _is_stored(prefix, text):
        write_params(path, arrays)
        return path
    _refuse_another(prefix, text, path)
    with naming_checkpoint(path), replace_set(symbol_path(prefix), path) as files:
        files.open(symbol_path(prefix), "w", encoding="utf-8").write(text)
        write_arrays(files.open(path), arrays, path)
    return path


def save_symbol(prefix: str, symbol: mx.sym.Symbol) -> None:
    """Write PREFIX-symbol.json, complete or not at all.

    Raises ValueError if the prefix holds checkpoints of another network.
    """
    text = symbol.tojson()
    if _is_stored(prefix, text):
        return
    _refuse_another(prefix, text)
    with replace_file(symbol_path(prefix), "w", encoding="utf-8") as file:
        file.write(text)


def _is_stored(prefix: str, text: str) -> bool:
    """Return whether this symbol is there already, and no writing of it was interrupted."""
    path = symbol_path(prefix)
    try:
        return path.read_bytes() == text.encode() and not marker_path(path).exists()
    except OSError:
        return False


def _refuse_another(prefix: str, text: str, replaced: Path | None = None) -> None:
    """Raise ValueError if checkpoints besides `replaced` would get the symbol of another network.

    What was killed before its first checkpoint leaves a symbol alone, which anything may replace.
    """
    path = symbol_path(prefix)
    numbers = [*checkpoint_numbers(prefix), LAST]
    paths = [params_path(prefix, number) for number in numbers]
    others = [other.name for other in paths if other != replaced and other.is_file()]
    if not others or not path.is_file():
        return
    try:
        stored = read_graph(path)
    except ValueError as error:
        raise ValueError(
            f"{error}; {', '.join(others[:5])} beside it may be whole: delete the symbol alone, "
            "and it is written anew if they are of this network, or choose another prefix"
        ) from None
    if not computes_the_same(stored, parse_graph(text, "the symbol")):
        raise ValueError(
            f"{path}: is of another network than the one to save, and {', '.join(others[:5])} "
            f"need it{' (and more)' if len(others) > 5 else ''}; choose another prefix, or delete "
            "them"
        )
