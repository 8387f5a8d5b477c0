"""What the attributes of an operator may be: MXNet divides by a stride of 0 and ends the process.

The ranges are wider than any network's; they hold for an attribute of this name in whatever
operator, in its options alone (a variable's "__lr_mult__" is none).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .nodes import Node

MOST_OUTPUTS = 1 << 16  # of a node, and groups of a convolution
LARGEST_WINDOW = 1 << 14  # pixels, of a kernel and of its steps
LARGEST_SIDE = (1 << 31) - 1  # of an array
MOST_AXES = 32
# Least and most of each number, by attribute: a window's, a count's, an axis.
RANGES = {
    **dict.fromkeys(("kernel", "stride", "dilate"), (1, LARGEST_WINDOW)),
    **dict.fromkeys(("pad", "adj", "pad_width"), (0, LARGEST_WINDOW)),
    **dict.fromkeys(("num_group", "num_outputs", "num_args", "group"), (1, MOST_OUTPUTS)),
    **dict.fromkeys(("num_filter", "num_hidden", "input_dim", "output_dim"), (1, LARGEST_SIDE)),
    **dict.fromkeys(("repeats", "reps", "scale", "block_size"), (1, LARGEST_WINDOW)),
    **dict.fromkeys(("axis", "dim", "dim1", "dim2", "axes"), (-MOST_AXES, MOST_AXES)),
    **dict.fromkeys(("begin", "end", "step"), (-LARGEST_SIDE, LARGEST_SIDE)),
    "shape": (-4, LARGEST_SIDE),
}
# Those that may be left open in a text, as slice's begin and the axis of a sum.
MAY_BE_NONE = frozenset({"axis", "axes", "begin", "end", "step", "num_args", "repeats"})
COUNTS = frozenset({"num_group", "num_outputs", "num_args", "group", "num_filter", "num_hidden"})


def fault_of(node: Node) -> str:
    """Return what is wrong with the attributes of an operator, "" for nothing."""
    for name in RANGES.keys() & node.texts.keys():
        value = node.attributes[name]
        values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
        least, most = RANGES[name]
        if isinstance(value, tuple) == (name in COUNTS) and (name in COUNTS or name == "shape"):
            values = (0.5,)  # a count is one number, a shape is several
        is_scale = name == "scale" and node.operator != "UpSampling"
        is_number = name in ("begin", "end", "step") and not node.operator.startswith("slice")
        wrong = [
            one
            for one in values
            if not (
                (type(one) is int and least <= one <= most) or (one is None and name in MAY_BE_NONE)
            )
        ]
        if wrong and not is_scale and not is_number:  # as _arange's, which may be a fraction
            return f"{name} is {node.texts[name][:80]!r}, not one of {least}..{most}"
    if node.operator == "slice":
        return _empty_slice(node)
    return ""


def _empty_slice(node: Node) -> str:
    """Return what is wrong with a slice that leaves nothing: a size of 0 is divided by."""
    edges = [node.attributes.get(name) for name in ("begin", "end")]
    begins, ends = (edge if isinstance(edge, tuple) else (edge,) for edge in edges)
    for begin, end in zip(begins, ends, strict=False):
        if begin is None or end is None or node.get("step", ()) not in ((), None):
            continue
        if (begin < 0) == (end < 0) and end <= begin:
            return f"it leaves nothing from {begin} to {end}"
    return ""
