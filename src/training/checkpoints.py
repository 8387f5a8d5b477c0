"""Checkpoints: PREFIX-symbol.json with PREFIX-0001.params, as published.

The parameters are named arg:NAME and aux:NAME; a training checkpoint holds the classifier
too.  A checkpoint's number counts verifications (it is published as "epoch").  The number
"last" stands for PREFIX-last.params, which also holds what a resumed run needs.
"""

from __future__ import annotations

import json
from pathlib import Path
import re

import mxnet as mx

from ..data.files import replace_file
from .params_file import read_params, write_params

LAST = "last"

Params = dict[str, mx.nd.NDArray]


def split_checkpoint(checkpoint: str) -> tuple[str, int | str]:
    """Return (prefix, number) of "prefix,number".  Raises ValueError for anything else."""
    prefix, comma, number = checkpoint.rpartition(",")
    if comma and prefix and number.strip() == LAST:
        return prefix, LAST
    if not (comma and prefix and number.strip().isdigit()):
        raise ValueError(f"checkpoint {checkpoint!r}: give PREFIX,NUMBER, such as model/r50,1")
    return prefix, int(number)


def params_path(prefix: str, number: int | str) -> Path:
    """Return the path of a checkpoint's parameters, PREFIX-0001.params."""
    return Path(f"{prefix}-{number if number == LAST else f'{number:04d}'}.params")


def checkpoint_numbers(prefix: str) -> list[int]:
    """Return the numbers of all checkpoints of a prefix, ascending."""
    pattern = re.compile(re.escape(Path(prefix).name) + r"-(\d{4,})\.params")
    folder = Path(prefix).parent
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))


def load_checkpoint(checkpoint: str) -> tuple[mx.sym.Symbol, Params, Params]:
    """Return (symbol, arg_params, aux_params) of "prefix,number", in CPU memory.

    Raises ValueError if the text or a file is malformed, FileNotFoundError with the path and
    the numbers that exist if a file is missing.
    """
    prefix, number = split_checkpoint(checkpoint)
    path = params_path(prefix, number)
    if not path.is_file():
        numbers = ", ".join(map(str, checkpoint_numbers(prefix))) or "none"
        raise FileNotFoundError(
            f"checkpoint {checkpoint!r}: no file {path.absolute()}; numbers there: {numbers}"
        )
    symbol = load_symbol(f"{prefix}-symbol.json")
    arg_params, aux_params = split_params(read_params(path))
    return symbol, arg_params, aux_params


def load_symbol(path: str) -> mx.sym.Symbol:
    """Return the symbol of a JSON file.  Raises FileNotFoundError or ValueError."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no symbol file {Path(path).absolute()} beside the parameters")
    try:
        text = Path(path).read_text(encoding="utf-8")
        json.loads(text)  # MXNet's own message about malformed JSON is unreadable
        return mx.sym.load_json(text)
    except (mx.MXNetError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{path}: not a symbol that MXNet can read ({reason})") from None


def split_params(arrays: Params) -> tuple[Params, Params]:
    """Return the arg: and the aux: arrays of a parameter file, without their prefixes."""
    kinds: dict[str, Params] = {"arg": {}, "aux": {}}
    for key, array in arrays.items():
        kind, _, name = key.partition(":")
        if kind in kinds:
            kinds[kind][name] = array
    return kinds["arg"], kinds["aux"]


def save_checkpoint(
    prefix: str, number: int | str, symbol: mx.sym.Symbol, arg_params: Params, aux_params: Params
) -> Path:
    """Write symbol and parameters, each complete or not at all; return the parameter file."""
    save_symbol(prefix, symbol)
    path = params_path(prefix, number)
    write_params(path, named_params(arg_params, aux_params))
    return path


def named_params(arg_params: Params, aux_params: Params) -> Params:
    """Return both kinds of parameters under the names they have in a file."""
    named = {f"arg:{name}": array for name, array in arg_params.items()}
    return named | {f"aux:{name}": array for name, array in aux_params.items()}


def save_symbol(prefix: str, symbol: mx.sym.Symbol) -> None:
    """Write PREFIX-symbol.json, complete or not at all."""
    with replace_file(f"{prefix}-symbol.json", "w", encoding="utf-8") as file:
        file.write(symbol.tojson())
