"""Parameter names that changed between published versions."""

from __future__ import annotations

from ..lazy_mxnet import mx

# (old name, name now, a parameter beside it that tells the old checkpoint from another network)
RENAMED = (
    # MobileFaceNet until August 2018: the embedding's weight was a variable of its own.
    ("fc1_weight", "pre_fc1_weight", "pre_fc1_bias"),
)


def renamed_parameters(
    arg_params: dict[str, mx.nd.NDArray], symbol: mx.sym.Symbol
) -> tuple[dict[str, mx.nd.NDArray], list[str]]:
    """Return the parameters under the names that symbol uses, and one message per change.

    arg_params are those of a checkpoint; they are not changed.  Without this a parameter that
    only changed its name would be left out and drawn anew.
    """
    wanted = set(symbol.list_arguments())
    params, messages = dict(arg_params), []
    for old, new, beside in RENAMED:
        if old in params and beside in params and old not in wanted and new in wanted - set(params):
            params[new] = params.pop(old)
            messages.append(f"{old}: taken as {new}, the name it has had since August 2018")
    return params, messages
