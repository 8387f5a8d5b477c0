"""The handler of pooling: MXNet's two ways to count windows, and what they hold of the padding."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoints.nodes import Node
from ..checkpoints.options import Options
from .onnx_graph import OnnxGraph
from .operators import CHANNELS_FIRST, add_padding, operator, output_of, window


@operator("Pooling")
def pooling(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    kind, output = options.word("pool_type", "max"), output_of(node)
    convention = options.word("pooling_convention", "valid")
    is_global, counted = options.flag("global_pool", False), options.flag("count_include_pad", True)
    if kind not in ("max", "avg"):
        raise options.refusal(f"pool_type {kind}")
    if options.word("layout", None) not in CHANNELS_FIRST:
        raise options.refusal("a layout that has the channels last")
    options.ignore("p_value")  # of pool_type lp
    if graph.rank(inputs[0]) < 3:
        raise options.refusal("pooling of an input that is no image")
    if is_global:
        options.ignore("kernel", "stride", "pad")
        name = "GlobalMaxPool" if kind == "max" else "GlobalAveragePool"
        return graph.add(name, inputs, output)
    kernel, strides, pads = window(graph, inputs[0], options)
    if convention not in ("valid", "full"):
        raise options.refusal(f"pooling_convention {convention}")
    if any(pad >= size for pad, size in zip(pads, kernel, strict=True)):
        raise options.refusal(f"padding {pads} of kernel {kernel}")
    data, ends, is_rounded_up = inputs[0], pads, False
    if convention == "full":
        ends = _ends_of_full(graph, data, options, kernel, strides, pads)
        is_rounded_up = ends is None
    if kind == "avg" and counted and any(pads) and convention == "full":
        # MXNet counts the padding, not what the last window reaches beyond it.
        data = add_padding(graph, data, f"{node.name}_padded", (0, 0, *pads) * 2)
        pads, ends = (0,) * len(pads), tuple(e - p for e, p in zip(ends, pads, strict=True))
    common = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": (*pads, *(ends or pads)),
        "ceil_mode": int(is_rounded_up),
    }
    if kind == "max":
        return graph.add("MaxPool", [data], output, **common)
    counted = int(counted and any(pads))
    return graph.add("AveragePool", [data], output, count_include_pad=counted, **common)


def _ends_of_full(
    graph: OnnxGraph,
    data: str,
    options: Options,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
) -> tuple[int, ...] | None:
    """Return the padding behind the image with which all windows of "full" fit.

    "full" rounds the number of windows up.  None: none is needed but for images of free size,
    where ONNX's own rounding does the same as long as no padding and no gap is in play.
    Engines differ in what they make of a window that holds nothing of the image: refused.
    """
    axes = list(zip(graph.shape(data)[2:], kernel, strides, pads, strict=True))
    if any(size is None for size, *_ in axes):
        if any(pads) or any(stride > length for _, length, stride, _ in axes):
            raise options.refusal(
                "pooling_convention full with padding, or a stride over its kernel, without a "
                "fixed image size"
            )
        return None
    ends = []
    for size, length, stride, pad in axes:
        last = -(-(size + 2 * pad - length) // stride) * stride - pad  # where that window begins
        if last >= size:
            raise options.refusal("a window of pooling_convention full beyond the image")
        ends.append(last + length - size)
    return tuple(ends)
