"""The last state of a run, PREFIX-last.params: all that a resumed run needs, in one file.

It is a parameter file like any checkpoint (arg: and aux: load everywhere); momentum and each
device's statistics stand beside them under "state:", and a JSON record, as bytes, under
"run:json".  One file replaced in one rename, so that a killed run leaves the old or the new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..limits import parse_json
from .load import Params, mxnet_arrays
from .names import LAST, params_path
from .params import named_params, read_params, split_params, write_params

RECORD = "run:json"
STATE = "state:"


@dataclass(frozen=True)
class LastState:
    """arg_params and aux_params as in a checkpoint; state as Stepper.state(); a JSON record."""

    arg_params: Params
    aux_params: Params
    state: Params
    record: dict[str, Any]


def has_last(prefix: str) -> bool:
    """Return whether a run of this prefix has left its last state."""
    return params_path(prefix, LAST).is_file()


def save_last(prefix: str, last: LastState) -> None:
    """Write the last state, complete or not at all."""
    arrays = named_params(last.arg_params, last.aux_params)
    arrays |= {STATE + name: array for name, array in last.state.items()}
    arrays[RECORD] = np.frombuffer(json.dumps(last.record).encode(), np.uint8)
    write_params(params_path(prefix, LAST), arrays)


def load_last(prefix: str) -> LastState:
    """Return read_last() with MXNet's arrays."""
    last = read_last(prefix)
    parts = (last.arg_params, last.aux_params, last.state)
    return LastState(*map(mxnet_arrays, parts), last.record)


def read_last(prefix: str) -> LastState:
    """Return the last state of a run, numpy's arrays.  Raises FileNotFoundError or ValueError."""
    path = params_path(prefix, LAST)
    arrays = read_params(path)
    if RECORD not in arrays:
        raise ValueError(f"{path}: holds parameters but no run to continue")
    record = record_of(arrays, path)
    state = {name[len(STATE) :]: a for name, a in arrays.items() if name.startswith(STATE)}
    return LastState(*split_params(arrays), state, record)


def record_of(arrays: Mapping[str, np.ndarray], path: Path) -> Any:
    """Return the record among the arrays of a file; {} if they are those of no last state."""
    if RECORD not in arrays:
        return {}
    stored = arrays[RECORD]
    if stored.dtype != np.uint8 or stored.ndim != 1:
        raise ValueError(f"{path}: {RECORD} must be uint8 of one dimension, is {stored.dtype} "
                         f"{stored.shape}")  # fmt: skip
    # Sums of a metric may be NaN.
    return parse_json(stored.tobytes(), f"{path}: {RECORD}", "a record of a run", nan=True)
