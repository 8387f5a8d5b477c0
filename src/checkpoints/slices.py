"""A slice that leaves nothing of its input: MXNet, asked for the shapes behind it, divides by 0 and
ends the process, as in a Reshape to (-1, 0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json

from ..lazy_mxnet import mx, mxnet_errors

CUTTING = frozenset({"SliceChannel", "crop", "Crop", "split", "_split_v2"})


def refuse_empty_slices(
    symbol: mx.sym.Symbol, shapes: Mapping[str, Sequence[int]], source: str
) -> None:
    """Raise ValueError if a slice of the symbol leaves nothing of inputs of these shapes.

    source: the network in messages.  What else is wrong with the shapes is left to MXNet.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    cuts = [node for node in nodes if node["op"] in CUTTING or "slice" in node["op"].lower()]
    if not cuts:
        return
    kinds = {f"{node['name']}_output{end}": node for node in cuts for end in ("", "0")}
    internals = symbol.get_internals()
    # Each after all that it reads, so that nothing before it is empty; names may repeat.
    for place, name in enumerate(internals.list_outputs()):
        if name not in kinds:
            continue
        part = internals[place]
        known = {key: tuple(shapes[key]) for key in part.list_arguments() if key in shapes}
        if not known:
            continue
        try:
            found = part.infer_shape(**known)[1]
        except mxnet_errors():
            return
        if found and 0 in found[0]:
            raise ValueError(
                f"{source}: node {kinds[name]['name']!r} ({kinds[name]['op']}) leaves nothing of "
                f"images of {known.get('data', ())}: {found[0]}"
            )
