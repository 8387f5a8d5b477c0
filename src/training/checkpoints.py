"""Moved to arcface_mxnet.checkpoints; these names stay importable from here."""

from ..checkpoints.load import (  # noqa: F401
    Params,
    load_checkpoint,
    load_symbol,
    save_checkpoint,
    save_symbol,
)
from ..checkpoints.names import (  # noqa: F401
    LAST,
    checkpoint_numbers,
    params_path,
    split_checkpoint,
)
from ..checkpoints.params import named_params, split_params  # noqa: F401
